//! One helper: a life for each sidecar whose sockets it was handed, until all of them are asleep.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Interval, interval, timeout};

use crate::calls::{Directory, line};
use crate::config::{self, Config};
use crate::control::server::{Desk, MAX_CALLS, answer};
use crate::engine::Engines;
use crate::events;
use crate::journal;
use crate::limits;
use crate::name::Name;
use crate::neighbours::{Neighbours, sockets_folder};
use crate::places;
use crate::relay::Pipes;
use crate::sidecar::{Seat, Settings, Surroundings, live};
use crate::socket::Listeners;
use crate::state::{Kept, StateFile};
use crate::status::Board;
use crate::systemd::{self, Sockets};

/// How long a helper that is told to leave waits for the last that its sidecars have to write down.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How a helper ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// All asleep, or asked to leave.
    Done,
    /// Other helpers have all of its sidecars.
    Refused,
}

/// What the lives of one helper live by.
#[derive(Debug)]
struct House {
    file: Option<PathBuf>,
    config: Config,
    /// For each sidecar, the settings in force: they stay when a reload brings errors.
    lives: BTreeMap<Name, watch::Sender<Settings>>,
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
        lives: BTreeMap::new(),
        most_connections: (limits::connections() / sockets.sidecars.len()).max(1),
    };
    let pipes = Rc::new(Pipes::new(limits::pipes()));
    let tended = pipes.clone();
    spawn_local(async move { tended.tend().await });
    let control = Listeners::new(sockets.control)?;
    let board = Board::default();
    let (reload, mut reloads) = mpsc::unbounded_channel();
    let mut directory = Directory::default();
    let mut seats = Vec::new();
    for (name, sockets) in sockets.sidecars {
        let listeners = Rc::new(Listeners::new(sockets)?);
        match open_state(&name) {
            Some(state) => {
                let (caller, calls) = line();
                directory.insert(name.clone(), caller);
                let (status, settings) = (board.place(name.clone()), house.settle_in(&name));
                seats.push(Seat { name, listeners, calls, settings, reload: reload.clone(), state, status });
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
    if seats.is_empty() {
        return Ok(End::Refused);
    }
    let doors: Vec<_> = seats.iter().map(|seat| seat.listeners.clone()).collect();
    let directory = Rc::new(directory);
    let neighbours = Rc::new(Neighbours::new(directory.clone(), sockets_folder(&control)));
    let around = Rc::new(Surroundings { engines: Engines::default(), pipes, neighbours });
    let mut lives = JoinSet::new();
    for seat in seats {
        lives.spawn_local(live(seat, around.clone()));
    }

    let desk = Rc::new(Desk::new(directory.clone(), board.clone()));
    let mut calls = JoinSet::new();
    let mut watchdog = systemd::watchdog_period().map(interval);
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(leave(&directory).await),
            _ = interrupt.recv() => return Ok(leave(&directory).await),
            () = tick(&mut watchdog) => systemd::notify_watchdog(),
            _ = hangup.recv() => {
                let rejected = house.reload();
                rejected.iter().for_each(|(name, errors)| events::reload_rejected(name, errors));
            }
            // On behalf of one that has no settings yet, for each of its clients: of the others it would tell too often.
            Some(()) = reloads.recv() => drop(house.reload()),
            (caller, _) = control.accept(), if calls.len() < MAX_CALLS => {
                calls.spawn_local(answer(caller, desk.clone()));
            }
            Some(_) = calls.join_next() => {}
            () = board.one_rests() => {}
        }
        // Whoever is queued at this moment is answered by this helper; whoever comes later starts the next one.
        let queued = || control.has_client() || doors.iter().any(|door| door.has_client());
        if board.all_rest() && calls.is_empty() && !queued() {
            systemd::notify_stopping(&board.line());
            return Ok(End::Done);
        }
    }
}

/// The containers stay as they are; ending the process resets the connections. What they have moved since it was last written
/// down would be lost.
async fn leave(directory: &Directory) -> End {
    let mut told = JoinSet::new();
    for caller in directory.values() {
        let caller = caller.clone();
        told.spawn_local(async move { drop(caller.tell().await) });
    }
    // One in the middle of a step has written when that began, and says no more.
    let _ = timeout(LAST_WORDS, told.join_all()).await;
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
    let directory = places::own_states();
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
    /// The settings of a sidecar, now and after each reload.
    fn settle_in(&mut self, name: &Name) -> watch::Receiver<Settings> {
        let (sender, settings) = watch::channel(self.settings(name));
        self.lives.insert(name.clone(), sender);
        settings
    }

    fn settings(&self, name: &Name) -> Settings {
        let mut settings = self.config.sidecar(name)?;
        settings.max_connections = settings.max_connections.min(self.most_connections);
        Ok(Rc::new(settings))
    }

    /// Reads the configuration anew. Where it brings errors, the settings in force stay, and the errors are given back.
    fn reload(&mut self) -> Vec<(Name, Rc<[config::Error]>)> {
        self.config = Config::read(self.file.as_deref());
        let mut rejected = Vec::new();
        for (name, life) in &self.lives {
            match self.settings(name) {
                Err(errors) if life.borrow().is_ok() => rejected.push((name.clone(), errors)),
                settings => drop(life.send_replace(settings)),
            }
        }
        rejected
    }
}
