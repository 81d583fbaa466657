//! The engines of a helper: one for each socket that its sidecars name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Docker;

/// Where an engine listens when the configuration does not say: the first that is there.
const USUAL: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];

/// The engines that have been asked for so far.
#[derive(Debug, Default)]
pub struct Engines {
    known: RefCell<BTreeMap<PathBuf, Rc<Docker>>>,
}

impl Engines {
    /// The engine at `socket`, or the usual one.
    pub fn at(&self, socket: Option<&Path>) -> Rc<Docker> {
        let usual = || USUAL.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(USUAL[0]));
        let socket = socket.unwrap_or_else(usual);
        self.known
            .borrow_mut()
            .entry(socket.to_owned())
            .or_insert_with(|| Rc::new(Docker::new(socket)))
            .clone()
    }
}
