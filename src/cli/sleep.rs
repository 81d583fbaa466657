//! `rouse sleep`: puts a sidecar to sleep.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::name::Name;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecar
    name: Name,
    /// Also while it is in use or held; its connections end with the container
    #[arg(long)]
    force: bool,
}

/// Puts it to sleep.
pub fn run(_config: Option<&Path>, _arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
