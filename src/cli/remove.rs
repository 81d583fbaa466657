//! `rouse remove`: what `rouse add` wrote, gone.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::as_root::as_root;
use super::{once, tell};
use crate::add::{Error, Places, Removal, remove};
use crate::config::Config;
use crate::name::Name;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecars
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Name>,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove also what `rouse add` has not written
    #[arg(long)]
    force: bool,
    /// Remove below this folder instead of /
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Removes them, each by itself.
pub fn run(arguments: &Arguments) -> ExitCode {
    let places = Places::below(&arguments.root);
    let names = once(&arguments.names);
    let before = Config::read_in(&places.configuration());
    let mut gone = Vec::new();
    for name in &names {
        match remove_one(&places, name, arguments) {
            Ok(paths) => {
                let verb = if arguments.dry_run { "would remove" } else { "removed" };
                // Whoever has closed stdout or stderr does not want to know; that holds for all below.
                let _ = paths.iter().try_for_each(|path| writeln!(io::stdout(), "{verb} {}", path.display()));
                gone.push(format!("rouse@{name}.socket"));
            }
            Err(what) => tell(format_args!("{name}: {what}")),
        }
    }
    if !gone.is_empty() && !arguments.dry_run {
        warn(&before, &Config::read_in(&places.configuration()));
        let _ = writeln!(io::stdout(), "systemctl disable --now {}; systemctl daemon-reload", gone.join(" "));
    }
    if gone.len() == names.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn remove_one(places: &Places, name: &Name, arguments: &Arguments) -> Result<Vec<PathBuf>, String> {
    let paths = [places.table(name), places.drop_in(name)];
    let shown = |paths: &[PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
    };
    match remove(&paths, arguments.force, arguments.dry_run) {
        Ok(Removal::Removed(paths)) => Ok(paths),
        Ok(Removal::Foreign(foreign)) => Err(format!(
            "`rouse add` has not written {}, so nothing was removed: --force removes that too",
            shown(&foreign)
        )),
        Ok(Removal::Nothing) => Err(format!(
            "there is nothing to remove: neither {} is there",
            shown(&paths).replace(" and ", " nor ")
        )),
        Err(denied @ Error::Denied(_)) => {
            Err(format!("{denied}, so it is not removed: run it as root: {}", as_root()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Says what has become wrong by it, such as others that require it.
fn warn(before: &Config, after: &Config) {
    for error in after.errors().iter().filter(|error| !before.errors().contains(error)) {
        let _ = writeln!(io::stderr(), "rouse: not right any more: {error}");
    }
}
