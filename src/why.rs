//! Why a sidecar is as it is: what keeps it awake, or what keeps it from being awake.

use serde::{Deserialize, Serialize};

use crate::clock::{span, until};

/// Why a sidecar is in its state. The moments are milliseconds of Unix time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Why {
    /// Nobody wants it.
    Unasked,
    /// It waits for its turn in its exclusive group.
    Turn {
        /// The group.
        group: String,
    },
    /// It waits for those that it requires.
    Requires {
        /// Their names.
        sidecars: Vec<String>,
    },
    /// The engine starts its container.
    Starting,
    /// Its container runs and is not ready yet.
    Unready {
        /// What is waited for.
        awaited: String,
    },
    /// Nobody uses it.
    Unused {
        /// What comes of that.
        next: Step,
        /// And when.
        at_ms: u64,
    },
    /// Its container computes.
    Busy {
        /// In percent of one core.
        percent: u32,
    },
    /// Answers are due.
    Owes {
        /// How many.
        answers: usize,
    },
    /// Somebody keeps it awake.
    Held {
        /// Who.
        by: Vec<Holder>,
    },
    /// Clients are connected, which counts as use with `idle = "connections"`.
    Connected {
        /// How many.
        connections: usize,
    },
    /// It never sleeps: `idle_timeout = "never"`.
    Never,
    /// The engine pauses or stops its container.
    Stepping {
        /// Which of both.
        step: Step,
    },
    /// Its last wake has failed.
    Failed {
        /// The reason.
        reason: String,
        /// Until when its clients are reset at once.
        next_ms: u64,
    },
    /// The engine does not answer.
    EngineUnreachable {
        /// The reason.
        reason: String,
        /// Where clients are connected to meanwhile.
        address: Option<String>,
        /// When it is tried again, if no client is let through.
        next_ms: Option<u64>,
    },
    /// Its configuration cannot be used.
    Rejected {
        /// The first of the errors.
        error: String,
    },
    /// Its socket is not enabled; only `rouse status` says so.
    Off,
    /// It is up without a helper; only `rouse status` says so.
    Unattended,
    /// Its state file cannot be read; only `rouse status` says so.
    Unreadable {
        /// What is wrong with it.
        error: String,
    },
}

/// What is done with a container that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// It is paused.
    Pause,
    /// It is stopped.
    Sleep,
}

/// Who keeps a sidecar awake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// A sidecar that requires it, or somebody in their own words.
    pub by: String,
    /// It is a sidecar that requires it.
    #[serde(default)]
    pub requires: bool,
    /// When the hold ends by itself.
    pub until_ms: Option<u64>,
}

impl Holder {
    /// Somebody who holds it for as long as a request lasts.
    pub fn named(by: impl Into<String>) -> Holder {
        Holder { by: by.into(), requires: false, until_ms: None }
    }

    /// As one reads it best, at some moment.
    pub fn text(&self, now_ms: u64) -> String {
        match (self.requires, self.until_ms) {
            (true, _) => format!("required by {}", self.by),
            (false, None) => format!("held by {}", self.by),
            (false, Some(then)) => format!("held by {} for {}", self.by, span(until(then, now_ms))),
        }
    }
}

impl Why {
    /// As one reads it best, at some moment.
    pub fn text(&self, now_ms: u64) -> String {
        let wait = |then: &u64| span(until(*then, now_ms));
        match self {
            Why::Unasked => "the next connection wakes it".into(),
            Why::Turn { group } => format!("waiting for its turn in group {group}"),
            Why::Requires { sidecars } => format!("waiting for {}", sidecars.join(", ")),
            Why::Starting => "the engine starts its container".into(),
            Why::Unready { awaited } => format!("waiting for {awaited}"),
            Why::Unused { next: Step::Pause, at_ms } => format!("pauses in {}", wait(at_ms)),
            Why::Unused { next: Step::Sleep, at_ms } => format!("sleeps in {}", wait(at_ms)),
            Why::Busy { percent } => format!("busy: {percent} % CPU"),
            Why::Owes { answers: 1 } => "owes 1 answer".into(),
            Why::Owes { answers } => format!("owes {answers} answers"),
            Why::Held { by } => by.iter().map(|holder| holder.text(now_ms)).collect::<Vec<_>>().join(", "),
            Why::Connected { connections: 1 } => "1 connection is open".into(),
            Why::Connected { connections } => format!("{connections} connections are open"),
            Why::Never => "never sleeps".into(),
            Why::Stepping { step: Step::Pause } => "the engine pauses its container".into(),
            Why::Stepping { step: Step::Sleep } => "the engine stops its container".into(),
            Why::Failed { reason, next_ms } if *next_ms > now_ms => {
                format!("wake failed: {reason}, next try in {}", wait(next_ms))
            }
            Why::Failed { reason, .. } => format!("wake failed: {reason}, the next connection tries again"),
            Why::EngineUnreachable { reason, address: Some(address), .. } => {
                format!("engine unreachable: {reason}; clients are connected straight to {address}")
            }
            Why::EngineUnreachable { reason, next_ms: Some(next), .. } if *next > now_ms => {
                format!("engine unreachable: {reason}, next try in {}", wait(next))
            }
            Why::EngineUnreachable { reason, .. } => format!("engine unreachable: {reason}"),
            Why::Rejected { error } => format!("configuration rejected: {error}"),
            Why::Off => "not enabled".into(),
            Why::Unattended => "no helper: the next one adopts it".into(),
            Why::Unreadable { error } => format!("state file unreadable: {error}"),
        }
    }
}

#[cfg(test)]
mod sample; // reasons for the tests
#[cfg(test)]
pub use sample::samples;
