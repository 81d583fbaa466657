//! What a line of a container's log must look like.

use regex_lite::Regex;

/// A regular expression, compiled once; two are the same if they are written the same.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`; the error is the expression's own complaint, on one line.
    pub fn new(text: &str) -> Result<Pattern, String> {
        Regex::new(text).map(Pattern).map_err(|error| error.to_string().replace(char::is_control, " "))
    }

    /// Whether any part of `line` matches.
    pub fn is_match(&self, line: &str) -> bool {
        self.0.is_match(line)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Pattern;

    #[test]
    fn matches_any_part_of_a_line() {
        let pattern = Pattern::new(r"listening on .*:\d+").unwrap();
        assert!(pattern.is_match("12:00 listening on 0.0.0.0:80."));
        assert!(!pattern.is_match("Listening on 0.0.0.0:80"));
        assert!(!Pattern::new("^ready$").unwrap().is_match("not ready"));
    }

    #[test]
    fn is_what_is_written() {
        assert_eq!(Pattern::new("a|b").unwrap(), Pattern::new("a|b").unwrap());
        assert_ne!(Pattern::new("a|b").unwrap(), Pattern::new("b|a").unwrap());
        assert_eq!(Pattern::new("a|b").unwrap().as_str(), "a|b");
    }

    #[test]
    fn complains_on_one_line() {
        for text in ["(", "a{3,1}", "[", "\\", "(\n", "a{9999}{9999}", r"\p{L}", &"(".repeat(100_000)] {
            let complaint = Pattern::new(text).unwrap_err();
            assert!(!complaint.is_empty() && !complaint.contains(char::is_control), "{text}: {complaint}");
        }
    }
}
