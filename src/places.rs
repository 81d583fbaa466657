//! The folders that all helpers and commands of one machine share.

use std::env;
use std::path::PathBuf;

/// Where rouse-control@.socket puts the control sockets.
pub const SOCKETS: &str = "/run/rouse";

/// Where the control sockets are: `$RUNTIME_DIRECTORY` of systemd.exec(5), else /run/rouse.
pub fn sockets() -> PathBuf {
    given("RUNTIME_DIRECTORY", SOCKETS)
}

/// The folder that an environment variable of systemd names, else the usual one.
pub fn given(variable: &str, usual: &str) -> PathBuf {
    first(&env::var(variable).unwrap_or_default(), usual)
}

fn first(given: &str, usual: &str) -> PathBuf {
    // With several directories systemd joins them by colons.
    match given.split(':').next() {
        Some(first) if !first.is_empty() => first.into(),
        _ => usual.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::first;

    #[test]
    fn the_first_of_several_folders_counts_and_none_is_the_usual_one() {
        for (given, folder) in [("", "/u"), ("/a", "/a"), ("/a:/b", "/a"), (":/b", "/u")] {
            assert_eq!(first(given, "/u"), Path::new(folder), "{given}");
        }
    }
}
