//! The folders that all helpers and commands of one manager share: the system's, or that of a user.

mod folders; // where either has them

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::name::Name;
use folders::Folders;

/// Chosen by the command line, before anything is looked for.
static CHOSEN: OnceLock<Folders> = OnceLock::new();

/// From now on, the folders are those of the user who runs this, as with `systemctl --user`.
pub fn choose_user() {
    let _ = CHOSEN.set(Folders::of_user());
}

/// Those of the system, unless the user's were chosen.
fn folders() -> &'static Folders {
    CHOSEN.get_or_init(Folders::of_system)
}

/// Whether they are a user's.
pub fn are_users() -> bool {
    !folders().option.is_empty()
}

/// What systemctl is called as to reach the manager that has the units.
pub fn systemctl() -> String {
    format!("systemctl{}", folders().option)
}

/// What is typed for `command` of rouse to look at the same manager.
pub fn rouse(command: &str) -> String {
    format!("rouse {command}{}", folders().option)
}

/// What makes the first sidecar.
pub fn advice_to_add() -> &'static str {
    match are_users() {
        true => "/usr/share/doc/rouse/user-manager.md shows how to make one",
        false => "`rouse add NAME` makes one of a container that exists",
    }
}

/// What shows the journal of the helper of a sidecar.
pub fn journalctl(name: &Name) -> String {
    format!("journalctl{} -u rouse@{name}", folders().option)
}

/// What `%t` stands for in a unit.
pub fn runtime() -> &'static Path {
    &folders().runtime
}

/// Where the configuration is.
pub fn configuration() -> &'static Path {
    &folders().configuration
}

/// Where the units are that somebody wrote here.
pub fn units() -> &'static Path {
    &folders().units
}

/// Where units are looked for; the first folder wins.
pub fn unit_path() -> &'static [PathBuf] {
    &folders().unit_path
}

/// Where an engine listens when the configuration does not say: the first that is there.
pub fn engines() -> &'static [PathBuf] {
    &folders().engines
}

/// Where rouse-control@.socket puts the control sockets.
pub fn usual_sockets() -> PathBuf {
    folders().runtime.join("rouse")
}

/// Where commands look for the control sockets: `$ROUSE_RUNTIME_DIRECTORY`, else the usual folder. `$RUNTIME_DIRECTORY` is that
/// of the service that calls the command.
pub fn sockets() -> PathBuf {
    given("ROUSE_RUNTIME_DIRECTORY", usual_sockets)
}

/// Where commands look for the state files: `$ROUSE_STATE_DIRECTORY`, else the usual folder.
pub fn states() -> PathBuf {
    given("ROUSE_STATE_DIRECTORY", || folders().states.clone())
}

/// Where rouse's own services have the state files: `$STATE_DIRECTORY` of systemd.exec(5), else the usual folder. A user's is
/// made here: where `StateDirectory=` is for a user's manager depends on its version.
pub fn own_states() -> PathBuf {
    let folder = given("STATE_DIRECTORY", || folders().states.clone());
    if are_users() {
        // Where that fails, whoever writes there says why.
        let _ = fs::create_dir_all(&folder);
    }
    folder
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

fn given(variable: &str, usual: impl FnOnce() -> PathBuf) -> PathBuf {
    first(&env::var(variable).unwrap_or_default()).unwrap_or_else(usual)
}

/// With several directories systemd joins them by colons.
fn first(given: &str) -> Option<PathBuf> {
    given.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::first;

    #[test]
    fn the_first_of_several_folders_counts() {
        for (given, folder) in [("", None), ("/a", Some("/a")), ("/a:/b", Some("/a")), (":/b", None)] {
            assert_eq!(first(given), folder.map(PathBuf::from), "{given}");
        }
    }
}
