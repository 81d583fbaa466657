//! What a terminal shows well: its width, colours, and text that cannot steer it.

use std::borrow::Cow;
use std::env;
use std::fmt;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless `$NO_COLOR` is set; also elsewhere with `$CLICOLOR_FORCE`
    #[default]
    Auto,
    /// Always, as for `watch -c`
    Always,
    /// Never
    Never,
}

/// Where the standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// The columns that a line may have.
    pub width: Option<usize>,
    /// Whether to colour.
    pub colored: bool,
}

/// The colours of the terminal's own palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As all text.
    Plain,
    /// Stands out.
    Bold,
    /// Steps back.
    Dim,
    /// All is well.
    Green,
    /// Not for long.
    Yellow,
    /// Something is wrong.
    Red,
    /// At rest.
    Blue,
}

impl Terminal {
    /// Where the standard output goes, and what the environment says of it.
    pub fn of_output(when: When) -> Terminal {
        let is_terminal = stdout().is_terminal();
        Terminal { width: width(stdout()), colored: when.is_now(is_terminal, |name| env::var(name).ok()) }
    }

    /// `text` in a colour, if there are any.
    pub fn paint(&self, colour: Colour, text: impl fmt::Display) -> String {
        match (self.colored, colour.code()) {
            (true, Some(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }
}

impl When {
    fn is_now(self, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        match self {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto if set("CLICOLOR_FORCE") && variable("CLICOLOR_FORCE").as_deref() != Some("0") => true,
            When::Auto => is_terminal && variable("TERM").as_deref() != Some("dumb"),
        }
    }
}

impl Colour {
    /// SGR of ECMA-48.
    fn code(self) -> Option<u8> {
        match self {
            Colour::Plain => None,
            Colour::Bold => Some(1),
            Colour::Dim => Some(2),
            Colour::Red => Some(31),
            Colour::Green => Some(32),
            Colour::Yellow => Some(33),
            Colour::Blue => Some(34),
        }
    }
}

/// The columns that a line may have there.
pub fn width(stream: impl AsFd) -> Option<usize> {
    // An interactive shell does not export it; who does (watch) means it, and watch gives a pipe.
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let own = || tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    columns.or_else(own).filter(|width| *width > 0)
}

/// `text` on one line, without what could steer a terminal: it may be a container's own.
pub fn harmless(text: &str) -> String {
    // Marks that change the direction of what follows, and those that nobody sees.
    let hidden = |c: char| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let shown = |c: char| if c.is_control() || hidden(c) { '\u{fffd}' } else { c };
    text.split_whitespace().map(|word| word.chars().map(shown).collect()).collect::<Vec<String>>().join(" ")
}

/// The columns that `text` takes up.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// `text` in at most so many columns, with an ellipsis for what is left out.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return text.into();
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken < width
    };
    let start: String = text.chars().take_while(fits).collect();
    match width {
        0 => "".into(),
        _ => format!("{}…", start.trim_end()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_writes_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("exit code 1\nno\tsuch  file\r\n", "exit code 1 no such file"),
            ("\x1b[2J\x1b]0;title\x07red", "\u{fffd}[2J\u{fffd}]0;title\u{fffd}red"),
            ("\u{9b}31m \u{7f}", "\u{fffd}31m \u{fffd}"),
            ("a\u{202e}b\u{200b}c", "a\u{fffd}b\u{fffd}c"),
            ("größer – 日本", "größer – 日本"),
        ] {
            assert_eq!(harmless(text), shown, "{text:?}");
        }
    }

    #[test]
    fn text_is_cut_by_the_columns_it_takes() {
        for (text, width, shown) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("ab cdef", 4, "ab…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(text, width), shown, "{text} {width}");
            assert!(columns(&cut(text, width)) <= width);
        }
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        let auto = |is_terminal, environment: &[(&str, &str)]| {
            let find = |name: &str| {
                environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
            };
            When::Auto.is_now(is_terminal, find)
        };
        assert!(auto(true, &[]) && auto(true, &[("NO_COLOR", "")]));
        assert!(!auto(false, &[]) && !auto(true, &[("NO_COLOR", "1")]) && !auto(true, &[("TERM", "dumb")]));
        assert!(auto(false, &[("CLICOLOR_FORCE", "1")]) && !auto(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(When::Always.is_now(false, |_| None) && !When::Never.is_now(true, |_| None));
    }
}
