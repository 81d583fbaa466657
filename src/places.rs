//! The folders that all helpers and commands of one machine share.

use std::env;
use std::path::PathBuf;

/// Where rouse-control@.socket puts the control sockets.
pub const SOCKETS: &str = "/run/rouse";
/// Where `StateDirectory=` of rouse@.service is.
const STATES: &str = "/var/lib/rouse";

/// Where commands look for the control sockets: `$ROUSE_RUNTIME_DIRECTORY`, else /run/rouse. `$RUNTIME_DIRECTORY` is that of
/// the service that calls the command.
pub fn sockets() -> PathBuf {
    given("ROUSE_RUNTIME_DIRECTORY", SOCKETS)
}

/// Where commands look for the state files: `$ROUSE_STATE_DIRECTORY`, else /var/lib/rouse.
pub fn states() -> PathBuf {
    given("ROUSE_STATE_DIRECTORY", STATES)
}

/// Where rouse's own services have the state files: `$STATE_DIRECTORY` of systemd.exec(5), else /var/lib/rouse.
pub fn own_states() -> PathBuf {
    given("STATE_DIRECTORY", STATES)
}

fn given(variable: &str, usual: &str) -> PathBuf {
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
