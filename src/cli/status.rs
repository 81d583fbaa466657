//! `rouse status`: what all sidecars do, without waking or starting anything.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::name::Name;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// These alone, with their totals and their last failure
    names: Vec<Name>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Shows them.
pub fn run(_config: Option<&Path>, _arguments: &Arguments) -> ExitCode {
    ExitCode::FAILURE
}
