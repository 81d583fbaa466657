//! The units of sidecars as their files say, without asking systemd: what it would make of them after a reload.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use file::Setting;
pub use listen::Listen;
use path::find;
pub use path::{below, search_path};
pub use socket::Socket;
pub use unit::Unit;

use crate::name::Name;

mod file; // the settings of one file, each with its line
mod listen; // a value of ListenStream=
mod path; // where unit files are looked for
mod socket; // a socket unit and what it makes of its settings
mod specifier; // what %i and its like stand for
mod unit; // a unit: its file and its drop-ins

/// The template of the sockets of sidecars.
const PREFIX: &str = "rouse@";
const SUFFIX: &str = ".socket";

/// The unit files of one machine.
#[derive(Debug)]
pub struct Units {
    path: Vec<PathBuf>,
    /// The socket units in the order of their names: instances of `rouse@.socket`, and those of another name whose file
    /// says `FileDescriptorName=`, of which some may be sidecars' too.
    pub sockets: Vec<Socket>,
}

impl Units {
    /// Reads the units in the directories of `path`, of which the first wins.
    pub fn read(path: Vec<PathBuf>) -> Units {
        let mut names = BTreeSet::new();
        for directory in &path {
            for entry in entries(directory) {
                match entry.strip_suffix(".d").or(Some(&entry)).filter(|unit| instance(unit).is_some()) {
                    // What `systemctl revert` or somebody by hand has left of it is no unit.
                    Some(unit) if unit != entry && entries(&directory.join(&entry)).is_empty() => {}
                    Some(unit) => drop(names.insert(unit.to_owned())),
                    None if is_other_socket(&entry) => drop(names.insert(entry)),
                    None => {
                        let links =
                            if is_wants(&entry) { entries(&directory.join(entry)) } else { Vec::new() };
                        names.extend(links.into_iter().filter(|link| instance(link).is_some()));
                    }
                }
            }
        }
        let sockets = names.iter().filter_map(|name| Socket::read(name, &path));
        let sockets = sockets.filter(|socket| instance(&socket.unit).is_some() || socket.is_named).collect();
        Units { sockets, path }
    }

    /// The directories that were searched.
    pub fn path(&self) -> &[PathBuf] {
        &self.path
    }

    /// The sockets of sidecars, by name: the instances, and each other one whose name `has_table` knows. Another program's socket
    /// may have a name too; it is a sidecar's if somebody says so.
    pub fn of_sidecars(&self, has_table: impl Fn(&Name) -> bool) -> impl Iterator<Item = (Name, &Socket)> {
        let named = self.sockets.iter().filter_map(|socket| Some((Name::new(&socket.name).ok()?, socket)));
        named.filter(move |(name, socket)| instance(&socket.unit).is_some() || has_table(name))
    }

    /// Whether `rouse@.socket` itself is installed.
    pub fn has_template(&self) -> bool {
        find(&self.path, &format!("{PREFIX}{SUFFIX}")).is_some()
    }

    /// The service of the helper of `rouse@INSTANCE.socket`, if it is installed.
    pub fn service(&self, instance: &str) -> Option<Unit> {
        Unit::read(&format!("{PREFIX}{instance}.service"), &self.path).filter(|unit| unit.file.is_some())
    }
}

/// The instance of `rouse@INSTANCE.socket`; none of another unit, nor of the template itself.
pub fn instance(unit: &str) -> Option<&str> {
    unit.strip_prefix(PREFIX)?.strip_suffix(SUFFIX).filter(|instance| !instance.is_empty())
}

/// A socket unit that somebody wrote by hand; what a template means cannot be told without its instances.
fn is_other_socket(entry: &str) -> bool {
    entry.ends_with(SUFFIX) && !entry.contains('@')
}

/// Whether a directory holds links to the units that are enabled.
fn is_wants(directory: &str) -> bool {
    [".wants", ".requires", ".upholds"].iter().any(|suffix| directory.ends_with(suffix))
}

/// The names in `directory`, in order; none where it cannot be read, which is how systemd sees it too.
fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
