//! The command line.

mod add; // config and drop-in for a container that exists
mod adopt; // a helper for each container that runs without one
mod as_root; // the same command for somebody who may
mod call; // a command that is a call of the control socket
mod check; // what will not work, and how to mend it
mod hold; // keep it awake
mod is_running; // does its container run
mod metrics; // what was counted, for Prometheus
mod progress; // a line on the terminal while a wake takes its time
mod names; // the sidecars that a shell may complete
mod remove; // what `add` wrote, gone
mod root; // the folder that stands for /
mod run; // the helper
mod runtime; // what runs a command's asynchronous part
mod sleep; // put it to sleep
mod status; // a table of all sidecars
mod touch; // count as use
mod wake; // wake it
mod words; // figures as people read them

#[cfg(test)]
mod documented; // the manual and the completions know the same commands and options

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::name::Name;
use crate::places;

/// EX_CONFIG of sysexits.h: nothing that another try would mend.
const EX_CONFIG: u8 = 78;
/// Nobody knows a sidecar of this name: 4 as the LSB has it for services.
const UNKNOWN: u8 = 4;

/// Wakes a container when somebody connects to its port, and puts it back to sleep when nobody uses it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// Read this file instead of /etc/rouse/rouse.toml and /etc/rouse/rouse.d/*.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The sidecars of this user's own manager, as with systemctl --user, and the configuration in ~/.config/rouse
    #[arg(long, global = true)]
    user: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The helper: systemd starts it with its sockets, on the first connection
    Run,
    /// Show all sidecars, or these; wakes and starts nothing
    Status(status::Arguments),
    /// Wake a sidecar and wait until it is ready; counts as use
    Wake {
        /// The sidecar
        name: Name,
    },
    /// Count as use of a sidecar; wakes nothing
    Touch {
        /// The sidecar
        name: Name,
    },
    /// Say by the exit code whether its container runs: 0 yes, 3 no, 4 no such sidecar, 1 unknown
    IsRunning {
        /// The sidecar
        name: Name,
    },
    /// Wake a sidecar and keep it awake until interrupted
    Hold(hold::Arguments),
    /// Put a sidecar to sleep now, unless it is in use
    Sleep(sleep::Arguments),
    /// Start the helpers of containers that run without one
    Adopt,
    /// Say what will not work, and how to mend it
    Check(check::Arguments),
    /// Write configuration and socket for containers that exist
    Add(add::Arguments),
    /// Remove what `add` has written
    Remove(remove::Arguments),
    /// Print what was counted of all sidecars, in the format of Prometheus
    Metrics(metrics::Arguments),
    /// Print the names of all sidecars, for the completions of shells
    #[command(hide = true)]
    Names,
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let Arguments { config, user, command } = Arguments::parse();
    if user {
        places::choose_user();
    }
    let config = config.as_deref();
    match command {
        Command::Run => run::run(config),
        Command::Status(arguments) => status::run(config, &arguments),
        Command::Wake { name } => wake::run(&name),
        Command::Touch { name } => touch::run(&name),
        Command::IsRunning { name } => is_running::run(config, &name),
        Command::Hold(arguments) => hold::run(&arguments),
        Command::Sleep(arguments) => sleep::run(config, &arguments),
        Command::Adopt => adopt::run(config),
        Command::Check(arguments) => check::run(config, &arguments),
        Command::Add(arguments) => add::run(config, &arguments),
        Command::Remove(arguments) => remove::run(&arguments),
        Command::Metrics(arguments) => metrics::run(&arguments),
        Command::Names => names::run(config),
    }
}

/// Says something on stderr. Whoever has closed that does not want to know.
fn tell(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "rouse: {what}");
}

/// Each of `names` once, in the order in which they were given.
fn once(names: &[Name]) -> Vec<&Name> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
