//! The life of one sidecar, in a straight line: look → wake or adopt → serve until unused → pause or sleep.

mod asleep; // from a look that finds nobody to the one who asks
mod waking; // from the one who asks to a container that answers
mod failing; // what becomes of clients while it cannot be woken
mod following; // what others do to a container that is up
mod telling; // what it says of itself
mod questions; // what the engine is asked about it
mod serve; // from a container that is up to one that is unused or dead
mod attending; // what comes in meanwhile
mod yielding; // those who want it asleep
mod steps; // pausing, unpausing, sleeping, burying

use std::convert::Infallible;
use std::rc::Rc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::activity::{Activity, Rules};
use crate::calls::{Calls, Refusal};
use crate::config::{self, Idle};
use crate::connections::Connections;
use crate::door::{Asks, Door};
use crate::engine::{Container, Docker, Engines, Error, Watch};
use crate::events;
use crate::failure::Failure;
use crate::holds::Holds;
use crate::journal;
use crate::name::Name;
use crate::neighbours::Neighbours;
use crate::record::State;
use crate::relay::Pipes;
use crate::relay::Totals;
use crate::requirements::Requirements;
use crate::room::{Room, Visit};
use crate::route::Route;
use crate::socket::Listeners;
use crate::state::StateFile;
use crate::status::Status;
use crate::wake::Place;
use crate::warnings::Warnings;
use crate::why::Step;
use serve::End;

/// The settings in force, or why there are none.
pub type Settings = Result<Rc<config::Sidecar>, Rc<[config::Error]>>;

/// What is one sidecar's own.
#[derive(Debug)]
pub struct Seat {
    /// Its name.
    pub name: Name,
    /// Its sockets.
    pub listeners: Rc<Listeners>,
    /// What is asked of it.
    pub calls: Calls,
    /// Its settings, anew after each reload.
    pub settings: watch::Receiver<Settings>,
    /// Asks for a reload.
    pub reload: mpsc::UnboundedSender<()>,
    /// Its state file, locked.
    pub state: StateFile,
    /// Its place in the status line.
    pub status: Status,
}

/// What the sidecars of one helper share.
#[derive(Debug)]
pub struct Surroundings {
    /// The engines that they name.
    pub engines: Engines,
    /// The pipes of their connections.
    pub pipes: Rc<Pipes>,
    /// The other sidecars, in this helper or another.
    pub neighbours: Rc<Neighbours>,
}

/// All that one life works with; its owner.
#[derive(Debug)]
struct Sidecar {
    name: Name,
    listeners: Rc<Listeners>,
    latest: watch::Receiver<Settings>,
    state: StateFile,
    status: Status,
    around: Rc<Surroundings>,
    settings: Rc<config::Sidecar>,
    engine: Rc<Docker>,
    /// Who keeps it awake.
    holds: Holds,
    /// Whom it keeps awake, while it is awake itself.
    requirements: Option<Requirements>,
    warnings: Warnings,
    /// The run of the container that the open connections go to.
    run: Option<Run>,
    /// Connections whose container is dead.
    remains: JoinSet<Totals>,
    /// What there was of connections before those that are open, since the first helper.
    past: Totals,
    /// Tries in a row to which the engine gave no answer.
    unanswered: u32,
    /// The last failure that was written down, which a look need not repeat.
    told: Option<String>,
    /// The engine is away, and that has been written down.
    is_away: bool,
}

/// What tells one run of a container from all others.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    id: String,
    started_at: String,
}

/// What one turn of a life was.
#[derive(Debug)]
enum Turn {
    /// A time awake, which is over.
    Awake,
    /// A look that found it asleep and unasked for.
    Asleep,
}

/// A container that is up, and the way to it once it has answered in this run.
#[derive(Debug)]
struct Up {
    /// As it was last inspected.
    container: Container,
    /// Without one, nobody has been served yet, and the first client waits until it answers.
    route: Option<Route>,
    /// Frozen.
    is_paused: bool,
}

impl Up {
    fn found(container: Container) -> Up {
        Up { is_paused: container.is_paused(), container, route: None }
    }
}

impl Run {
    fn of(container: &Container) -> Run {
        Run { id: container.id.clone(), started_at: container.started_at().to_owned() }
    }
}

/// One life, for as long as its helper lives.
pub async fn live(mut seat: Seat, around: Rc<Surroundings>) -> Infallible {
    let settings = seat.usable_settings().await;
    let Seat { name, listeners, calls, settings: latest, state, status, .. } = seat;
    let engine = around.engines.at(settings.engine.as_deref());
    let mut watch = Watch::new(engine.clone(), settings.container.clone());
    let door = Door::new(listeners.clone(), asks(&settings), settings.max_waiting);
    let mut room = Room::new(door, calls, most_waiting(&settings));
    let counted = &state.record().totals;
    let past = Totals { connections: counted.connections, up: counted.bytes_up, down: counted.bytes_down };
    let mut sidecar = Sidecar {
        name,
        listeners,
        latest,
        state,
        status,
        around,
        settings,
        engine,
        holds: Holds::default(),
        requirements: None,
        warnings: Warnings::default(),
        run: None,
        remains: JoinSet::new(),
        past,
        unanswered: 0,
        told: None,
        is_away: false,
    };
    let mut connections = sidecar.no_connections();
    loop {
        sidecar.renew(&mut watch, &mut room);
        match sidecar.once(&mut room, &mut watch, &mut connections).await {
            Ok(Turn::Awake) => {}
            Ok(Turn::Asleep) => sidecar.rest(&mut room, &mut watch).await,
            Err(failure) => {
                sidecar.fail(&failure, &mut room, &mut watch, &mut connections).await;
                // An engine that stays away is waited for only where it may have left something running.
                let nothing_runs = sidecar.state.record().state == State::Asleep && connections.is_empty();
                if failure.is_open() && nothing_runs && !room.is_asked() {
                    sidecar.rest(&mut room, &mut watch).await;
                }
            }
        }
    }
}

fn asks(settings: &config::Sidecar) -> Asks {
    match settings.wake_on {
        config::WakeOn::Connect => Asks::ByConnecting,
        config::WakeOn::Data => Asks::BySending,
    }
}

fn most_waiting(settings: &config::Sidecar) -> usize {
    settings.max_waiting.min(settings.max_connections)
}

impl Sidecar {
    /// Takes all settings as they are now.
    fn renew(&mut self, watch: &mut Watch, room: &mut Room) {
        let Ok(settings) = self.latest.borrow_and_update().clone() else { return };
        let engine = self.around.engines.at(settings.engine.as_deref());
        if settings.container != self.settings.container || !Rc::ptr_eq(&engine, &self.engine) {
            if self.state.record().state != State::Asleep {
                let old = &self.settings.container;
                let text = format_args!(
                    "container {old} is up and not this sidecar's any more: it is left as it is"
                );
                journal::warn(&self.name, text);
                self.enter(State::Asleep, None);
            }
            *watch = Watch::new(engine.clone(), settings.container.clone());
            self.engine = engine;
            self.run = None;
        }
        room.door().set(asks(&settings), settings.max_waiting);
        room.set_most(most_waiting(&settings));
        self.settings = settings;
    }

    /// Takes those settings that say how long it stays up, and leaves the others to the next wake.
    fn retime(&mut self) {
        if let Ok(latest) = self.latest.borrow_and_update().clone() {
            self.settings = Rc::new(config::Sidecar::clone(&self.settings).timed_like(&latest));
        }
    }

    /// One time awake, or a look that finds it asleep.
    async fn once(
        &mut self,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) -> Result<Turn, Failure> {
        // Subscribed first, inspected then: what changes in between is told.
        watch.subscribed().await?;
        self.settle(room).await?;
        let container = match self.engine.inspect(&self.settings.container).await {
            // Nobody asks for it: it may be made later.
            Err(error @ Error::NoSuchContainer { .. }) if !room.is_asked() => {
                if self.told.is_none() {
                    journal::warn(&self.name, format_args!("{error}"));
                }
                self.part_with(connections, room);
                self.enter(State::Asleep, None);
                return Ok(Turn::Asleep);
            }
            inspected => inspected?,
        };
        (self.unanswered, self.is_away) = (0, false);
        let is_another = self.run.as_ref().is_some_and(|run| *run != Run::of(&container));
        if is_another || !container.is_up() {
            self.part_with(connections, room);
        } else if connections.is_empty() {
            // What they begin with may have been set anew.
            self.count(connections.totals());
            *connections = self.no_connections();
        }
        let mut up = if container.is_up() {
            self.adopt(container, connections)
        } else if room.is_asked() {
            self.wake(container, room, watch, connections).await?
        } else {
            self.enter(State::Asleep, None);
            return Ok(Turn::Asleep);
        };
        self.warnings.of_restarts(&self.settings, &up.container);
        watch.follow(&up.container.id);
        self.stay(&mut up, room, watch, connections).await?;
        Ok(Turn::Awake)
    }

    /// From a container that is up to one that is down.
    async fn stay(
        &mut self,
        up: &mut Up,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) -> Result<(), Failure> {
        let mut activity = Activity::new(self.rules(), Instant::now());
        loop {
            let slept = match self.serve(up, &mut activity, room, watch, connections).await? {
                End::Unused(Step::Pause) => {
                    self.pause(up, &mut activity, connections).await;
                    false
                }
                End::Stirred => {
                    self.unpause(up, room, connections).await?;
                    false
                }
                End::Unused(Step::Sleep) => self.sleep(up, &mut activity, None, room, connections).await,
                End::Unwanted(sleepers) => {
                    let cause = sleepers.cause();
                    let slept = self.sleep(up, &mut activity, cause, room, connections).await;
                    if slept && sleepers.are_forceful() {
                        self.holds.end_unrequired();
                    }
                    let refusal = || Refusal::failed("the engine has not stopped its container");
                    sleepers.answer(slept.then_some(()).ok_or_else(refusal));
                    slept
                }
                End::Died { found, by_hand } => {
                    self.bury(found, by_hand, room, connections).await;
                    true
                }
            };
            if slept {
                return Ok(());
            }
        }
    }

    /// Looks after a container that is up already.
    fn adopt(&mut self, container: Container, connections: &mut Connections) -> Up {
        let run = Run::of(&container);
        let up = Up::found(container);
        self.enter_as(&up);
        if up.is_paused {
            connections.freeze();
        }
        if self.run.as_ref() != Some(&run) {
            events::adopted(&self.settings, up.is_paused);
            if self.holds.by().is_empty() {
                self.restore_holds();
            }
            self.run = Some(run);
        }
        if self.requirements.is_none() {
            let Surroundings { neighbours, .. } = &*self.around;
            self.requirements = Some(Requirements::keep(&self.settings.requires, &self.name, neighbours));
        }
        up
    }

    /// Leaves connections to a container that runs no more to themselves, and begins anew. Who has none yet waits for the next run.
    fn part_with(&mut self, connections: &mut Connections, room: &mut Room) {
        self.run = None;
        let clients = connections.take_back(self.settings.wake_timeout);
        clients.into_iter().for_each(|client| room.keep(Visit::Client(client)));
        let old = std::mem::replace(connections, self.no_connections());
        self.count(old.totals());
        if !old.is_empty() {
            self.remains.spawn_local(old.wind_up());
        }
    }

    fn no_connections(&self) -> Connections {
        Connections::new(self.name.clone(), self.around.pipes.clone(), self.settings.proxy_protocol)
    }

    fn rules(&self) -> Rules {
        Rules {
            idle_timeout: self.settings.idle_timeout,
            pause_after: self.settings.pause_after,
            connections_are_use: self.settings.idle == Idle::Connections,
            reply_timeout: self.settings.reply_timeout,
            busy_cpu: self.settings.busy_cpu,
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            settings: &self.settings,
            engine: &self.engine,
            listeners: &self.listeners,
            warnings: &self.warnings,
        }
    }
}
