//! `rouse names`: the sidecars that a shell may complete, one on each line.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;
use crate::places;
use crate::survey;

/// Prints those with a table, a control socket or a state file. It says nothing else, not even of errors: who completes a
/// line is in the middle of typing it.
pub fn run(config: Option<&Path>) -> ExitCode {
    let (names, _) = survey::names(&Config::read(config), &places::states(), &places::sockets());
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    // A shell that has gone does not complete any more.
    let _ = io::stdout().lock().write_all(lines.as_bytes());
    ExitCode::SUCCESS
}
