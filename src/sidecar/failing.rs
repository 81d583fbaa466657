//! What becomes of clients while a sidecar cannot be woken.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use super::Sidecar;
use super::serve::STATUS_PERIOD;
use crate::calls::Refusal;
use crate::clock::{self, now_ms};
use crate::connections::Connections;
use crate::engine::{Docker, Watch};
use crate::events;
use crate::failure::Failure;
use crate::journal::took;
use crate::record::State;
use crate::room::{Room, Visit};
use crate::route::Route;
use crate::socket::Address;
use crate::why::Why;

/// The pause after a failed wake, which doubles with each one up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Sidecar {
    /// Turns away every client, says why once, and keeps away from the engine for a while. Where the engine is away and there
    /// is an `address`, clients are let through to that instead.
    pub(super) async fn fail(
        &mut self,
        failure: &Failure,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) {
        let tries = if failure.is_open() { self.unanswered } else { self.state.record().failures };
        let pause = pause_after(tries);
        let reason = failure.to_string();
        if failure.is_open() {
            // What may still happen is the next try's to settle.
            self.unanswered = tries.saturating_add(1);
            if let Some(address) = self.way_around() {
                let begun = Instant::now();
                self.pass_by(&address, &reason, pause, room, watch, connections).await;
                // A stop that was cut off is not repeated while somebody uses what it was to stop.
                if self.state.record().state == State::Sleeping && connections.are_used_since(begun) {
                    self.state.update(|record| record.state = State::Awake);
                }
                return;
            }
        }
        let next_ms = clock::after(pause, now_ms());
        let refusal = Refusal::failed(&reason);
        let clients = room.turn_away(&refusal);
        let mut is_asleep = false;
        if failure.is_open() {
            room.answer_sleepers(Err(&refusal));
            self.tell_unreachable(&reason, clients);
            let why = Why::EngineUnreachable { reason, address: None, next_ms: Some(next_ms) };
            self.explain(why);
        } else {
            let dead = matches!(failure, Failure::Died { .. });
            self.tell(|record| {
                record.failures = tries.saturating_add(1);
                record.totals.wakes_failed = record.totals.wakes_failed.saturating_add(1);
                record.note_failure(&reason);
                record.why = Why::Failed { reason: reason.clone(), next_ms };
                if dead || record.state == State::Waking {
                    record.state = State::Asleep;
                }
            });
            is_asleep = self.state.record().state == State::Asleep;
            if is_asleep {
                self.requirements = None;
            }
            let next = format!("next try in {}", took(pause));
            events::wake_failed(&self.settings, &reason, clients, &next, failure.log());
            self.told = Some(reason);
        }
        tokio::select! {
            () = room.turn_away_until(Instant::now() + pause, &refusal, is_asleep) => {}
            // An engine that is back need not be waited for any longer.
            () = watch.back() => {}
        }
    }

    /// Fails open: while the engine is away, clients are connected straight to `address`, and whoever it does not answer is
    /// reset. What still runs must not be taken down by an engine that does not.
    async fn pass_by(
        &mut self,
        address: &Address,
        reason: &str,
        pause: Duration,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) {
        self.explain(Why::EngineUnreachable {
            reason: reason.to_owned(),
            address: Some(address.to_string()),
            next_ms: None,
        });
        self.tell_unreachable(reason, 0);
        let refusal = Refusal::failed(reason);
        for client in room.open() {
            connections.dial(client, address.clone(), None);
        }
        room.answer().for_each(|caller| caller.answer.refuse(refusal.clone()));
        room.answer_sleepers(Err(&refusal));
        // A watch that stands says nothing when the engine answers other calls again, and clients need not wait for that.
        let mut answers = pin!(answers(self.engine.clone(), self.settings.container.clone(), pause));
        let mut over = pin!(sleep(pause));
        let mut period = interval(STATUS_PERIOD);
        loop {
            let full = connections.len() >= self.settings.max_connections;
            tokio::select! {
                biased;
                () = watch.back() => return,
                () = &mut answers => return,
                () = &mut over, if connections.is_empty() => return,
                // What a client wants of a frozen container has to wait.
                () = connections.one_ended() => {
                    // Nobody can tell whether another run is on its way.
                    connections.turn_away(Instant::now());
                    over.as_mut().reset(Instant::now() + pause);
                }
                _ = period.tick() => self.count_open(connections),
                visit = room.visit(!full) => match visit {
                    Visit::Client(client) => connections.dial(client, address.clone(), None),
                    Visit::Caller(caller) => caller.answer.refuse(refusal.clone()),
                    Visit::Sleeper(sleeper) => sleeper.answer.refuse(refusal.clone()),
                    Visit::Touch(answer) => answer.give(()),
                    Visit::Watcher(answer) => {
                        self.count_open(connections);
                        answer.give(());
                    }
                },
            }
        }
    }

    /// Where clients are connected to without the engine: to `address`, unless that leads back to our own socket.
    fn way_around(&self) -> Option<Address> {
        Route::fixed(&self.settings)?.check(&self.listeners).ok()?;
        self.settings.address.clone()
    }

    /// Tells of an outage once, however its symptoms change, and again where it costs clients.
    pub(super) fn tell_unreachable(&mut self, reason: &str, clients: usize) {
        if clients == 0 && self.is_away {
            return;
        }
        self.is_away = true;
        let around = self
            .way_around()
            .map(|address| format!("; meanwhile clients are connected straight to {address}"));
        let reason = format!("{reason}{}", around.unwrap_or_default());
        events::engine_unreachable(&self.settings, &reason, clients);
    }
}

/// Waits until the engine tells of the container, or that there is none; asks again and again.
async fn answers(engine: Rc<Docker>, container: String, pause: Duration) {
    loop {
        sleep(pause).await;
        if !engine.inspect(&container).await.is_err_and(|error| error.is_open()) {
            return;
        }
    }
}

/// How long to keep away after a failure that so many others came before.
fn pause_after(tries: u32) -> Duration {
    LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.pow(tries.min(8)))
}

#[cfg(test)]
mod tests {
    use super::pause_after;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = [0, 1, 2, 3, 4, 5, 6, 100, u32::MAX].map(|tries| pause_after(tries).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
    }
}
