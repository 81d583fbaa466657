//! The name of a sidecar: what `FileDescriptorName=` carries and what its table is called.

use std::fmt;
use std::str::FromStr;

/// A checked sidecar name: `[a-zA-Z0-9][a-zA-Z0-9_.-]{0,89}`, and not `control`.
///
/// The bound leaves room for a prefix and a suffix in a file name or an fd name (systemd allows 255 bytes).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// The name of sockets that carry the control API, never of a sidecar.
pub const CONTROL: &str = "control";

impl Name {
    /// Checks `text`; the error says what a name looks like.
    pub fn new(text: &str) -> Result<Name, String> {
        if text == CONTROL {
            return Err(format!("{text:?} is reserved for the control socket: choose another name"));
        }
        let mut bytes = text.bytes();
        let valid = text.len() <= 90
            && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        match valid {
            true => Ok(Name(text.to_owned())),
            false => Err(format!(
                "{text:?} is not a sidecar name: a letter or digit, then up to 89 letters, digits, '_', '.' or '-'"
            )),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        Name::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn takes_the_names_of_real_sidecars() {
        for name in ["ollama", "kicad-mcp", "a", "0", "a_b.c-d", &"x".repeat(90)] {
            assert!(Name::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_what_a_unit_file_name_or_url_could_not_carry() {
        for name in ["", "control", "@stored", "-x", ".", "a/b", "a b", "a:b", "ä", &"x".repeat(91)] {
            assert!(Name::new(name).is_err(), "{name}");
        }
    }
}
