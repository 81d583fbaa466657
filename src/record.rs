//! What the state file of a sidecar holds, version 1.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::relay;
use crate::why::{Holder, Why};

/// The version of what follows.
pub const VERSION: u32 = 1;
/// The upper bounds of the wake times that are counted together, in milliseconds; what took longer has a count of its own.
pub const WAKE_BOUNDS_MS: [u64; 12] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 300_000];
/// So many of the last wakes tell how long one usually takes.
const RECENT: usize = 15;

/// What a sidecar is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The container is stopped.
    Asleep,
    /// A start was asked for.
    Waking,
    /// The container runs.
    Awake,
    /// A pause was asked for.
    Pausing,
    /// The container is frozen.
    Paused,
    /// A stop was asked for.
    Sleeping,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 6] =
        [State::Asleep, State::Waking, State::Awake, State::Pausing, State::Paused, State::Sleeping];

    /// As it stands in the state file.
    pub fn name(self) -> &'static str {
        match self {
            State::Asleep => "asleep",
            State::Waking => "waking",
            State::Awake => "awake",
            State::Pausing => "pausing",
            State::Paused => "paused",
            State::Sleeping => "sleeping",
        }
    }

    /// Whether the container runs or is frozen, as far as the helper knows.
    pub fn is_up(self) -> bool {
        !matches!(self, State::Asleep | State::Waking)
    }
}

/// What the state file holds. Moments are milliseconds of Unix time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The sidecar.
    pub sidecar: String,
    /// Its container.
    pub container: String,
    /// What it is doing.
    pub state: State,
    /// Since when.
    pub since_ms: u64,
    /// Why.
    pub why: Why,
    /// Open connections.
    pub connections: usize,
    /// Counted since its first helper; they never shrink.
    pub totals: Totals,
    /// How long the last wakes took, the latest last.
    pub recent_wakes_ms: Vec<u64>,
    /// The last wake that failed, or death.
    pub last_failure: Option<LastFailure>,
    /// The holds that outlive the requests that made them.
    pub holds: Vec<Holder>,
    /// The boot in which this was written: what was under way in another one is not any more.
    pub boot_id: String,
    /// The container's id in the engine, while it is up or something is under way.
    pub container_id: Option<String>,
    /// The engine's StartedAt of the run that a stop was asked for, so that no later run is stopped in its place.
    pub started_at: Option<String>,
    /// Wakes that have failed since the last one that did not.
    pub failures: u32,
    /// The process that wrote it.
    pub pid: u32,
    /// When it wrote it.
    pub written_ms: u64,
}

/// What has been counted of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Wakes that ended ready.
    pub wakes_ready: u64,
    /// Wakes that ended with clients let through though it was not ready.
    pub wakes_late: u64,
    /// Wakes that failed.
    pub wakes_failed: u64,
    /// How many of those that ended ready took no longer than each of [`WAKE_BOUNDS_MS`] but longer than the one before, and how
    /// many took longer than the last.
    pub wake_times: [u64; WAKE_BOUNDS_MS.len() + 1],
    /// The sum of what they took, in milliseconds.
    pub wake_time_ms: u64,
    /// Connections, open ones included.
    pub connections: u64,
    /// Bytes to the container.
    pub bytes_up: u64,
    /// Bytes from the container.
    pub bytes_down: u64,
    /// How long it was awake, in milliseconds.
    pub awake_ms: u64,
    /// How long it was paused, in milliseconds.
    pub paused_ms: u64,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// When.
    pub at_ms: u64,
    /// What and why.
    pub reason: String,
}

impl Totals {
    /// A wake that ended ready.
    pub fn count_wake(&mut self, took: Duration) {
        let took_ms = took.as_millis() as u64;
        let place = WAKE_BOUNDS_MS.partition_point(|bound| *bound < took_ms);
        self.wakes_ready = self.wakes_ready.saturating_add(1);
        self.wake_times[place] = self.wake_times[place].saturating_add(1);
        self.wake_time_ms = self.wake_time_ms.saturating_add(took_ms);
    }
}

impl Record {
    /// What it is doing as one sees it from outside: it wakes until its first client is let through.
    pub fn doing(&self) -> State {
        match self.why {
            Why::Turn { .. } | Why::Requires { .. } | Why::Starting | Why::Unready { .. } => State::Waking,
            _ => self.state,
        }
    }

    /// Why, as one sees it from outside: after a wake that has failed it is not as if nothing had happened.
    pub fn reason(&self) -> Why {
        match (&self.why, &self.last_failure) {
            (Why::Unasked, Some(failure)) if self.failures > 0 => {
                Why::Failed { reason: failure.reason.clone(), next_ms: failure.at_ms }
            }
            (why, _) => why.clone(),
        }
    }

    /// All connections that there have been, and how many of them are open.
    pub fn count(&mut self, all: relay::Totals, open: usize) {
        self.connections = open;
        self.totals.connections = all.connections;
        self.totals.bytes_up = all.up;
        self.totals.bytes_down = all.down;
    }

    /// Notes what went wrong.
    pub fn note_failure(&mut self, reason: &str) {
        self.last_failure = Some(LastFailure { at_ms: now_ms(), reason: reason.to_owned() });
    }

    /// Counts a wake that ended ready.
    pub fn count_wake(&mut self, took: Duration) {
        self.totals.count_wake(took);
        self.recent_wakes_ms.push(took.as_millis() as u64);
        let surplus = self.recent_wakes_ms.len().saturating_sub(RECENT);
        self.recent_wakes_ms.drain(..surplus);
    }

    /// How long a wake usually takes: the median of the last ones.
    pub fn usual_wake(&self) -> Option<Duration> {
        let mut recent = self.recent_wakes_ms.clone();
        recent.sort_unstable();
        recent.get(recent.len() / 2).copied().map(Duration::from_millis)
    }
}
