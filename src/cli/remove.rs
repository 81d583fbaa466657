//! `rouse remove`: what `rouse add` wrote, gone.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::as_root::as_root;
use super::root::Root;
use super::{once, tell};
use crate::add::{Error, Places, Removal, remove};
use crate::config::Config;
use crate::name::Name;
use crate::places::systemctl;
use crate::state::{self, Refused};

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
    #[command(flatten)]
    root: Root,
}

/// Removes them, each by itself.
pub fn run(arguments: &Arguments) -> ExitCode {
    let places = arguments.root.places();
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
        let _ =
            writeln!(io::stdout(), "{0} disable --now {1}; {0} daemon-reload", systemctl(), gone.join(" "));
    }
    if gone.len() == names.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn remove_one(places: &Places, name: &Name, arguments: &Arguments) -> Result<Vec<PathBuf>, String> {
    let paths = [places.table(name), places.drop_in(name)];
    let states = places.states();
    let kept = state::kept(&states, name);
    let shown = |paths: &[PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
    };
    match remove(&paths, arguments.force, arguments.dry_run) {
        Ok(Removal::Removed(mut paths)) => {
            match forget(&states, name, arguments.dry_run, kept) {
                Ok(files) => paths.extend(files),
                // The rest is gone, and is to be turned off.
                Err(what) => tell(format_args!("{name}: {what}")),
            }
            Ok(paths)
        }
        Ok(Removal::Foreign(foreign)) => Err(format!(
            "`rouse add` has not written {}, so nothing was removed: --force removes that too",
            shown(&foreign)
        )),
        Ok(Removal::Nothing) => match (elsewhere(places, name), kept.as_slice()) {
            (Some(place), _) => Err(format!(
                "`rouse add` has not written {place}, so nothing was removed: take it out there by hand"
            )),
            (None, []) => Err(format!(
                "there is nothing to remove: neither {} is there",
                shown(&paths).replace(" and ", " nor ")
            )),
            // Somebody has removed the rest by hand.
            (None, _) => forget(&states, name, arguments.dry_run, kept),
        },
        Err(denied @ Error::Denied(_)) => {
            let left: Vec<_> = paths.into_iter().filter(|path| path.symlink_metadata().is_ok()).collect();
            let are = if left.len() == 1 { "is" } else { "are" };
            Err(format!("{denied}, so {} {are} still there: run it as root: {}", shown(&left), as_root()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What else makes a sidecar of `name`: its table or its address in another file.
fn elsewhere(places: &Places, name: &Name) -> Option<String> {
    let config = Config::read_in(&places.configuration());
    if let Some(place) = config.table(name) {
        return Some(format!("the table at {}:{}", place.file.display(), place.line));
    }
    let units = places.units();
    let mut sockets = units.of_sidecars(|_| false).filter(|(other, _)| other == name);
    let (setting, _) = sockets.find_map(|(_, socket)| socket.listens().next())?;
    Some(format!("the address at {}:{}", setting.file.display(), setting.line))
}

/// Removes its state, by which `rouse status` knows it; gives what was removed.
fn forget(states: &Path, name: &Name, pretend: bool, kept: Vec<PathBuf>) -> Result<Vec<PathBuf>, String> {
    if pretend {
        return Ok(kept);
    }
    match state::forget(states, name) {
        Ok(Ok(())) => Ok(kept),
        Ok(Err(Refused::Taken(holder))) => Err(format!(
            "its helper lives (pid {holder}), so its state in {} stays: turn it off, then run this again",
            states.display()
        )),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(format!(
            "this user may not remove its state in {}: run it as root: {}",
            states.display(),
            as_root()
        )),
        Err(error) => Err(format!("its state in {} cannot be removed: {error}", states.display())),
    }
}

/// Says what has become wrong by it, such as others that require it.
fn warn(before: &Config, after: &Config) {
    for error in after.errors().iter().filter(|error| !before.errors().contains(error)) {
        let _ = writeln!(io::stderr(), "rouse: not right any more: {error}");
    }
}
