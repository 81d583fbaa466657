//! The text of one file, and the line and column of a byte in it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{Concerns, Error, Wrong};

/// One configuration file as it was read.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
    /// The offset of each line's first byte; never empty.
    lines: Vec<usize>,
}

/// A line and a column of one file, both counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named when it was opened.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters, from 1.
    pub column: usize,
}

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Source {
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { path, text, lines }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Overwrites line `number` with spaces, so that all other offsets stay what they are.
    pub(super) fn blank(&mut self, number: usize) {
        let start = self.lines.get(number - 1).copied().unwrap_or(self.text.len());
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        self.text.replace_range(start..end, &" ".repeat(end - start));
    }

    /// Where the byte at `offset` is; columns count characters, as editors do.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        // A byte order mark is no column: nobody sees it.
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        Place { file: self.path.clone(), line, column }
    }
}

impl Place {
    /// The beginning of `file`, for what is wrong with all of it.
    pub(super) fn start_of(file: &Path) -> Place {
        Place { file: file.to_owned(), line: 1, column: 1 }
    }

    /// An error at this place.
    pub(super) fn error(&self, key: &str, wrong: Wrong, concerns: Concerns) -> Error {
        let Place { file, line, column } = self.clone();
        Error { file, line, column, key: key.to_owned(), what: wrong.what, cure: wrong.cure, concerns }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Source;

    fn at(text: &str, offset: usize) -> (usize, usize) {
        let place = Source::new("rouse.toml".into(), text.to_owned()).place(offset);
        (place.line, place.column)
    }

    #[test]
    fn counts_lines_and_columns_from_one() {
        assert_eq!(at("ab\ncd\n", 0), (1, 1));
        assert_eq!(at("ab\ncd\n", 2), (1, 3));
        assert_eq!(at("ab\ncd\n", 3), (2, 1));
        assert_eq!(at("ab\r\ncd", 5), (2, 2));
    }

    #[test]
    fn counts_characters_not_bytes() {
        let text = "name = \"größe\" # x";
        assert_eq!(at(text, text.find('#').unwrap()), (1, 16));
        assert_eq!(at("\u{feff}port", 3), (1, 1));
    }

    #[test]
    fn blanks_a_line_and_moves_nothing() {
        let mut source = Source::new("rouse.toml".into(), "a\ngröße\nb".to_owned());
        source.blank(2);
        assert_eq!(source.text(), "a\n       \nb");
        source.blank(3);
        source.blank(1);
        source.blank(4);
        assert_eq!(source.text(), " \n       \n ");
    }

    #[test]
    fn stays_inside_the_text() {
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("", 7), (1, 1));
        assert_eq!(at("ab\n", 100), (2, 1));
        assert_eq!(at("ä", 1), (1, 1));
    }
}
