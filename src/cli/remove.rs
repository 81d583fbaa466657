//! `rouse remove`: what `rouse add` wrote, gone.

use std::process::ExitCode;

use clap::Args;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Removes it.
pub fn run(_arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
