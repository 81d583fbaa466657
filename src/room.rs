//! The waiting room: clients that came before their container was ready.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::socket::{Listeners, Stream};

/// Someone who waits.
#[derive(Debug)]
pub struct Client {
    /// The accepted connection.
    pub stream: Stream,
    /// The port that it came to; none for a unix socket.
    pub port: Option<u16>,
    /// When it was accepted.
    pub since: Instant,
}

/// Accepted clients, `most` of them; the others wait in the kernel's queue.
#[derive(Debug)]
pub struct Room<'a> {
    listeners: &'a Listeners,
    clients: Vec<Client>,
    most: usize,
}

impl<'a> Room<'a> {
    /// An empty room.
    pub fn new(listeners: &'a Listeners, most: usize) -> Room<'a> {
        Room { listeners, clients: Vec::new(), most }
    }

    /// Who waits, the first one first.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Whether somebody waits, here or in the kernel's queue.
    pub fn is_asked(&self) -> bool {
        !self.clients.is_empty() || self.listeners.has_client()
    }

    /// Waits until somebody waits, here or in the kernel's queue.
    pub async fn asked(&self) {
        if self.clients.is_empty() {
            self.listeners.client().await;
        }
    }

    /// Lets the first client in, if nobody waits here yet. Cancelling it loses none.
    pub async fn first(&mut self) {
        if self.clients.is_empty() {
            self.let_in().await;
        }
    }

    async fn let_in(&mut self) {
        let (stream, port) = self.listeners.accept().await;
        self.clients.push(Client { stream, port, since: Instant::now() });
    }

    /// Lets clients in for ever. Cancelling it loses none.
    async fn gather(&mut self) -> Infallible {
        while self.clients.len() < self.most {
            self.let_in().await;
        }
        pending().await
    }

    /// Lets clients in until `deadline`.
    pub async fn gather_until(&mut self, deadline: Instant) {
        let _: Result<Infallible, _> = timeout_at(deadline, self.gather()).await;
    }

    /// Lets clients in until the first of them has waited for `patience`.
    pub async fn gather_while_patient(&mut self, patience: Duration) {
        self.first().await;
        if let Some(first) = self.clients.first() {
            self.gather_until(first.since + patience).await;
        }
    }

    /// Lets everybody go on to the container.
    pub fn open(&mut self) -> impl Iterator<Item = Client> {
        self.clients.drain(..)
    }

    /// Resets who waits, here and in the kernel's queue, and says how many that were.
    pub fn turn_away(&mut self) -> usize {
        self.clients.drain(..).count() + self.listeners.reset_queued()
    }

    /// Resets whoever comes, at once, until `deadline`.
    pub async fn turn_away_until(&mut self, deadline: Instant) {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(deadline) => return,
                client = self.listeners.accept() => drop(client),
            }
        }
    }
}
