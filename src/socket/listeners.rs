//! The listening sockets of one name.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::is_full_table;
use super::listener::Listener;
use super::stream::Stream;

/// How long accepting pauses when the file table is full.
const FULL_TABLE_PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets of one name, accepted from as one. One task at a time may wait on it.
#[derive(Debug)]
pub struct Listeners {
    list: Vec<Listener>,
    /// While the file table is full: when to try again.
    full_until: Cell<Option<Instant>>,
    turn: Cell<usize>,
}

impl Listeners {
    /// Puts the sockets on the reactor.
    pub fn new(sockets: Vec<OwnedFd>) -> io::Result<Listeners> {
        let list = sockets.into_iter().map(Listener::new).collect::<io::Result<_>>()?;
        Ok(Listeners { list, full_until: Cell::default(), turn: Cell::default() })
    }

    /// Each of them, in the order in which they were passed.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.list.iter()
    }

    /// The next client, and the port that it connected to. Cancelling it loses nobody.
    ///
    /// It never fails: a client that has gone again is passed over (accept(2) names the errors that belong to the client
    /// alone), and a full file table is waited out while the clients stay in the kernel's queue.
    pub async fn accept(&self) -> (Stream, Option<u16>) {
        loop {
            let was_full = self.full_until.get();
            if let Some(until) = was_full {
                sleep_until(until).await;
            }
            let (accepted, port) = poll_fn(|context| self.poll_accept(context)).await;
            match accepted {
                Ok(stream) => {
                    self.full_until.set(None);
                    return (stream, port);
                }
                Err(error) if is_full_table(&error) => {
                    self.full_until.set(Some(Instant::now() + FULL_TABLE_PAUSE));
                    if was_full.is_none() {
                        let cure = "raise LimitNOFILE= or lower max_connections";
                        tracing::warn!(target: "rouse", "accepting pauses until descriptors are free: {error}: {cure}");
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<(io::Result<Stream>, Option<u16>)> {
        // Each is asked first in turn: where one client at a time is let in, a long queue must not hide the others.
        let first = self.turn.get();
        for index in (first..self.list.len()).chain(0..first) {
            let listener = &self.list[index];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                self.turn.set((index + 1) % self.list.len());
                return Poll::Ready((accepted, listener.port()));
            }
        }
        Poll::Pending
    }

    /// The next client, if one is queued at this moment and there is a descriptor for it, whatever the reactor has heard.
    pub fn accept_queued(&self) -> Option<(Stream, Option<u16>)> {
        self.list.iter().find_map(|listener| Some((listener.accept_queued()?, listener.port())))
    }

    /// Waits until a client is queued, and leaves it there.
    pub async fn client(&self) {
        let queued = |context: &mut Context<'_>| {
            let is_ready = |listener: &Listener| listener.poll_client(context).is_ready();
            if self.list.iter().any(is_ready) { Poll::Ready(()) } else { Poll::Pending }
        };
        poll_fn(queued).await;
    }

    /// Resets who is queued at this moment and says how many that were.
    pub fn reset_queued(&self) -> usize {
        self.list.iter().map(Listener::reset_queued).sum()
    }

    /// Whether a client is queued at this moment, whatever the reactor has heard of it.
    pub fn has_client(&self) -> bool {
        self.list.iter().any(Listener::has_client)
    }
}
