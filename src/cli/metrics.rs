//! `rouse metrics`: what was counted, for Prometheus.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Args;

use super::{EX_CONFIG, runtime, tell};
use crate::metrics::{self, Format, serve::serve};
use crate::{journal, places, systemd};

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Answer scrapers on the sockets that systemd passes, and exit when none has come for a while
    #[arg(long)]
    serve: bool,
}

/// Prints it, or answers those who scrape it.
pub fn run(arguments: &Arguments) -> ExitCode {
    if arguments.serve { answer() } else { print() }
}

fn print() -> ExitCode {
    let directory = places::states();
    let found = match metrics::read(&directory) {
        Ok(found) => found,
        Err(error) => {
            tell(format_args!("cannot read {}: {error}", directory.display()));
            return ExitCode::FAILURE;
        }
    };
    found.unreadable.iter().for_each(tell);
    match io::stdout().write_all(found.text(Format::OpenMetrics).as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(format_args!("cannot print: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn answer() -> ExitCode {
    journal::open();
    // Before the runtime: listenfd edits the environment, which only a single thread may.
    let sockets = match systemd::take_listeners() {
        Ok(sockets) => sockets,
        Err(unusable) => {
            tracing::error!(target: "rouse", "{unusable}");
            return EX_CONFIG.into();
        }
    };
    match runtime::block_on(serve(sockets, places::own_states())).and_then(|ended| ended) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "rouse", "cannot answer scrapers: {error}");
            ExitCode::FAILURE
        }
    }
}
