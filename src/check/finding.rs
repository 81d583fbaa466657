//! One thing that an admin should know: how grave it is, where, what, and what to do.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::config::{self, table_key};
use crate::name::Name;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// It works, but not as it is meant to.
    Warning,
    /// It does not work.
    Error,
}

/// One finding. As text it is a line `FILE:LINE:COLUMN: warning: key: what is wrong: what would be right`, with no word
/// for an error and without the parts that do not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// A file of the configuration, a unit file or the engine's socket; null where it is about none.
    pub file: Option<String>,
    /// Counted from 1; null where it is about all of the file.
    pub line: Option<usize>,
    /// Counted from 1; known of the configuration alone.
    pub column: Option<usize>,
    /// The container that it is about, or null.
    pub container: Option<String>,
    /// The key with its tables, or that of the unit file; empty where no key can be named.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, or what to do.
    pub hint: String,
}

impl Finding {
    /// A finding that is about no place yet.
    pub fn new(severity: Severity, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding {
            severity,
            file: None,
            line: None,
            column: None,
            container: None,
            key: String::new(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The same of a file, and of a line in it.
    pub fn in_file(self, file: &Path, line: Option<usize>) -> Finding {
        Finding { file: Some(file.display().to_string()), line, ..self }
    }

    /// The same of a place in the configuration.
    pub fn in_config(self, place: &config::Place) -> Finding {
        Finding { column: Some(place.column), ..self.in_file(&place.file, Some(place.line)) }
    }

    /// The same of a container.
    pub fn of_container(self, container: &str) -> Finding {
        Finding { container: Some(container.to_owned()), ..self }
    }

    /// The same about a key.
    pub fn about(self, key: &str) -> Finding {
        Finding { key: key.to_owned(), ..self }
    }

    /// The same about a key in the table of a sidecar, or about all of that table where it is empty.
    pub fn about_sidecar(self, name: &Name, key: &str) -> Finding {
        let dot = if key.is_empty() { "" } else { "." };
        self.about(&format!("{}{dot}{key}", table_key(name)))
    }
}

/// Each of `findings` once: what is true of several is told of all.
pub(super) fn once(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for finding in findings {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
}

impl From<&config::Error> for Finding {
    fn from(error: &config::Error) -> Finding {
        let place = config::Place { file: error.file.clone(), line: error.line, column: error.column };
        Finding::new(Severity::Error, &error.what, &error.cure).in_config(&place).about(&error.key)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            let numbers = [self.line, self.column].into_iter().flatten();
            write!(out, "{file}:{} ", numbers.map(|number| format!("{number}:")).collect::<String>())?;
        }
        if let Some(container) = &self.container {
            write!(out, "container {container}: ")?;
        }
        // As compilers write it, which editors read.
        out.write_str(match self.severity {
            Severity::Note => "note: ",
            Severity::Warning => "warning: ",
            Severity::Error => "",
        })?;
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{}: {}", self.message, self.hint)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Finding, Severity};

    #[test]
    fn a_line_has_the_parts_that_apply() {
        let finding = Finding::new(Severity::Warning, "bad", "mend it");
        assert_eq!(finding.to_string(), "warning: bad: mend it");
        let unit = finding.clone().in_file(Path::new("/x.conf"), Some(2)).about("ListenStream");
        assert_eq!(unit.to_string(), "/x.conf:2: warning: ListenStream: bad: mend it");
        let container = Finding { severity: Severity::Error, ..finding }.of_container("web");
        assert_eq!(container.to_string(), "container web: bad: mend it");
    }
}
