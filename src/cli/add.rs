//! `rouse add`: configuration and socket for a container that exists.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Adds them.
pub fn run(_config: Option<&Path>, _arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
