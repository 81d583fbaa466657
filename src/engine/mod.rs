//! What an engine can do with containers: Docker's API, which Podman speaks too.

mod docker; // the calls made, and what each answer means
mod engines; // the engines of a helper
mod log; // what a container has written
mod frames; // how the engine sends that
mod watch; // what happens to one container, across renames and restarts of the engine
mod events; // how the engine tells that
mod call; // everything that an engine is ever asked
mod http; // one request over the unix socket
mod inspect; // what the engine knows of a container
mod health; // its HEALTHCHECK
mod network; // how it is connected, and where it can be dialled
mod ports; // its ports, and where they are published
mod origin; // who has made it
mod list; // containers as the engine lists them

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::places;

pub use docker::{CpuTime, Docker, Started};
pub use engines::Engines;
pub use events::Event;
pub use inspect::Container;
pub use list::Listed;
pub use network::{Location, Network};
pub use ports::Publication;
pub use watch::{Change, Watch};

/// Why the engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or one that broke.
    #[error("the engine at {} cannot be reached: {cause}{}", socket.display(), cure(cause))]
    Unreachable {
        /// The engine's socket.
        socket: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// It took the request and did not answer in time; what it was asked for may still happen.
    #[error("the engine at {} has not answered {call} within {}", socket.display(), humantime::format_duration(*after))]
    Deadline {
        /// The engine's socket.
        socket: PathBuf,
        /// Method and path.
        call: String,
        /// The time it had.
        after: Duration,
    },
    /// There is no container of that name.
    #[error("{message}: create it, or correct `container` in the configuration")]
    NoSuchContainer {
        /// The engine's own words.
        message: String,
    },
    /// It answered, and said no.
    #[error("the engine refused {call} ({status}): {message}")]
    Refused {
        /// Method and path.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// An answer that is not what the API promises.
    #[error("the engine's answer to {call} cannot be read: {what}")]
    Garbled {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// Whether the engine gave no answer, so that what it was asked for may or may not have happened.
    pub fn is_open(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Deadline { .. } | Error::Garbled { .. })
    }
}

fn cure(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied if places::are_users() => {
            ": you are in no group that may use it, such as docker"
        }
        // Whoever that is: a command's user, or the helper's.
        io::ErrorKind::PermissionDenied => {
            ": this user is in no group that may use it, such as docker; `rouse check` as root says what the helper lacks"
        }
        io::ErrorKind::NotFound => ": is the engine installed, and `engine` right?",
        io::ErrorKind::ConnectionRefused => ": is the engine running?",
        _ => "",
    }
}
