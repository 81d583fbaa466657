//! Waking: from the one who asks to a container that answers.

use tokio::time::Instant;

use super::{Run, Sidecar, Surroundings, Up};
use crate::calls::Refusal;
use crate::clock::{self, now_ms};
use crate::connections::Connections;
use crate::engine::{Container, Started, Watch};
use crate::events;
use crate::exclusive::take_turn;
use crate::failure::Failure;
use crate::group::GroupLock;
use crate::name::Name;
use crate::places;
use crate::record::{Record, State};
use crate::requirements::Requirements;
use crate::room::{Caller, Room};
use crate::wake::{Answering, start, until_answering};
use crate::why::{Holder, Why};

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
        self.woken(&answering, begun, room, |record| match answering.late {
            true => record.totals.wakes_late = record.totals.wakes_late.saturating_add(1),
            false => record.count_wake(begun.elapsed()),
        });
        Ok(self.admit(answering, room, connections))
    }

    async fn take_turn(&mut self, room: &mut Room) -> Result<Option<GroupLock>, Failure> {
        if let Some(group) = &self.settings.exclusive {
            self.explain(Why::Turn { group: group.to_string() });
        }
        let Surroundings { engines, neighbours, .. } = &*self.around;
        let directory = places::own_states();
        meanwhile(room, take_turn(&self.settings, engines, neighbours, &directory)).await
    }

    async fn wake_required(&mut self, room: &mut Room) -> Result<(), Failure> {
        if !self.settings.requires.is_empty() {
            let sidecars = self.settings.requires.iter().map(Name::to_string).collect();
            self.explain(Why::Requires { sidecars });
        }
        let Surroundings { neighbours, .. } = &*self.around;
        let wake = Requirements::wake(&self.settings.requires, &self.name, neighbours);
        let woken = meanwhile(room, wake).await;
        let woken =
            woken.map_err(|(required, why)| Failure::Requirement { required, why: why.to_string() })?;
        self.requirements = Some(woken);
        Ok(())
    }

    /// It answers, or its clients are let through all the same; `count` notes what of that is worth it.
    pub(super) fn woken(
        &mut self,
        answering: &Answering,
        begun: Instant,
        room: &Room,
        count: impl FnOnce(&mut Record),
    ) {
        self.tell(|record| {
            record.failures = 0;
            count(record);
        });
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
                Some(stream) => connections.relay(client, stream),
                None => {
                    let grace = route.grace(&address);
                    connections.dial(client, address, grace);
                }
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
        room.answer().for_each(|caller| self.give_hold(caller));
    }

    /// Keeps it awake for a caller, or for as long as the caller has said.
    pub(super) fn give_hold(&self, caller: Caller) {
        let Caller { holder, lasting, answer, .. } = caller;
        // Who has left wants no hold that outlives the request.
        if answer.is_closed() {
            return;
        }
        let Some(lasting) = lasting else { return answer.give(self.holds.take(holder)) };
        let holder = Holder { until_ms: Some(clock::after(lasting, now_ms())), ..holder };
        if self.holds.keep(holder.clone(), lasting) {
            answer.give(self.holds.take(holder));
        } else {
            answer.refuse(Refusal::in_use("too many holds that last by themselves"));
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
