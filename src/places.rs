//! The folders that all helpers and commands of one machine share.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::name::Name;

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

/// The sidecars that have a file in `folder`, called like them with this `suffix`, in the order of their names; none where there is
/// no such folder.
pub fn named(folder: &Path, suffix: &str) -> io::Result<Vec<Name>> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for file in files {
        let file = file?.file_name();
        let stem = file.to_str().and_then(|file| file.strip_suffix(suffix));
        names.extend(stem.and_then(|stem| Name::new(stem).ok()));
    }
    names.sort_unstable();
    Ok(names)
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
