//! `rouse is-running`: does its container run.

use std::path::Path;
use std::process::ExitCode;

use crate::name::Name;

/// Says it by the exit code.
pub fn run(_config: Option<&Path>, _name: &Name) -> ExitCode {
    ExitCode::FAILURE
}
