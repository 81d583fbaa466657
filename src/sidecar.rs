//! The life of one sidecar, in a straight line: look → wake or adopt → serve until idle → sleep.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::activity::{Rules, idle_at};
use crate::config::{self, Idle};
use crate::connections::Connections;
use crate::engine::{Change, Container, Docker, Error, Event, Watch};
use crate::events;
use crate::journal::{self, took};
use crate::name::Name;
use crate::relay::Pipes;
use crate::room::Room;
use crate::route::Route;
use crate::socket::Listeners;
use crate::state::{State, StateFile};
use crate::status::Status;
use crate::wake::{Answering, Failure, Place, last_words, start, until_answering, wake};

/// The pause after a failed wake, which doubles with each one up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the status line follows the count of connections.
const STATUS_PERIOD: Duration = Duration::from_secs(10);

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
    /// The last failure of the engine that was written down: one that stays away is told of once.
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

/// What ended a time awake.
#[derive(Debug)]
enum End {
    /// Unused for `idle_timeout`.
    Idle(Container),
    /// Ended, though not by us.
    Died,
}

impl Sidecar {
    /// One life with these settings.
    pub fn new(seat: Seat, settings: config::Sidecar, engine: Rc<Docker>, pipes: Rc<Pipes>) -> Sidecar {
        Sidecar { seat, settings, engine, pipes, told: None }
    }

    /// Lives until a look finds the container asleep and nobody who asks for it.
    pub async fn live(mut self) -> Seat {
        let mut watch = Watch::new(self.engine.clone(), self.settings.container.clone());
        self.seat.state.update(|record| record.container.clone_from(&self.settings.container));
        let listeners = self.seat.listeners.clone();
        let mut room = Room::new(&listeners, self.settings.max_waiting.min(self.settings.max_connections));
        loop {
            match self.once(&mut room, &mut watch).await {
                Ok(Turn::Awake) => {}
                Ok(Turn::Asleep) => break,
                Err(failure) => self.fail(&failure, &mut room, &mut watch).await,
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
        let asked = self.seat.listeners.has_client() || !room.clients().is_empty();
        let container = match self.engine.inspect(&self.settings.container).await {
            // Nobody asks for it: it may be made later.
            Err(error @ Error::NoSuchContainer { .. }) if !asked => {
                if self.told.is_none() {
                    journal::warn(&self.seat.name, format_args!("{error}"));
                }
                return Ok(Turn::Asleep);
            }
            inspected => inspected?,
        };
        let mut connections = Connections::new(self.seat.name.clone(), self.pipes.clone());
        let end = if container.is_up() {
            self.adopt(&container);
            self.serve(container, None, &mut connections, room, watch).await?
        } else if asked {
            let answering = self.wake(room, watch).await?;
            let (container, route) = admit(answering, room, &mut connections);
            self.serve(container, Some(route), &mut connections, room, watch).await?
        } else {
            self.enter(State::Asleep);
            return Ok(Turn::Asleep);
        };
        match end {
            End::Idle(container) => self.sleep(&container, &mut connections).await?,
            End::Died => self.bury(&mut connections).await,
        }
        Ok(Turn::Awake)
    }

    /// Ends what the last helper, or the last try, has begun and not seen the end of.
    async fn settle(&mut self, room: &mut Room<'_>) -> Result<(), Error> {
        let container = &self.settings.container;
        let repeated = match self.seat.state.record().state {
            State::Waking => start(self.place(), room).await.map(drop),
            State::Sleeping => match self.engine.inspect(container).await {
                Ok(found) if found.is_up() && self.seat.state.is_of_run(found.started_at()) => {
                    self.seat.status.set(format!("going to sleep: stopping {container}"));
                    self.engine.stop(container, self.settings.stop_timeout).await
                }
                inspected => inspected.map(drop),
            },
            State::Asleep | State::Awake => return Ok(()),
        };
        match repeated {
            Err(error) if error.is_open() => Err(error),
            // An answer, of whatever kind, means that nothing is under way any more.
            _ => {
                self.enter(State::Asleep);
                Ok(())
            }
        }
    }

    fn adopt(&mut self, container: &Container) {
        self.enter(State::Awake);
        events::adopted(&self.settings, container.is_paused());
    }

    async fn wake(&mut self, room: &mut Room<'_>, watch: &mut Watch) -> Result<Answering, Failure> {
        let begun = Instant::now();
        self.enter(State::Waking);
        self.seat.status.set(format!("waking: starting {}", self.settings.container));
        events::waking(&self.settings);
        let answering = wake(self.place(), room, watch).await?;
        self.woken(&answering, begun, room);
        Ok(answering)
    }

    fn woken(&mut self, answering: &Answering, begun: Instant, room: &Room<'_>) {
        self.seat.state.update(|record| {
            record.state = State::Awake;
            record.failures = 0;
        });
        self.told = None;
        if !answering.late {
            events::ready(&self.settings, begun.elapsed(), room.clients().len());
        }
    }

    /// Serves until idle or dead. Without a `route` nobody has been served yet in this run of the container, and the first
    /// client waits until it answers.
    async fn serve(
        &mut self,
        mut container: Container,
        mut route: Option<Route>,
        connections: &mut Connections,
        room: &mut Room<'_>,
        watch: &mut Watch,
    ) -> Result<End, Failure> {
        let settings = self.settings.clone();
        let rules = Rules {
            idle_timeout: settings.idle_timeout,
            connections_are_use: settings.idle == Idle::Connections,
            reply_timeout: settings.reply_timeout,
        };
        let mut look = settings.idle_timeout.map(|timeout| Instant::now() + timeout);
        let mut period = interval(STATUS_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                (client, port) = self.seat.listeners.accept(), if route.is_some() && connections.len() < settings.max_connections => {
                    if let Some(route) = &route && let Ok(address) = route.address(port) {
                        connections.dial(client, address.clone(), route.grace(&address));
                    }
                }
                () = self.seat.listeners.client(), if route.is_none() => {
                    let begun = Instant::now();
                    match until_answering(self.place(), room, watch, begun + settings.wake_timeout).await {
                        Ok(answering) => {
                            self.woken(&answering, begun, room);
                            let (answers, way) = admit(answering, room, connections);
                            (container, route) = (answers, Some(way));
                        }
                        // It was on its way down when it was found; who waits has it woken.
                        Err(Failure::Died { .. }) => return Ok(End::Died),
                        Err(failure) => return Err(failure),
                    }
                }
                () = connections.one_ended() => {
                    if rules.connections_are_use {
                        connections.count_use();
                    }
                }
                change = watch.next() => match change {
                    Change::Lost(error) => self.tell_unreachable(&error.to_string(), 0),
                    Change::Happened(Event::Healthy) => {}
                    Change::Subscribed | Change::Happened(Event::Started | Event::Died) => {
                        match self.engine.inspect(&settings.container).await {
                            Ok(found) if !found.is_up() => return Ok(End::Died),
                            // Another run: its address is another one, and whether it answers yet is unknown.
                            Ok(found) if found.started_at() != container.started_at() => (container, route) = (found, None),
                            Ok(_) => self.told = None,
                            Err(Error::NoSuchContainer { .. }) => return Ok(End::Died),
                            // What cannot be asked is asked again once the engine is back.
                            Err(_) => {}
                        }
                    }
                },
                () = at(look), if look.is_some() => {
                    // The reactor is heard first: what has just arrived is use.
                    yield_now().await;
                    let now = Instant::now();
                    let idle = idle_at(&rules, connections.last_use(), connections.seen());
                    if idle.is_some_and(|idle| idle <= now) && !self.seat.listeners.has_client() && watch.is_subscribed() {
                        return Ok(End::Idle(container));
                    }
                    look = self.next_look(now, idle);
                }
                _ = period.tick() => self.seat.status.set(format!("awake, open connections: {}", connections.len())),
            }
        }
    }

    /// When to look again: not before it can be idle, and not after it could have become so unseen (an owed answer may come
    /// at any time, and idleness is due `idle_timeout` later).
    fn next_look(&self, now: Instant, idle: Option<Instant>) -> Option<Instant> {
        let latest = now + self.settings.idle_timeout?;
        // Idle, and still here: a client is just coming, or the engine is away.
        let soon = now + Duration::from_millis(100);
        Some(idle.unwrap_or(latest).clamp(soon.min(latest), latest))
    }

    /// Stops the container while the connections run on. Whoever comes meanwhile waits in the kernel's queue.
    async fn sleep(&mut self, container: &Container, connections: &mut Connections) -> Result<(), Failure> {
        let begun = Instant::now();
        let name = self.settings.container.clone();
        // Written before it is asked for: a helper that ends here leaves the next one the stop to see through.
        self.seat.state.update(|record| {
            record.state = State::Sleeping;
            record.started_at = Some(container.started_at().to_owned());
        });
        self.seat.status.set(format!("going to sleep: stopping {name}"));
        let stopped = {
            let mut stop = std::pin::pin!(self.engine.stop(&name, self.settings.stop_timeout));
            loop {
                tokio::select! {
                    stopped = &mut stop => break stopped,
                    () = connections.one_ended() => {}
                }
            }
        };
        match stopped {
            Ok(()) | Err(Error::NoSuchContainer { .. }) => {}
            Err(error) => {
                if !error.is_open() {
                    self.enter(State::Awake);
                }
                return Err(error.into());
            }
        }
        connections.finish().await;
        self.enter(State::Asleep);
        events::slept(&self.settings, begun.elapsed(), connections.totals());
        Ok(())
    }

    /// The container is dead, not by us: its clients see the end, and the next one wakes it.
    async fn bury(&mut self, connections: &mut Connections) {
        connections.finish().await;
        self.enter(State::Asleep);
        let (reason, log) = match self.engine.inspect(&self.settings.container).await {
            Ok(container) => (container.ending(), last_words(&self.engine, &container).await),
            Err(error) => (error.to_string(), String::new()),
        };
        events::died(&self.settings, &reason, connections.totals(), &log);
    }

    /// Resets every client, says why once, and keeps away from the engine for a while.
    async fn fail(&mut self, failure: &Failure, room: &mut Room<'_>, watch: &mut Watch) {
        let clients = room.turn_away();
        let failures = self.seat.state.record().failures;
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.saturating_pow(failures.min(8)));
        self.seat.state.update(|record| {
            record.failures = failures.saturating_add(1);
            // A start that may still happen is the next try's to settle.
            if !failure.is_open() && record.state == State::Waking {
                record.state = State::Asleep;
            }
        });
        let reason = failure.to_string();
        self.seat.status.set(format!("wake failed: {reason}; next try in {}", took(pause)));
        match failure.is_open() {
            true => self.tell_unreachable(&reason, clients),
            false => {
                let next = format!("next try in {}", took(pause));
                events::wake_failed(&self.settings, &reason, clients, &next, failure.log());
                self.told = Some(reason);
            }
        }
        tokio::select! {
            () = room.turn_away_until(Instant::now() + pause) => {}
            // An engine that is back need not be waited for any longer.
            () = watch.back() => {}
        }
    }

    fn tell_unreachable(&mut self, reason: &str, clients: usize) {
        if clients == 0 && self.told.as_deref() == Some(reason) {
            return;
        }
        events::engine_unreachable(&self.settings, reason, clients);
        self.told = Some(reason.to_owned());
    }

    fn enter(&mut self, state: State) {
        self.seat.state.update(|record| {
            record.state = state;
            record.started_at = None;
        });
    }

    fn place(&self) -> Place<'_> {
        Place { settings: &self.settings, engine: &self.engine, listeners: &self.seat.listeners }
    }
}

/// Lets those who have waited through to a container that answers; the probe's connection is the first one's.
fn admit(answering: Answering, room: &mut Room<'_>, connections: &mut Connections) -> (Container, Route) {
    let Answering { container, route, mut first, probed, .. } = answering;
    for client in room.open() {
        let Ok(address) = route.address(client.port) else { continue };
        match first.take_if(|_| probed == address) {
            Some(stream) => connections.relay(client.stream, stream),
            None => connections.dial(client.stream, address.clone(), route.grace(&address)),
        }
    }
    (container, route)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
