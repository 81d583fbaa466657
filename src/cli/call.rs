//! What the commands share that call a control socket.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::runtime;
use crate::calls::{Refusal, RefusalKind};
use crate::name::Name;
use crate::neighbours;
use crate::places;

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
        Err(refusal) => {
            eprintln!("rouse: {name}: {}", refusal.error);
            eprintln!("rouse: {}", refusal.hint);
            ExitCode::FAILURE
        }
    }
}
