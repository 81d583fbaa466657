//! `rouse metrics`: what was counted, for Prometheus.

use std::process::ExitCode;

use clap::Args;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Answer scrapers on the sockets that systemd passes, and exit when none has come for a while
    #[arg(long)]
    serve: bool,
}

/// Prints it.
pub fn run(_arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
