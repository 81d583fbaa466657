//! What a connection tells about itself while it runs, for the one who decides about idleness.

use std::cell::Cell;

use tokio::time::Instant;

/// Counters of one connection: its pumps write them, its sidecar reads them, on one thread.
#[derive(Debug)]
pub struct Meter {
    /// Bytes from the client to the container.
    pub up: Lane,
    /// Bytes from the container to the client.
    pub down: Lane,
}

/// One direction of a [`Meter`].
#[derive(Debug)]
pub struct Lane {
    bytes: Cell<u64>,
    last: Cell<Instant>,
    ended: Cell<bool>,
}

impl Meter {
    /// A connection that begins at `now`.
    pub fn new(now: Instant) -> Meter {
        let lane = || Lane { bytes: Cell::new(0), last: Cell::new(now), ended: Cell::new(false) };
        Meter { up: lane(), down: lane() }
    }
}

impl Lane {
    /// How many bytes have come this way.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// When the last byte came this way; the connection's beginning before the first.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// Whether the sender has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(super) fn moved(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
        self.last.set(Instant::now());
    }

    pub(super) fn end(&self) {
        self.ended.set(true);
    }
}
