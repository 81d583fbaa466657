//! One file as TOML, and what is no TOML in it.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;

use super::error::{Concerns, Error, Wrong, quoted, written};
use super::source::{Place, Source};

/// The tables of one file, as far as they could be read.
pub(super) struct Document<'a> {
    source: &'a Source,
    pub tables: DeTable<'a>,
    /// The lines that are no TOML: whatever was salvaged from them says nothing more.
    broken: BTreeSet<usize>,
}

/// How many lines without a value are found at once; each costs one more look at the whole file.
const MOST_LINES_SKIPPED: usize = 20;

/// Takes out the lines at which the parser would give up, so that it sees the rest of the file too.
pub(super) fn skip_lines_without_value(source: &mut Source, errors: &mut Vec<Error>) {
    for _ in 0..MOST_LINES_SKIPPED {
        let (_, faults) = DeTable::parse_recoverable(source.text());
        let Some(fault) = faults.iter().find(|fault| fault.message().starts_with("key with no value")) else {
            return;
        };
        let place = source.place(fault.span().unwrap_or_default().start);
        source.blank(place.line);
        let wrong = Wrong::new("a key without a value", "KEY = VALUE, or a '#' before a remark");
        errors.push(place.error("", wrong, Concerns::All));
    }
}

impl<'a> Document<'a> {
    /// Parses `source`; what is no TOML goes to `errors`, one for each line.
    pub(super) fn parse(source: &'a Source, errors: &mut Vec<Error>) -> Document<'a> {
        let (tables, mut faults) = DeTable::parse_recoverable(source.text());
        faults.sort_by_key(|fault| fault.span().map(|span| span.start));
        let mut broken = BTreeSet::new();
        for fault in faults {
            let span = fault.span().unwrap_or_default();
            let place = source.place(span.start);
            if broken.insert(place.line) {
                let text = source.text().get(span).unwrap_or_default();
                errors.push(place.error("", explain(fault.message(), text), Concerns::All));
            }
        }
        Document { source, tables: tables.into_inner(), broken }
    }

    /// Where `span` begins, unless its line has been reported as no TOML.
    pub(super) fn sound_place(&self, span: &Range<usize>) -> Option<Place> {
        Some(self.place(span)).filter(|place| !self.broken.contains(&place.line))
    }

    /// Where `span` begins.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        self.source.place(span.start)
    }

    /// The error at `span`, unless its line has been reported as no TOML.
    pub(super) fn error(
        &self,
        span: &Range<usize>,
        key: &str,
        wrong: Wrong,
        concerns: Concerns,
    ) -> Option<Error> {
        self.sound_place(span).map(|place| place.error(key, wrong, concerns))
    }
}

/// The parser's `message` about `text`, in the words of somebody who does not know its grammar.
fn explain(message: &str, text: &str) -> Wrong {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    match what {
        "string values must be quoted" if text.is_empty() => {
            Wrong::new("no value after the '='", "a value, such as \"5m\" or 8080")
        }
        "string values must be quoted" => {
            Wrong::new(format!("text without quotes: {}", quoted(text)), "put it in double quotes")
        }
        "duplicate key" => {
            let key = written(text.trim_matches(['"', '\'']));
            Wrong::new(format!("{key} is defined a second time in this file"), "keep one of the two")
        }
        "invalid basic string" | "invalid literal string" if text.is_empty() => {
            Wrong::new("the text does not end", format!("a closing {}", expected.replace('`', "")))
        }
        _ if matches!(expected, "" | "nothing") => Wrong::new(format!("not TOML: {what}"), "mend this line"),
        _ => Wrong::new(format!("not TOML: {what}"), format!("expected {expected}")),
    }
}
