//! What a connection tells about itself while it runs, for the one who decides about idleness.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Rings when a byte comes from a client, while somebody listens: a frozen container cannot see to it by itself.
#[derive(Debug, Default)]
pub struct Bell {
    is_listened_to: Cell<bool>,
    rung: Notify,
}

/// Counters of one connection: its pumps write them, its sidecar reads them, on one thread.
#[derive(Debug)]
pub struct Meter {
    /// Bytes from the client to the container.
    pub up: Lane,
    /// Bytes from the container to the client.
    pub down: Lane,
    /// Whether the container has been reached: before that its client waits for it.
    pub connected: Cell<bool>,
}

/// One direction of a [`Meter`].
#[derive(Debug)]
pub struct Lane {
    taken: Cell<u64>,
    passed_on: Cell<u64>,
    last: Cell<Instant>,
    ended: Cell<Option<Instant>>,
    bell: Option<Rc<Bell>>,
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many there were.
    pub connections: u64,
    /// Bytes to the container.
    pub up: u64,
    /// Bytes from the container.
    pub down: u64,
}

impl Bell {
    /// Begins or ends listening.
    pub fn listen(&self, whether: bool) {
        self.is_listened_to.set(whether);
    }

    /// Waits until it rings; at once if it has rung since the last time.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    fn ring(&self) {
        if self.is_listened_to.get() {
            self.rung.notify_one();
        }
    }
}

impl Meter {
    /// A connection that begins at `now`; what its client sends rings `bell`.
    pub fn new(now: Instant, bell: Rc<Bell>) -> Meter {
        let lane = |bell| Lane {
            taken: Cell::new(0),
            passed_on: Cell::new(0),
            last: Cell::new(now),
            ended: Cell::new(None),
            bell,
        };
        Meter { up: lane(Some(bell)), down: lane(None), connected: Cell::new(false) }
    }
}

impl Lane {
    /// How many bytes have come this way.
    pub fn bytes(&self) -> u64 {
        self.taken.get()
    }

    /// How many of them have been passed on.
    pub fn delivered(&self) -> u64 {
        self.passed_on.get()
    }

    /// Whether bytes have been taken that are not passed on yet.
    pub fn is_under_way(&self) -> bool {
        self.taken.get() != self.passed_on.get()
    }

    /// When the last byte came this way; the connection's beginning before the first.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// When the sender has said that nothing more comes, if it has.
    pub fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    pub(super) fn take(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes as u64);
        self.last.set(Instant::now());
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    pub(super) fn pass_on(&self, bytes: usize) {
        self.passed_on.set(self.passed_on.get() + bytes as u64);
    }

    pub(super) fn end(&self) {
        self.ended.set(Some(Instant::now()));
    }
}

impl Totals {
    /// One connection more.
    pub fn add(&mut self, meter: &Meter) {
        self.connections = self.connections.saturating_add(1);
        self.up = self.up.saturating_add(meter.up.bytes());
        self.down = self.down.saturating_add(meter.down.bytes());
    }

    /// What others have been.
    pub fn join(&mut self, others: Totals) {
        self.connections = self.connections.saturating_add(others.connections);
        self.up = self.up.saturating_add(others.up);
        self.down = self.down.saturating_add(others.down);
    }
}
