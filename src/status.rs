//! What the sidecars of a helper say of themselves: the line that `systemctl status` shows, and whether all are asleep.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::name::Name;
use crate::systemd;

/// What each sidecar of a helper last said of itself.
#[derive(Clone, Debug, Default)]
pub struct Board {
    lines: Rc<RefCell<BTreeMap<Name, Line>>>,
    changed: Rc<Notify>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    text: String,
    rests: bool,
}

/// One sidecar's place on the [`Board`].
#[derive(Clone, Debug)]
pub struct Status {
    name: Name,
    board: Board,
}

impl Board {
    /// The place of one sidecar, which does not rest yet.
    pub fn place(&self, name: Name) -> Status {
        self.lines.borrow_mut().insert(name.clone(), Line::default());
        Status { name, board: self.clone() }
    }

    /// All of it in one line; the names are left out where there is only one.
    pub fn line(&self) -> String {
        let lines = self.lines.borrow();
        match lines.len() {
            1 => lines.values().map(|line| line.text.clone()).collect(),
            _ => {
                let said = |(name, line): (&Name, &Line)| format!("{name}: {}", line.text);
                lines.iter().map(said).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Whether nothing keeps the helper but who may be coming.
    pub fn all_rest(&self) -> bool {
        self.lines.borrow().values().all(|line| line.rests)
    }

    /// Waits until one of them has gone to rest.
    pub async fn one_rests(&self) {
        self.changed.notified().await;
    }
}

impl Status {
    /// Says it to systemd, if it is news; the helper is needed.
    pub fn set(&self, text: String) {
        self.say(Line { text, rests: false });
    }

    /// Says it; the helper may leave.
    pub fn rest(&self, text: String) {
        self.say(Line { text, rests: true });
        self.board.changed.notify_one();
    }

    fn say(&self, line: Line) {
        let old = self.board.lines.borrow_mut().insert(self.name.clone(), line.clone());
        if old.is_none_or(|old| old.text != line.text) {
            systemd::notify_status(&self.board.line());
        }
    }
}
