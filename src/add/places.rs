//! Where the files are, below `/` or another root.

use std::path::{Path, PathBuf};

use crate::name::Name;

/// Where the units of systemd are; a file hides those of the same name further down (systemd.unit(5)).
const UNITS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The folders below one root.
#[derive(Clone, Debug)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// Those below `root`.
    pub fn below(root: &Path) -> Places {
        Places { root: root.to_owned() }
    }

    /// Where the configuration is.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/rouse")
    }

    /// The file with the table of the sidecar `name`.
    pub fn table(&self, name: &Name) -> PathBuf {
        self.configuration().join(format!("rouse.d/{name}.toml"))
    }

    /// The drop-in that says where the socket of the sidecar `name` listens.
    pub fn drop_in(&self, name: &Name) -> PathBuf {
        self.root.join(format!("etc/systemd/system/rouse@{name}.socket.d/listen.conf"))
    }

    /// The folders of systemd's units, the strongest first.
    pub(super) fn units(&self) -> impl Iterator<Item = PathBuf> {
        UNITS.iter().map(|folder| self.root.join(folder))
    }
}
