//! The waiting room: clients that came before their container was ready, and callers who want it awake.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::calls::{Answer, Call, Calls, Cause, Refusal};
use crate::door::{Client, Door};
use crate::holds::Hold;
use crate::why::Holder;

/// Someone who wants a sidecar awake without being its client.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub holder: Holder,
    /// How long the hold lasts by itself, if it does.
    pub lasting: Option<Duration>,
    /// What it waits for.
    pub answer: Answer<Hold>,
    /// When it came.
    pub since: Instant,
}

/// Who has come.
#[derive(Debug)]
pub enum Visit {
    /// A client, accepted.
    Client(Client),
    /// Somebody who wants it awake.
    Caller(Caller),
    /// Somebody wants it asleep.
    Sleeper(Sleeper),
    /// Something has used it that is no client.
    Touch(Answer<()>),
    /// Somebody looks at it.
    Watcher(Answer<()>),
}

/// Someone who wants a sidecar asleep.
#[derive(Debug)]
pub struct Sleeper {
    /// What for.
    pub cause: Cause,
    /// What it waits for.
    pub answer: Answer<()>,
}

/// Accepted clients, `most` of them, and callers; the others wait in the kernel's queue.
#[derive(Debug)]
pub struct Room {
    door: Door,
    calls: Calls,
    clients: Vec<Client>,
    callers: Vec<Caller>,
    sleepers: Vec<Sleeper>,
    most: usize,
}

impl Room {
    /// An empty room.
    pub fn new(door: Door, calls: Calls, most: usize) -> Room {
        Room { door, calls, clients: Vec::new(), callers: Vec::new(), sleepers: Vec::new(), most }
    }

    /// The way in.
    pub fn door(&mut self) -> &mut Door {
        &mut self.door
    }

    /// From now on so many clients may wait here.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Who waits, the first one first.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Whether somebody waits for it to be awake, here or in the kernel's queue.
    pub fn is_asked(&mut self) -> bool {
        self.callers.retain(|caller| !caller.answer.is_closed());
        self.is_waited_in() || self.door.is_asked()
    }

    /// Whether somebody waits here.
    pub fn is_waited_in(&self) -> bool {
        !self.clients.is_empty() || !self.callers.is_empty()
    }

    /// Waits until somebody asks, here or in the kernel's queue. Meanwhile the sidecar is asleep, and makes room for any
    /// other. Cancelling it loses none.
    pub async fn asked(&mut self) {
        self.answer_sleepers(Ok(()));
        while !self.is_waited_in() {
            tokio::select! {
                () = self.door.asked() => return,
                call = self.calls.next() => match visit(call) {
                    Visit::Sleeper(sleeper) => sleeper.answer.give(()),
                    visit => self.keep(visit),
                },
            }
        }
    }

    /// The next who comes; clients only if they are `let_in`. Cancelling it loses none.
    pub async fn visit(&mut self, let_in: bool) -> Visit {
        tokio::select! {
            biased;
            call = self.calls.next() => visit(call),
            client = self.door.accept(), if let_in => Visit::Client(client),
        }
    }

    /// Keeps a visitor until the container is ready; one who wants it asleep if nobody uses it is told that it is just waking.
    pub fn keep(&mut self, visit: Visit) {
        match visit {
            Visit::Client(client) => self.clients.push(client),
            Visit::Caller(caller) => self.callers.push(caller),
            Visit::Sleeper(sleeper) if sleeper.cause == Cause::Forced => self.sleepers.push(sleeper),
            Visit::Sleeper(sleeper) => sleeper.answer.refuse(Refusal::in_use("it is just waking")),
            // The wake is use itself, and says what it does whenever that is news.
            Visit::Touch(answer) | Visit::Watcher(answer) => answer.give(()),
        }
    }

    /// Lets visitors in for ever. Cancelling it loses none.
    pub async fn gather(&mut self) -> Infallible {
        loop {
            let visit = self.visit(self.clients.len() < self.most).await;
            self.keep(visit);
        }
    }

    /// Lets visitors in until `deadline`.
    pub async fn gather_until(&mut self, deadline: Instant) {
        let _: Result<Infallible, _> = timeout_at(deadline, self.gather()).await;
    }

    /// Lets visitors in until the first of them has waited for `patience`, which begins at `since` for those who came before.
    pub async fn gather_while_patient(&mut self, patience: Duration, since: Instant) {
        let first = loop {
            let clients = self.clients.iter().map(|client| client.since);
            if let Some(first) = clients.chain(self.callers.iter().map(|caller| caller.since)).min() {
                break first;
            }
            let visit = self.visit(true).await;
            self.keep(visit);
        };
        self.gather_until(first.max(since) + patience).await;
    }

    /// Lets the clients go on to the container.
    pub fn open(&mut self) -> impl Iterator<Item = Client> {
        self.clients.drain(..)
    }

    /// Lets the callers have what they came for.
    pub fn answer(&mut self) -> impl Iterator<Item = Caller> {
        self.callers.drain(..)
    }

    /// Those who have waited to have it sleep.
    pub fn sleepers(&mut self) -> impl Iterator<Item = Sleeper> {
        self.sleepers.drain(..)
    }

    /// Tells those who have waited to have it sleep that it does, or why not.
    pub fn answer_sleepers(&mut self, slept: Result<(), &Refusal>) {
        self.sleepers.drain(..).for_each(|sleeper| sleeper.answer.end(slept.map_err(Refusal::clone)));
    }

    /// Resets the clients, here and in the kernel's queue, says how many that were, and tells the callers why.
    pub fn turn_away(&mut self, why: &Refusal) -> usize {
        self.callers.drain(..).for_each(|caller| caller.answer.refuse(why.clone()));
        self.clients.drain(..).count() + self.door.turn_away()
    }

    /// Turns away whoever comes, at once, until `deadline`; or until somebody wants it asleep, unless it is.
    pub async fn turn_away_until(&mut self, deadline: Instant, why: &Refusal, is_asleep: bool) {
        if is_asleep {
            self.answer_sleepers(Ok(()));
        }
        while self.sleepers.is_empty() {
            tokio::select! {
                biased;
                () = sleep_until(deadline) => return,
                visit = self.visit(true) => match visit {
                    Visit::Client(client) => drop(client),
                    Visit::Caller(caller) => caller.answer.refuse(why.clone()),
                    // A container whose wake has failed may be up all the same: the next look at it tells.
                    Visit::Sleeper(sleeper) if !is_asleep => self.sleepers.push(sleeper),
                    Visit::Sleeper(sleeper) => sleeper.answer.give(()),
                    Visit::Touch(answer) | Visit::Watcher(answer) => answer.give(()),
                }
            }
        }
    }
}

fn visit(call: Call) -> Visit {
    match call {
        Call::Hold { holder, lasting, answer } => {
            Visit::Caller(Caller { holder, lasting, answer, since: Instant::now() })
        }
        Call::Sleep { cause, answer } => Visit::Sleeper(Sleeper { cause, answer }),
        Call::Touch(answer) => Visit::Touch(answer),
        Call::Tell(answer) => Visit::Watcher(answer),
    }
}
