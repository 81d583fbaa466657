//! Pausing, unpausing, sleeping, burying: what ends one part of a time awake.

use tokio::time::Instant;

use super::{Sidecar, Up};
use crate::activity::Activity;
use crate::calls::Cause;
use crate::connections::Connections;
use crate::engine::{Container, Error};
use crate::events;
use crate::failure::Failure;
use crate::journal;
use crate::record::State;
use crate::room::Room;
use crate::wake::last_words;

impl Sidecar {
    /// Freezes the container; its quiet connections stay open.
    pub(super) async fn pause(
        &mut self,
        up: &mut Up,
        activity: &mut Activity,
        connections: &mut Connections,
    ) {
        let begun = Instant::now();
        // Before it is asked for: a byte that comes meanwhile finds it frozen, and the next helper must know.
        connections.freeze();
        self.enter(State::Pausing, Some(&up.container));
        match attended(connections, self.engine.pause(&up.container.id)).await {
            Ok(()) => {
                up.is_paused = true;
                self.enter(State::Paused, Some(&up.container));
                events::paused(&self.settings, Some(begun.elapsed()), connections.len());
            }
            Err(error) if error.is_open() => self.leave_open(&error),
            Err(error) => {
                activity.refuse_pause(Instant::now());
                self.carry_on(up, connections, &error);
            }
        }
    }

    /// Thaws the container for somebody who wants something of it.
    pub(super) async fn unpause(
        &mut self,
        up: &mut Up,
        room: &mut Room,
        connections: &mut Connections,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        attended(connections, self.engine.unpause(&up.container.id)).await?;
        self.thawed(up, Some(begun), connections);
        // Where nobody has been served yet they wait on, until it answers.
        if up.route.is_some() {
            self.answer_callers(room);
        }
        Ok(())
    }

    /// The container runs on, by us since `begun` or by somebody's hand.
    pub(super) fn thawed(&mut self, up: &mut Up, begun: Option<Instant>, connections: &mut Connections) {
        up.is_paused = false;
        connections.thaw();
        self.enter(State::Awake, Some(&up.container));
        events::unpaused(&self.settings, begun.map(|begun| begun.elapsed()));
    }

    /// The container was frozen by somebody's hand: only a byte or a new connection undoes it.
    pub(super) fn frozen(&mut self, up: &mut Up, since: Instant, connections: &mut Connections) {
        up.is_paused = true;
        connections.found_frozen(since);
        self.enter(State::Paused, Some(&up.container));
        events::paused(&self.settings, None, connections.len());
    }

    /// Stops the container while the connections run on: because it is idle, or because somebody wants it asleep. Whoever
    /// comes meanwhile waits in the kernel's queue. False if the engine would not, or has not answered.
    pub(super) async fn sleep(
        &mut self,
        up: &mut Up,
        activity: &mut Activity,
        cause: Option<&Cause>,
        room: &mut Room,
        connections: &mut Connections,
    ) -> bool {
        let begun = Instant::now();
        // Written before it is asked for: a helper that ends here leaves the next one the stop to see through.
        self.enter(State::Sleeping, Some(&up.container));
        let stopped = attended(connections, self.stop(&up.container.id, up.is_paused)).await;
        match stopped {
            Ok(()) | Err(Error::NoSuchContainer { .. }) => {
                let stop = begun.elapsed();
                connections.settle(room.asked()).await;
                self.enter(State::Asleep, None);
                match cause {
                    Some(Cause::Yield(to)) => events::yielded(&self.settings, to, stop, connections.totals()),
                    Some(Cause::Told | Cause::Forced) => {
                        events::slept(&self.settings, stop, connections.totals(), Some("told to"));
                    }
                    None => events::slept(&self.settings, stop, connections.totals(), None),
                }
                self.part_with(connections, room);
                true
            }
            Err(error) if error.is_open() => {
                self.leave_open(&error);
                false
            }
            Err(error) => {
                activity.count_use(Instant::now());
                self.carry_on(up, connections, &error);
                false
            }
        }
    }

    /// Stops a container, one that is frozen after its thaw: a signal that waits for the thaw reaches any of its threads, and
    /// there are programs that hear it in the first one alone.
    pub(super) async fn stop(&self, id: &str, is_paused: bool) -> Result<(), Error> {
        if is_paused {
            match self.engine.unpause(id).await {
                Err(error) if error.is_open() => return Err(error),
                // Whatever that was, the stop tells.
                _ => {}
            }
        }
        self.engine.stop(id, self.settings.stop_timeout).await
    }

    /// The engine has gone meanwhile: whoever is connected or comes is served as before, and what became of the container is
    /// seen when the engine is back. Asking for it again before would be on stale knowledge: it may be used by then.
    fn leave_open(&mut self, error: &Error) {
        self.tell_unreachable(&error.to_string(), 0);
    }

    /// The engine would not: the container is as it was.
    fn carry_on(&mut self, up: &Up, connections: &mut Connections, error: &Error) {
        if !up.is_paused {
            connections.thaw();
        }
        self.enter_as(up);
        journal::warn(&self.name, format_args!("the container stays as it is: {error}"));
    }

    /// The container is dead, not by us: its clients see the end, and the next one wakes it. Who holds it is told, unless it
    /// was somebody's hand that a hold must not work against.
    pub(super) async fn bury(
        &mut self,
        found: Option<Box<Container>>,
        by_hand: bool,
        room: &mut Room,
        connections: &mut Connections,
    ) {
        connections.settle(room.asked()).await;
        // Its stop was asked for, and the engine has gone before it answered.
        let stopped = (self.state.record().state == State::Sleeping).then(|| self.state.since());
        self.enter(State::Asleep, None);
        if let Some(since) = stopped {
            events::slept(&self.settings, since, connections.totals(), None);
            return self.part_with(connections, room);
        }
        let (reason, log) = match &found {
            Some(container) => (container.ending(), last_words(&self.engine, container).await),
            None => ("it is gone".into(), String::new()),
        };
        events::died(&self.settings, &reason, connections.totals(), &log);
        self.part_with(connections, room);
        if by_hand {
            self.holds.end_unrequired();
        } else {
            self.tell(|record| record.note_failure(&format!("its container has ended: {reason}")));
            self.holds.end_all();
        }
    }
}

/// What is asked of the engine is waited for while connections come to their ends.
async fn attended<T>(connections: &mut Connections, asked: impl Future<Output = T>) -> T {
    let mut asked = std::pin::pin!(asked);
    loop {
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            () = connections.one_ended() => {}
        }
    }
}
