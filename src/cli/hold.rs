//! `rouse hold`: keeps a sidecar awake.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::name::Name;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecar
    name: Name,
    /// Return at once when it is ready, and keep it awake for so long: "90s", "1h30m"
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    r#for: Option<Duration>,
}

/// Holds it.
pub fn run(_arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
