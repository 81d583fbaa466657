//! Waking: from the one who asks to a container that answers.

use tokio::time::Instant;

use super::{Run, Sidecar, Surroundings, Up};
use crate::connections::Connections;
use crate::engine::{Container, Started, Watch};
use crate::events;
use crate::exclusive::take_turn;
use crate::failure::Failure;
use crate::group::GroupLock;
use crate::name::Name;
use crate::record::State;
use crate::requirements::Requirements;
use crate::room::Room;
use crate::state;
use crate::wake::{Answering, start, until_answering};

/// How often a container that was on its way down when it was to be started is started.
const STARTS: usize = 3;

impl Sidecar {
    /// Starts a stopped container, after what it requires, and waits until it answers.
    pub(super) async fn wake(
        &mut self,
        container: Container,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) -> Result<Up, Failure> {
        let begun = Instant::now();
        events::waking(&self.settings);
        let turn = self.take_turn(room).await?;
        self.wake_required(room).await?;
        self.status.set(format!("waking: starting {}", self.settings.container));
        let may_begin = Instant::now();
        let mut tries = 1;
        let answering = loop {
            self.enter(State::Waking, Some(&container));
            let started = start(self.place(), &container.id, may_begin, room).await?;
            self.enter(State::Awake, Some(&container));
            // Whoever came while the engine took its time has a time of his own.
            let since = room.clients().first().map_or_else(Instant::now, |client| client.since);
            let deadline = since.max(may_begin) + self.settings.wake_timeout;
            match until_answering(self.place(), room, watch, deadline).await {
                // It was being stopped when the start was asked for, which a start does not undo.
                Err(Failure::Died { .. }) if started == Started::Already && tries < STARTS => tries += 1,
                answering => break answering?,
            }
        };
        // From the start on the engine tells the others of its group that it is up.
        drop(turn);
        self.woken(&answering, begun, room);
        Ok(self.admit(answering, room, connections))
    }

    async fn take_turn(&self, room: &mut Room) -> Result<Option<GroupLock>, Failure> {
        let Surroundings { engines, neighbours, .. } = &*self.around;
        let directory = state::directory();
        if let Some(group) = &self.settings.exclusive {
            self.status.set(format!("waking: waiting for its turn in group {group}"));
        }
        meanwhile(room, take_turn(&self.settings, engines, neighbours, &directory)).await
    }

    async fn wake_required(&mut self, room: &mut Room) -> Result<(), Failure> {
        let Surroundings { neighbours, .. } = &*self.around;
        if !self.settings.requires.is_empty() {
            let names: Vec<_> = self.settings.requires.iter().map(Name::as_str).collect();
            self.status.set(format!("waking: waiting for {}", names.join(", ")));
        }
        let wake = Requirements::wake(&self.settings.requires, &self.name, neighbours);
        let woken = meanwhile(room, wake).await;
        let woken =
            woken.map_err(|(required, why)| Failure::Requirement { required, why: why.to_string() })?;
        self.requirements = Some(woken);
        Ok(())
    }

    pub(super) fn woken(&mut self, answering: &Answering, begun: Instant, room: &Room) {
        self.state.update(|record| record.failures = 0);
        (self.told, self.is_away) = (None, false);
        if !answering.late {
            events::ready(&self.settings, begun.elapsed(), room.clients().len());
        }
    }

    /// Lets those who have waited through to a container that answers; the probe's connection is the first one's.
    pub(super) fn admit(
        &mut self,
        answering: Answering,
        room: &mut Room,
        connections: &mut Connections,
    ) -> Up {
        let Answering { container, route, mut first, probed, .. } = answering;
        for client in room.open() {
            let Ok(address) = route.address(client.port) else { continue };
            match first.take_if(|_| probed == address) {
                Some(stream) => connections.relay(client.stream, stream),
                None => connections.dial(client.stream, address.clone(), route.grace(&address)),
            }
        }
        if let Some(unused) = first {
            connections.let_go(unused);
        }
        self.answer_callers(room);
        self.run = Some(Run::of(&container));
        Up { container, route: Some(route), is_paused: false }
    }

    pub(super) fn answer_callers(&self, room: &mut Room) {
        for caller in room.answer() {
            caller.answer.give(self.holds.take(&caller.by));
        }
    }
}

/// Whoever comes while something else is done waits.
async fn meanwhile<T>(room: &mut Room, done: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = done => done,
        never = room.gather() => match never {},
    }
}
