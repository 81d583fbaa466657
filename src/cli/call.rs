//! What the commands share that call a control socket.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{runtime, tell};
use crate::calls::{Refusal, RefusalKind};
use crate::config;
use crate::name::Name;
use crate::neighbours;
use crate::places;
use crate::terminal::harmless;

/// The control socket of a sidecar.
pub fn socket(name: &Name) -> PathBuf {
    neighbours::socket(&places::sockets(), name)
}

/// Runs one command to its end, on one thread.
pub fn block_on<T>(command: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let failed = |error: io::Error| {
        Refusal::new(RefusalKind::Failed, format!("cannot start: {error}"), "is the system out of resources?")
    };
    runtime::block_on(command).map_err(failed)?
}

/// How a command ends that has nothing to print: with the reason and the cure where it was refused.
pub fn end(name: &Name, done: Result<(), Refusal>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refused(name, &refusal),
    }
}

/// Why nothing can be asked about a sidecar of which this is wrong.
pub fn rejected(errors: &[config::Error]) -> Refusal {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    Refusal::new(RefusalKind::Failed, first, format!("{} shows all that is wrong", places::rouse("check")))
}

/// Says why it is not done, which may be told in a container's own words, and what would help.
pub fn refused(name: &Name, refusal: &Refusal) -> ExitCode {
    tell(format_args!("{name}: {}", harmless(&refusal.error)));
    tell(harmless(&refusal.hint));
    ExitCode::FAILURE
}
