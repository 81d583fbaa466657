//! The life of one sidecar, in a straight line: look → wake or adopt → serve until idle → sleep.

mod serve; // from a container that is up to one that is idle or dead

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config;
use crate::connections::Connections;
use crate::engine::{Container, Docker, Error, Started, Watch};
use crate::events;
use crate::journal::{self, took};
use crate::name::Name;
use crate::relay::Pipes;
use crate::room::Room;
use crate::socket::Listeners;
use crate::state::{State, StateFile};
use crate::status::Status;
use crate::wake::{Answering, Failure, Place, last_words, start, until_answering};
use serve::{End, Up};

/// The pause after a failed wake, which doubles with each one up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a container that was on its way down when it was to be started is started.
const STARTS: usize = 3;

/// What a sidecar keeps between its lives.
#[derive(Debug)]
pub struct Seat {
    /// Its name.
    pub name: Name,
    /// Its sockets.
    pub listeners: Rc<Listeners>,
    /// Its state file, locked.
    pub state: StateFile,
    /// Its place in the status line.
    pub status: Status,
}

/// All that one life works with; its owner.
#[derive(Debug)]
pub struct Sidecar {
    seat: Seat,
    settings: config::Sidecar,
    engine: Rc<Docker>,
    pipes: Rc<Pipes>,
    /// Connections whose container is dead.
    remains: JoinSet<()>,
    /// Tries in a row to which the engine gave no answer.
    unanswered: u32,
    /// The last failure that was written down: an engine that stays away is told of once.
    told: Option<String>,
}

/// What one turn of a life was.
#[derive(Debug)]
enum Turn {
    /// A time awake, which is over.
    Awake,
    /// A look that found it asleep and unasked for.
    Asleep,
}

impl Sidecar {
    /// One life with these settings.
    pub fn new(seat: Seat, settings: config::Sidecar, engine: Rc<Docker>, pipes: Rc<Pipes>) -> Sidecar {
        Sidecar { seat, settings, engine, pipes, remains: JoinSet::new(), unanswered: 0, told: None }
    }

    /// Lives until a look finds the container asleep and nobody who asks for it.
    pub async fn live(mut self) -> Seat {
        let mut watch = Watch::new(self.engine.clone(), self.settings.container.clone());
        let listeners = self.seat.listeners.clone();
        let mut room = Room::new(&listeners, self.settings.max_waiting.min(self.settings.max_connections));
        loop {
            match self.once(&mut room, &mut watch).await {
                Ok(Turn::Awake) => continue,
                Ok(Turn::Asleep) => {}
                Err(failure) => {
                    self.fail(&failure, &mut room, &mut watch).await;
                    // An engine that stays away is waited for only where it may have left something running.
                    if !failure.is_open() || self.seat.state.record().state != State::Asleep {
                        continue;
                    }
                }
            }
            if !room.is_asked() && self.is_wound_up(&room).await {
                break;
            }
        }
        self.seat.status.set("asleep, the next connection wakes it".into());
        self.seat
    }

    /// One time awake, or a look that finds it asleep.
    async fn once(&mut self, room: &mut Room<'_>, watch: &mut Watch) -> Result<Turn, Failure> {
        // Subscribed first, inspected then: what changes in between is told.
        watch.subscribed().await?;
        self.settle(room).await?;
        let container = match self.engine.inspect(&self.settings.container).await {
            // Nobody asks for it: it may be made later.
            Err(error @ Error::NoSuchContainer { .. }) if !room.is_asked() => {
                if self.told.is_none() {
                    journal::warn(&self.seat.name, format_args!("{error}"));
                }
                self.enter(State::Asleep, None);
                return Ok(Turn::Asleep);
            }
            inspected => inspected?,
        };
        self.unanswered = 0;
        let connections = &mut self.no_connections();
        let mut up = if container.is_up() {
            self.adopt(&container);
            Up { container, route: None }
        } else if room.is_asked() {
            let answering = self.wake(&container, room, watch).await?;
            admit(answering, room, connections)
        } else {
            self.enter(State::Asleep, None);
            return Ok(Turn::Asleep);
        };
        loop {
            match self.serve(&mut up, connections, room, watch).await? {
                End::Idle if self.sleep(&up.container, connections, room).await? => return Ok(Turn::Awake),
                // The engine would not stop it: it is awake, and its idle clock begins anew.
                End::Idle => connections.count_use(),
                End::Died(found) => {
                    self.bury(found, connections, room).await;
                    return Ok(Turn::Awake);
                }
            }
        }
    }

    /// Ends what the last helper, or the last try, has begun and not seen the end of.
    async fn settle(&mut self, room: &mut Room<'_>) -> Result<(), Error> {
        let record = self.seat.state.record();
        let id = record.container_id.clone().filter(|_| record.container == self.settings.container);
        let repeated = match (record.state, id) {
            (State::Awake, _) => return Ok(()),
            (State::Waking, Some(id)) => start(self.place(), &id, room).await.map(drop),
            (State::Sleeping, Some(id)) => match self.engine.inspect(&id).await {
                Ok(found) if found.is_up() && self.seat.state.is_of_run(found.started_at()) => {
                    self.seat.status.set(format!("going to sleep: stopping {}", self.settings.container));
                    self.engine.stop(&id, self.settings.stop_timeout).await
                }
                inspected => inspected.map(drop),
            },
            _ => Ok(()),
        };
        match repeated {
            Err(error) if error.is_open() => Err(error),
            // An answer, of whatever kind, means that nothing is under way any more.
            _ => {
                self.enter(State::Asleep, None);
                Ok(())
            }
        }
    }

    fn adopt(&mut self, container: &Container) {
        self.enter(State::Awake, Some(container));
        events::adopted(&self.settings, container.is_paused());
    }

    /// Starts a stopped container and waits until it answers.
    async fn wake(
        &mut self,
        container: &Container,
        room: &mut Room<'_>,
        watch: &mut Watch,
    ) -> Result<Answering, Failure> {
        let begun = Instant::now();
        self.seat.status.set(format!("waking: starting {}", self.settings.container));
        events::waking(&self.settings);
        let mut tries = 1;
        loop {
            self.enter(State::Waking, Some(container));
            let started = start(self.place(), &container.id, room).await?;
            self.enter(State::Awake, Some(container));
            // Whoever came while the engine took its time has a time of his own.
            let since = room.clients().first().map_or_else(Instant::now, |client| client.since);
            let deadline = since + self.settings.wake_timeout;
            match until_answering(self.place(), room, watch, deadline).await {
                // It was being stopped when the start was asked for, which a start does not undo.
                Err(Failure::Died { .. }) if started == Started::Already && tries < STARTS => tries += 1,
                Err(failure) => return Err(failure),
                Ok(answering) => {
                    self.woken(&answering, begun, room);
                    return Ok(answering);
                }
            }
        }
    }

    fn woken(&mut self, answering: &Answering, begun: Instant, room: &Room<'_>) {
        self.seat.state.update(|record| record.failures = 0);
        self.told = None;
        if !answering.late {
            events::ready(&self.settings, begun.elapsed(), room.clients().len());
        }
    }

    /// Stops the container while the connections run on. Whoever comes meanwhile waits in the kernel's queue. False if the
    /// engine would not.
    async fn sleep(
        &mut self,
        container: &Container,
        connections: &mut Connections,
        room: &Room<'_>,
    ) -> Result<bool, Error> {
        let begun = Instant::now();
        // Written before it is asked for: a helper that ends here leaves the next one the stop to see through.
        self.enter(State::Sleeping, Some(container));
        self.seat.status.set(format!("going to sleep: stopping {}", self.settings.container));
        let stopped = {
            let mut stop = std::pin::pin!(self.engine.stop(&container.id, self.settings.stop_timeout));
            loop {
                tokio::select! {
                    stopped = &mut stop => break stopped,
                    () = connections.one_ended() => {}
                }
            }
        };
        match stopped {
            Ok(()) | Err(Error::NoSuchContainer { .. }) => {
                let stop = begun.elapsed();
                connections.settle(room.asked()).await;
                self.enter(State::Asleep, None);
                events::slept(&self.settings, stop, connections.totals());
                self.part_with(connections);
                Ok(true)
            }
            Err(error) if error.is_open() => Err(error),
            Err(error) => {
                self.enter(State::Awake, Some(container));
                journal::warn(&self.seat.name, format_args!("the container stays awake: {error}"));
                Ok(false)
            }
        }
    }

    /// The container is dead, not by us: its clients see the end, and the next one wakes it.
    async fn bury(&mut self, found: Option<Box<Container>>, connections: &mut Connections, room: &Room<'_>) {
        connections.settle(room.asked()).await;
        self.enter(State::Asleep, None);
        let (reason, log) = match &found {
            Some(container) => (container.ending(), last_words(&self.engine, container).await),
            None => ("it is gone".into(), String::new()),
        };
        events::died(&self.settings, &reason, connections.totals(), &log);
        self.part_with(connections);
    }

    /// Resets every client, says why once, and keeps away from the engine for a while.
    async fn fail(&mut self, failure: &Failure, room: &mut Room<'_>, watch: &mut Watch) {
        let clients = room.turn_away();
        let tries = if failure.is_open() { self.unanswered } else { self.seat.state.record().failures };
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.saturating_pow(tries.min(8)));
        let reason = failure.to_string();
        self.seat.status.set(format!("wake failed: {reason}; next try in {}", took(pause)));
        if failure.is_open() {
            // What may still happen is the next try's to settle.
            self.unanswered = tries.saturating_add(1);
            self.tell_unreachable(&reason, clients);
        } else {
            let dead = matches!(failure, Failure::Died { .. });
            self.seat.state.update(|record| {
                record.failures = tries.saturating_add(1);
                if dead || record.state == State::Waking {
                    record.state = State::Asleep;
                }
            });
            let next = format!("next try in {}", took(pause));
            events::wake_failed(&self.settings, &reason, clients, &next, failure.log());
            self.told = Some(reason);
        }
        tokio::select! {
            () = room.turn_away_until(Instant::now() + pause) => {}
            // An engine that is back need not be waited for any longer.
            () = watch.back() => {}
        }
    }

    /// Leaves connections to a container that runs no more to themselves, and begins anew.
    fn part_with(&mut self, connections: &mut Connections) {
        let old = std::mem::replace(connections, self.no_connections());
        self.remains.spawn_local(old.wind_up());
    }

    fn no_connections(&self) -> Connections {
        Connections::new(self.seat.name.clone(), self.pipes.clone(), self.settings.proxy_protocol)
    }

    /// Waits until all that was parted with has ended; false when somebody asks meanwhile.
    async fn is_wound_up(&mut self, room: &Room<'_>) -> bool {
        tokio::select! {
            biased;
            () = room.asked(), if !self.remains.is_empty() => false,
            () = async { while self.remains.join_next().await.is_some() {} } => true,
        }
    }

    fn tell_unreachable(&mut self, reason: &str, clients: usize) {
        if clients == 0 && self.told.as_deref() == Some(reason) {
            return;
        }
        events::engine_unreachable(&self.settings, reason, clients);
        self.told = Some(reason.to_owned());
    }

    fn enter(&mut self, state: State, container: Option<&Container>) {
        let name = &self.settings.container;
        self.seat.state.update(|record| {
            record.state = state;
            record.container.clone_from(name);
            record.container_id = container.map(|container| container.id.clone());
            record.started_at = container.map(|container| container.started_at().to_owned());
        });
    }

    fn place(&self) -> Place<'_> {
        Place { settings: &self.settings, engine: &self.engine, listeners: &self.seat.listeners }
    }
}

/// Lets those who have waited through to a container that answers; the probe's connection is the first one's.
fn admit(answering: Answering, room: &mut Room<'_>, connections: &mut Connections) -> Up {
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
    Up { container, route: Some(route) }
}
