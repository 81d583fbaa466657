//! Why a sidecar cannot be used now.

use std::time::Duration;

use crate::engine::Error;
use crate::journal::took;
use crate::name::Name;

/// Why a sidecar cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The engine's fault, or what it said.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The container has ended before it was ready.
    #[error("container {container} ended before it was ready: {ending}")]
    Died {
        /// The container.
        container: String,
        /// Its exit code and what goes with it.
        ending: String,
        /// The last lines of its log.
        log: String,
    },
    /// Its restart policy starts it over and over.
    #[error("container {container} ends and is restarted over and over: {ending}")]
    CrashLoop {
        /// The container.
        container: String,
        /// Its exit code and what goes with it.
        ending: String,
        /// The last lines of its log.
        log: String,
    },
    /// `wake_timeout` has passed.
    #[error("container {container} is not ready after {}: {}", took(*after), what)]
    NotReady {
        /// The container.
        container: String,
        /// `wake_timeout`.
        after: Duration,
        /// What was waited for.
        what: String,
    },
    /// A sidecar that it requires cannot be had.
    #[error("it requires {required}, which is not to be had: {why}")]
    Requirement {
        /// The other one.
        required: Name,
        /// What that one said.
        why: String,
    },
    /// Another sidecar of its group does not make room.
    #[error("its group {group} is taken by {rival}: {why}")]
    Group {
        /// `exclusive`.
        group: Name,
        /// The one that is up, or is waking.
        rival: String,
        /// What that one said.
        why: String,
    },
    /// There is nothing to dial.
    #[error("container {container} cannot be dialled: {why}")]
    NoWay {
        /// The container.
        container: String,
        /// The reason and the cure.
        why: String,
    },
}

impl Failure {
    /// What the container said last; empty where that does not matter.
    pub fn log(&self) -> &str {
        match self {
            Failure::Died { log, .. } | Failure::CrashLoop { log, .. } => log,
            _ => "",
        }
    }

    /// Whether the engine has left open what became of the last start or stop.
    pub fn is_open(&self) -> bool {
        matches!(self, Failure::Engine(error) if error.is_open())
    }
}
