//! The line that `systemctl status` shows, put together from the sidecars of a helper.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::name::Name;
use crate::systemd;

/// What each sidecar of a helper last said of itself.
#[derive(Clone, Debug, Default)]
pub struct Board {
    lines: Rc<RefCell<BTreeMap<Name, String>>>,
}

/// One sidecar's place on the [`Board`].
#[derive(Clone, Debug)]
pub struct Status {
    name: Name,
    board: Board,
}

impl Board {
    /// The place of one sidecar.
    pub fn place(&self, name: Name) -> Status {
        Status { name, board: self.clone() }
    }

    /// All of it in one line; the names are left out where there is only one.
    pub fn line(&self) -> String {
        let lines = self.lines.borrow();
        match lines.len() {
            1 => lines.values().cloned().collect(),
            _ => lines.iter().map(|(name, line)| format!("{name}: {line}")).collect::<Vec<_>>().join("; "),
        }
    }
}

impl Status {
    /// Says it to systemd, if it is news.
    pub fn set(&self, line: String) {
        let old = self.board.lines.borrow_mut().insert(self.name.clone(), line.clone());
        if old.as_ref() != Some(&line) {
            systemd::notify_status(&self.board.line());
        }
    }
}
