//! One line per sidecar, in as many columns as there is room for.

use super::element::Element;
use super::engine::Said;
use super::words::{ago, bytes, took};
use crate::record::State;
use crate::terminal::{Colour, Terminal, columns, cut, harmless};
use crate::why::Why;

const GAP: &str = "  ";
/// The reason is what one looks for: other columns go before it gets less room than this.
const REASON: usize = 24;
/// A name that is cut keeps so much, as long as there is room at all.
const NAME: usize = 8;

struct Column {
    title: &'static str,
    is_number: bool,
    /// The larger, the earlier it is left out.
    rank: u8,
    cell: fn(&Element, u64) -> (String, Colour),
}

/// All but the reason, which comes last and takes what is left.
const COLUMNS: [Column; 8] = [
    Column { title: "NAME", is_number: false, rank: 0, cell: |element, _| plain(&element.shown.sidecar) },
    Column {
        title: "STATE",
        is_number: false,
        rank: 0,
        cell: |element, _| (element.word().into(), colour(element)),
    },
    Column { title: "SINCE", is_number: false, rank: 2, cell: since },
    Column {
        title: "CLIENTS",
        is_number: true,
        rank: 1,
        cell: |element, _| plain(&element.shown.connections.to_string()),
    },
    Column { title: "ENGINE", is_number: false, rank: 3, cell: |element, _| engine(element) },
    Column { title: "WAKE", is_number: true, rank: 4, cell: usual_wake },
    Column {
        title: "UP",
        is_number: true,
        rank: 5,
        cell: |element, _| plain(&bytes(element.shown.totals.bytes_up)),
    },
    Column {
        title: "DOWN",
        is_number: true,
        rank: 5,
        cell: |element, _| plain(&bytes(element.shown.totals.bytes_down)),
    },
];

/// The table with its titles, each line ended.
pub fn render(elements: &[Element], now_ms: u64, terminal: &Terminal) -> String {
    let reasons: Vec<_> = elements.iter().map(|element| harmless(&element.shown.text)).collect();
    let longest = reasons.iter().map(|reason| columns(reason)).max().unwrap_or(0);
    let mut shown: Vec<_> = COLUMNS.iter().map(|column| Filled::of(column, elements, now_ms)).collect();
    if let Some(width) = terminal.width {
        let room = |shown: &[Filled]| {
            width.saturating_sub(shown.iter().map(|column| column.width + GAP.len()).sum())
        };
        for rank in (1..=5).rev() {
            if room(&shown) < longest.min(REASON) {
                shown.retain(|column| column.column.rank != rank);
            }
        }
        let lacking = longest.min(NAME).saturating_sub(room(&shown));
        if let Some(name) = shown.first_mut() {
            name.width = name.width.saturating_sub(lacking).max(name.width.min(NAME));
        }
    }
    let before: usize = shown.iter().map(|column| column.width + GAP.len()).sum();
    let fit = |line: &str| {
        terminal.width.map_or_else(|| line.to_owned(), |width| cut(line, width.saturating_sub(before)).into())
    };
    let mut text = String::new();
    for row in 0..=elements.len() {
        let (reason, colour) = match row.checked_sub(1) {
            None => ("WHY", Colour::Bold),
            Some(place) => (reasons[place].as_str(), reason_colour(&elements[place].shown.why)),
        };
        text.extend(shown.iter().map(|column| column.padded(row, terminal) + GAP));
        text.push_str(&terminal.paint(colour, fit(reason)));
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// A column with its title and all its cells, as wide as the widest.
struct Filled<'a> {
    column: &'a Column,
    cells: Vec<(String, Colour)>,
    width: usize,
}

impl Filled<'_> {
    fn of<'a>(column: &'a Column, elements: &[Element], now_ms: u64) -> Filled<'a> {
        let mut cells = vec![(column.title.to_owned(), Colour::Bold)];
        cells.extend(elements.iter().map(|element| (column.cell)(element, now_ms)));
        let width = cells.iter().map(|(text, _)| columns(text)).max().unwrap_or(0);
        Filled { column, cells, width }
    }

    /// One cell, in the column's width: the padding stays outside of the colour.
    fn padded(&self, row: usize, terminal: &Terminal) -> String {
        let (text, colour) = &self.cells[row];
        let text = cut(text, self.width);
        let padding = " ".repeat(self.width - columns(&text));
        let painted = terminal.paint(*colour, text);
        if self.column.is_number { padding + &painted } else { painted + &padding }
    }
}

fn plain(text: &str) -> (String, Colour) {
    (text.to_owned(), Colour::Plain)
}

fn since(element: &Element, now_ms: u64) -> (String, Colour) {
    plain(&element.shown.since_ms.map_or_else(|| "-".to_owned(), |then| ago(then, now_ms)))
}

fn usual_wake(element: &Element, _: u64) -> (String, Colour) {
    plain(&element.shown.usual_wake_ms.map_or_else(|| "-".to_owned(), took))
}

fn engine(element: &Element) -> (String, Colour) {
    match element.engine {
        Some(Said::Missing) => (Said::Missing.name().into(), Colour::Red),
        Some(said) => plain(said.name()),
        None => ("?".into(), Colour::Yellow),
    }
}

/// The colour of its state.
pub fn colour(element: &Element) -> Colour {
    match element.shown.state {
        State::Asleep => Colour::Dim,
        State::Waking | State::Pausing | State::Sleeping => Colour::Yellow,
        State::Awake => Colour::Green,
        State::Paused => Colour::Blue,
    }
}

/// The colour of its reason.
pub fn reason_colour(why: &Why) -> Colour {
    match why {
        Why::Failed { .. }
        | Why::EngineUnreachable { .. }
        | Why::Rejected { .. }
        | Why::Unreadable { .. } => Colour::Red,
        Why::Unattended => Colour::Yellow,
        _ => Colour::Plain,
    }
}
