//! What the sidecars of a helper say of themselves: the line that `systemctl status` shows, what the control socket tells, and
//! whether all are asleep.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::clock::now_ms;
use crate::name::Name;
use crate::record::Record;
use crate::shown::Shown;
use crate::systemd;
use crate::why::{Step, Why};

/// What each sidecar of a helper last said of itself.
#[derive(Clone, Debug, Default)]
pub struct Board {
    places: Rc<RefCell<BTreeMap<Name, Place>>>,
    rested: Rc<Notify>,
    spoken: Rc<Notify>,
}

#[derive(Debug, Default)]
struct Place {
    line: String,
    rests: bool,
    /// What it has said, if it has.
    said: Option<Record>,
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
        self.places.borrow_mut().insert(name.clone(), Place::default());
        Status { name, board: self.clone() }
    }

    /// All of it in one line; the names are left out where there is only one.
    pub fn line(&self) -> String {
        let places = self.places.borrow();
        match places.len() {
            1 => places.values().map(|place| place.line.clone()).collect(),
            _ => {
                let said = |(name, place): (&Name, &Place)| format!("{name}: {}", place.line);
                places.iter().map(said).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// What a sidecar of this helper last said, as soon as it has said anything.
    pub async fn shown(&self, name: &Name) -> Shown {
        loop {
            let spoken = self.spoken.notified();
            if let Some(record) = self.places.borrow().get(name).and_then(|place| place.said.as_ref()) {
                return Shown::of(record, now_ms());
            }
            spoken.await;
        }
    }

    /// Whether nothing keeps the helper but who may be coming.
    pub fn all_rest(&self) -> bool {
        self.places.borrow().values().all(|place| place.rests)
    }

    /// Waits until one of them has gone to rest.
    pub async fn one_rests(&self) {
        self.rested.notified().await;
    }
}

impl Status {
    /// Says what it does; the helper is needed.
    pub fn say(&self, record: &Record) {
        self.put(record, false);
    }

    /// Says it; the helper may leave.
    pub fn rest(&self, record: &Record) {
        self.put(record, true);
        self.board.rested.notify_one();
    }

    fn put(&self, record: &Record, rests: bool) {
        let place = Place { line: line(record), rests, said: Some(record.clone()) };
        let is_news = self.board.places.borrow().get(&self.name).is_none_or(|old| old.line != place.line);
        self.board.places.borrow_mut().insert(self.name.clone(), place);
        self.board.spoken.notify_waiters();
        if is_news {
            systemd::notify_status(&self.board.line());
        }
    }
}

/// One line of state. It says nothing that is not true for a while.
fn line(record: &Record) -> String {
    let Record { container, why, .. } = record;
    let text = why.text(now_ms());
    match why {
        Why::Unasked => format!("asleep, {text}"),
        Why::Starting => format!("waking: starting {container}"),
        Why::Turn { .. } | Why::Requires { .. } | Why::Unready { .. } => format!("waking: {text}"),
        Why::Stepping { step: Step::Pause } => format!("pausing {container}"),
        Why::Stepping { step: Step::Sleep } => format!("going to sleep: stopping {container}"),
        Why::Failed { .. }
        | Why::EngineUnreachable { .. }
        | Why::Rejected { .. }
        | Why::Off
        | Why::Unattended
        | Why::Unreadable { .. } => text,
        Why::Unused { .. } => is_open(record),
        Why::Busy { .. } | Why::Owes { .. } | Why::Held { .. } | Why::Connected { .. } | Why::Never => {
            format!("{}; {text}", is_open(record))
        }
    }
}

fn is_open(record: &Record) -> String {
    format!("{}, open connections: {}", record.state.name(), record.connections)
}
