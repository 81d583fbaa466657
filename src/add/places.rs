//! Where the files are, below `/` or another root.

use std::path::{Path, PathBuf};

use crate::name::Name;
use crate::places;
use crate::units::{Units, below, search_path};

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
        below(&self.root, places::configuration())
    }

    /// The file with the table of the sidecar `name`.
    pub fn table(&self, name: &Name) -> PathBuf {
        self.configuration().join(format!("rouse.d/{name}.toml"))
    }

    /// The drop-in that says where the socket of the sidecar `name` listens.
    pub fn drop_in(&self, name: &Name) -> PathBuf {
        below(&self.root, places::units()).join(format!("rouse@{name}.socket.d/listen.conf"))
    }

    /// Where the state files are.
    pub fn states(&self) -> PathBuf {
        below(&self.root, &places::states())
    }

    /// The unit files.
    pub fn units(&self) -> Units {
        Units::read(search_path(&self.root))
    }
}
