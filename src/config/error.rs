//! One thing that is wrong: where, what, and what would be right.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::name::Name;

/// One error of the configuration; shown as `FILE:LINE:COLUMN: key: what is wrong: what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file, as it was named when it was opened.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters, from 1.
    pub column: usize,
    /// The key with its tables, such as `sidecar.ollama.port`; empty where no key can be named.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub cure: String,
    /// The sidecars that must not run because of it.
    pub concerns: Concerns,
}

/// The sidecars that an error stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// Any could be meant, so none may run.
    All,
    /// This one, because it is in its table.
    One(Name),
}

/// What is wrong with a value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub what: String,
    pub cure: String,
    /// The key inside the value, where it is that one's fault.
    pub key: Option<String>,
    /// Where in the value it is; `None`: all of it is meant.
    pub span: Option<Range<usize>>,
}

impl Concerns {
    /// Whether the error stops the sidecar `name`.
    pub fn include(&self, name: &Name) -> bool {
        match self {
            Concerns::All => true,
            Concerns::One(other) => other == name,
        }
    }
}

impl Error {
    /// Whether it leaves open which tables there are: without a key, a line or a whole file could not be read.
    pub(super) fn hides_tables(&self) -> bool {
        self.key.is_empty()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{}: {}", self.what, self.cure)
    }
}

impl std::error::Error for Error {}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), cure: cure.into(), key: None, span: None }
    }

    /// The same, but it is the part of the value at `span`.
    pub(super) fn at(self, span: Range<usize>) -> Wrong {
        Wrong { span: Some(span), ..self }
    }

    /// The same, but it is the key `key` inside the value, at `span`.
    pub(super) fn inside(self, key: &str, span: Range<usize>) -> Wrong {
        Wrong { key: Some(key.to_owned()), ..self.at(span) }
    }
}

/// Lets `?` pass one fault where several are possible.
impl From<Wrong> for Vec<Wrong> {
    fn from(wrong: Wrong) -> Vec<Wrong> {
        vec![wrong]
    }
}

/// `text` in quotes, on one line and never long.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// `text`, never long.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)) {
        None => text.into(),
        Some(start) => format!("{start}…").into(),
    }
}

/// `key` as it is written in TOML: bare where that is allowed.
pub(super) fn written(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !key.is_empty() && key.chars().all(bare) && key.len() <= 90 {
        true => key.to_owned(),
        false => quoted(key),
    }
}

/// The key of the table of the sidecar `name`.
pub fn table_key(name: &Name) -> String {
    format!("sidecar.{}", written(name.as_str()))
}
