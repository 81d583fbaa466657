//! The engines of a helper: one for each socket that its sidecars name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Docker;
use crate::places;

/// The engines that have been asked for so far.
#[derive(Debug, Default)]
pub struct Engines {
    known: RefCell<BTreeMap<PathBuf, Rc<Docker>>>,
}

impl Engines {
    /// The engine at `socket`, or the usual one.
    pub fn at(&self, socket: Option<&Path>) -> Rc<Docker> {
        let socket = match socket {
            Some(socket) => socket,
            None => usual(),
        };
        self.known
            .borrow_mut()
            .entry(socket.to_owned())
            .or_insert_with(|| Rc::new(Docker::new(socket)))
            .clone()
    }
}

/// Where an engine listens when the configuration does not say: the first that is there, else Docker's.
fn usual() -> &'static Path {
    let usual = places::engines();
    usual.iter().find(|path| path.exists()).unwrap_or(&usual[0])
}
