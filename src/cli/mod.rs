//! The command line.

mod check; // what is wrong with the configuration
mod run; // the helper

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// EX_CONFIG of sysexits.h: nothing that another try would mend.
const EX_CONFIG: u8 = 78;

/// Wakes a container when somebody connects to its port, and puts it back to sleep when nobody uses it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// Read this file instead of /etc/rouse/rouse.toml and /etc/rouse/rouse.d/*.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The helper: systemd starts it with its sockets, on the first connection
    Run,
    /// Say what is wrong with the configuration
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    match command {
        Command::Run => run::run(config.as_deref()),
        Command::Check { json } => check::run(config.as_deref(), json),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
