//! One helper: a life for each sidecar whose sockets it was handed, until all of them are asleep.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Interval, interval};

use crate::config::{self, Config};
use crate::control::server::answer;
use crate::engine::Docker;
use crate::events;
use crate::journal;
use crate::limits;
use crate::name::Name;
use crate::relay::Pipes;
use crate::sidecar::{Seat, Sidecar};
use crate::socket::Listeners;
use crate::state::{self, Kept, StateFile};
use crate::status::Board;
use crate::systemd::{self, Sockets};

/// Callers of the control socket at once; the others wait in the kernel's queue.
const MAX_CALLS: usize = 64;
/// Where an engine listens when the configuration does not say: the first that is there.
const ENGINES: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];

/// How a helper ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// All asleep, or asked to leave.
    Done,
    /// Other helpers have all of its sidecars.
    Refused,
}

/// How one life ended.
#[derive(Debug)]
enum Rest {
    /// Its container is asleep.
    Asleep(Seat),
    /// It had no usable configuration; this one has.
    Mended(Seat, Box<Config>),
}

/// What the lives of one helper have in common.
#[derive(Debug)]
struct House {
    file: Option<PathBuf>,
    config: Config,
    /// The settings that each sidecar has lived with: they stay in force when a reload brings errors.
    settings: BTreeMap<Name, config::Sidecar>,
    engines: BTreeMap<PathBuf, Rc<Docker>>,
    pipes: Rc<Pipes>,
    /// For each sidecar: the file table is theirs together.
    most_connections: usize,
}

/// Runs the sidecars behind `sockets`, with the configuration in `file` or in the usual place.
pub async fn run(sockets: Sockets, file: Option<&Path>) -> io::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    systemd::notify_ready();

    let mut house = House {
        file: file.map(Path::to_owned),
        config: Config::read(file),
        settings: BTreeMap::new(),
        engines: BTreeMap::new(),
        pipes: Rc::new(Pipes::new(limits::pipes())),
        most_connections: (limits::connections() / sockets.sidecars.len()).max(1),
    };
    let pipes = house.pipes.clone();
    spawn_local(async move { pipes.tend().await });
    let board = Board::default();
    let control = Listeners::new(sockets.control)?;
    let mut doors = Vec::new();
    let mut lives = JoinSet::new();
    for (name, sockets) in sockets.sidecars {
        let listeners = Rc::new(Listeners::new(sockets)?);
        match open_state(&name) {
            Some(state) => {
                doors.push(listeners.clone());
                let status = board.place(name.clone());
                house.begin(Seat { name, listeners, state, status }, &mut lives);
            }
            None => {
                // Its clients came to the wrong door, and must not wait before it.
                listeners.reset_queued();
                spawn_local(async move {
                    loop {
                        drop(listeners.accept().await);
                    }
                });
            }
        }
    }
    if doors.is_empty() {
        return Ok(End::Refused);
    }

    let mut sleepers = JoinSet::new();
    let mut calls = JoinSet::new();
    let mut watchdog = systemd::watchdog_period().map(interval);
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(leave()),
            _ = interrupt.recv() => return Ok(leave()),
            () = tick(&mut watchdog) => systemd::notify_watchdog(),
            _ = hangup.recv() => house.reload(),
            (caller, _) = control.accept(), if calls.len() < MAX_CALLS => {
                calls.spawn_local(answer(caller, Rc::default()));
            }
            Some(_) = calls.join_next() => {}
            Some(Ok(rest)) = lives.join_next() => match rest {
                Rest::Asleep(seat) => {
                    sleepers.spawn_local(async move {
                        seat.listeners.client().await;
                        seat
                    });
                }
                Rest::Mended(seat, config) => {
                    house.config = *config;
                    house.begin(seat, &mut lives);
                }
            },
            Some(Ok(seat)) = sleepers.join_next() => house.begin(seat, &mut lives),
        }
        // Whoever is queued at this moment is answered by this helper; whoever comes later starts the next one.
        let queued = || control.has_client() || doors.iter().any(|door| door.has_client());
        if lives.is_empty() && calls.is_empty() && !queued() {
            systemd::notify_stopping(&board.line());
            return Ok(End::Done);
        }
    }
}

/// The containers stay as they are; ending the process resets the connections.
fn leave() -> End {
    systemd::notify_stopping("told to stop; the container stays as it is");
    End::Done
}

async fn tick(period: &mut Option<Interval>) {
    match period {
        Some(period) => drop(period.tick().await),
        None => pending().await,
    }
}

/// The state of a sidecar, if no other helper has it.
fn open_state(name: &Name) -> Option<StateFile> {
    let directory = state::directory();
    match StateFile::open(&directory, name) {
        Ok((state, kept)) => {
            match kept {
                Kept::InFile => {}
                Kept::InMemory(error) => {
                    let directory = directory.display();
                    journal::warn(
                        name,
                        format_args!("no state is kept: {directory} cannot be written to: {error}"),
                    );
                }
                Kept::SetAside(aside, error) => {
                    let aside = aside.display();
                    journal::warn(
                        name,
                        format_args!("the state file cannot be read ({error}) and is now {aside}"),
                    );
                }
            }
            Some(state)
        }
        Err(refused) => {
            journal::warn(name, format_args!("{refused}"));
            None
        }
    }
}

impl House {
    /// Begins a life with the settings that are in force now; one that has none waits for some.
    fn begin(&mut self, seat: Seat, lives: &mut JoinSet<Rest>) {
        let settings = self.config.sidecar(&seat.name);
        match settings.or_else(|errors| self.settings.get(&seat.name).cloned().ok_or(errors)) {
            Ok(mut settings) => {
                self.settings.insert(seat.name.clone(), settings.clone());
                settings.max_connections = settings.max_connections.min(self.most_connections);
                let engine = self.engine(&settings);
                let sidecar = Sidecar::new(seat, settings, engine, self.pipes.clone());
                lives.spawn_local(async { Rest::Asleep(sidecar.live().await) });
            }
            Err(errors) => {
                lives.spawn_local(endure(seat, errors, self.file.clone()));
            }
        }
    }

    fn engine(&mut self, settings: &config::Sidecar) -> Rc<Docker> {
        let usual =
            || ENGINES.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(ENGINES[0]));
        let socket = settings.engine.clone().unwrap_or_else(|| usual().to_owned());
        self.engines.entry(socket.clone()).or_insert_with(|| Rc::new(Docker::new(&socket))).clone()
    }

    /// Reads the configuration anew, for the lives to come.
    fn reload(&mut self) {
        self.config = Config::read(self.file.as_deref());
        for error in self.config.errors() {
            tracing::error!(target: "rouse", "{error}; what it concerns stays as it was");
        }
    }
}

/// Resets the clients of a sidecar whose configuration is broken, and reads it again for each. A helper that left instead
/// would be started again by the queued client, hundreds of times a second.
async fn endure(seat: Seat, mut errors: Vec<config::Error>, file: Option<PathBuf>) -> Rest {
    loop {
        reject(&seat, &errors);
        loop {
            seat.listeners.client().await;
            let config = Config::read(file.as_deref());
            let Err(found) = config.sidecar(&seat.name) else { return Rest::Mended(seat, Box::new(config)) };
            drop(seat.listeners.accept().await);
            seat.listeners.reset_queued();
            if found != errors {
                errors = found;
                break;
            }
        }
    }
}

fn reject(seat: &Seat, errors: &[config::Error]) {
    if let Some(first) = errors.first() {
        seat.status.set(format!("configuration rejected: {first}"));
    }
    events::config_rejected(&seat.name, errors);
}
