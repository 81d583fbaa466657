//! The settings of one unit file, each with its line: the syntax of systemd.syntax(7).

use std::fs;
use std::path::{Path, PathBuf};

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file that it stands in.
    pub file: PathBuf,
    /// The line where it begins, counted from 1.
    pub line: usize,
    /// The section; empty before the first, where systemd ignores it.
    pub section: String,
    /// Before the `=`.
    pub key: String,
    /// Behind it.
    pub value: String,
}

/// The settings of `file` in their order; none where it cannot be read, as when it masks another one.
pub(super) fn read(file: &Path) -> Vec<Setting> {
    // A pipe would be waited for, and a device has no end: systemd reads neither.
    if !fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
        return Vec::new();
    }
    match fs::read(file) {
        Ok(bytes) => parse(file, &String::from_utf8_lossy(&bytes)),
        Err(_) => Vec::new(),
    }
}

fn parse(file: &Path, text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    for (line, text) in logical_lines(text) {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = text.split_once('=') {
            settings.push(Setting {
                file: file.to_owned(),
                line,
                section: section.clone(),
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
    settings
}

/// The lines without comments, each with its number; one that ends in a backslash goes on in the next, across comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part.to_owned() + " ", true),
            None => (line.to_owned(), false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(&part),
            None => lines.push((number, part)),
        }
        goes_on = continues;
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse;

    #[test]
    fn settings_know_their_section_and_the_line_where_they_begin() {
        let text = "ListenStream=1\n# a\n[Socket]\n ; b\nListenStream = 127.0.0.1:80 \nA=b \\\n# c\n  d\nnone\n[X]\nB=";
        let found: Vec<_> = parse(Path::new("f"), text)
            .into_iter()
            .map(|setting| (setting.line, setting.section, setting.key, setting.value))
            .collect();
        let expected = [
            (1, "", "ListenStream", "1"),
            (5, "Socket", "ListenStream", "127.0.0.1:80"),
            (6, "Socket", "A", "b    d"),
            (11, "X", "B", ""),
        ];
        let expected = expected.map(|(line, a, b, c)| (line, a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
    }
}
