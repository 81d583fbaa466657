//! `rouse add`: configuration and socket for a container that exists.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::as_root::as_root;
use super::root::Root;
use super::{once, runtime, tell};
use crate::add::{Error, New, Places, Proposal, Wishes, agree, listen, may_write, propose, unusable, write};
use crate::config::{Config, Sidecar};
use crate::engine::{Docker, Engines, Error as EngineError};
use crate::name::Name;
use crate::places;
use crate::units::Listen;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sidecars, called like their containers
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Name>,
    /// The container, where it is not called like the sidecar
    #[arg(long, value_name = "CONTAINER", value_parser = container_name)]
    container: Option<String>,
    /// Where the socket listens: a port, an address and port, or a path; may be repeated [default: where the container is
    /// published, else its ports on 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = listen)]
    listen: Vec<Listen>,
    /// The port in the container
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How to tell that it answers: tcp, http:/PATH, http-ok:/PATH, healthy, log:REGEX
    #[arg(long, value_name = "HOW")]
    ready: Option<String>,
    /// How long it stays awake unused: "90s", "1h30m", "never"
    #[arg(long, value_name = "DURATION")]
    idle_timeout: Option<String>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    root: Root,
}

/// Adds them, all or none.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let done = match config {
        Some(_) => {
            Err("rouse add writes to /etc/rouse/rouse.d, which is not read with --config: leave that out"
                .into())
        }
        // A rootless container is reached by other ways than those that are proposed here.
        None if places::are_users() => {
            Err("rouse add writes for the system's manager: write the two files by hand, as \
                 /usr/share/doc/rouse/user-manager.md shows them"
                .into())
        }
        None => add(arguments),
    };
    match done {
        Ok(code) => code,
        Err(what) => {
            tell(what);
            ExitCode::FAILURE
        }
    }
}

fn add(arguments: &Arguments) -> Result<ExitCode, String> {
    let names = once(&arguments.names);
    let wishes = arguments.wishes();
    if names.len() > 1 && wishes != Wishes::default() {
        return Err("--container, --listen, --port, --ready and --idle-timeout are for one sidecar: add each by itself".into());
    }
    let places = arguments.root.places();
    let proposals = look(&places, &names, &wishes)?;
    let files = files(&places, &proposals);
    agree(&places, &proposals)?;
    if arguments.dry_run {
        show(&files);
        advise(&proposals);
        may_write(&files, arguments.force).map_err(|error| error.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    match write(&files, arguments.force) {
        Ok(()) => {
            report(&proposals, &files);
            Ok(ExitCode::SUCCESS)
        }
        Err(denied @ Error::Denied(_)) => {
            show(&files);
            advise(&proposals);
            Err(format!("{denied}, so nothing was written: run it as root: {}", as_root()))
        }
        Err(error @ Error::Failed { .. }) => {
            Err(format!("{error}; nothing was written: with --dry-run it is shown"))
        }
        Err(error) => Err(format!("{error}; nothing was written")),
    }
}

/// Asks the engine of each for its container.
fn look(places: &Places, names: &[&Name], wishes: &Wishes) -> Result<Vec<Proposal>, String> {
    let tables: Vec<_> = names.iter().map(|name| (places.table(name), String::new())).collect();
    // As if they had no table yet.
    let config = Config::read_with(&places.configuration(), &tables);
    let looked = runtime::block_on(async {
        let engines = Engines::default();
        let mut proposals = Vec::new();
        for name in names {
            let usual = config.sidecar(name).map_err(|errors| unusable(name, &errors))?;
            proposals
                .push(look_at(&engines, &usual, wishes).await.map_err(|what| format!("{name}: {what}"))?);
        }
        Ok(proposals)
    });
    looked.map_err(|error| format!("cannot start: {error}"))?
}

async fn look_at(engines: &Engines, usual: &Sidecar, wishes: &Wishes) -> Result<Proposal, String> {
    let engine = engines.at(usual.engine.as_deref());
    let called = wishes.container.as_deref().unwrap_or(usual.name.as_str());
    let container = match engine.inspect(called).await {
        Ok(container) => container,
        Err(EngineError::NoSuchContainer { .. }) => return Err(missing(&engine, called, &usual.name).await),
        Err(EngineError::Unreachable { cause, .. }) if cause.kind() == io::ErrorKind::PermissionDenied => {
            return Err(format!(
                "this user may not ask {}: run it as root: {}",
                engine.socket().display(),
                as_root()
            ));
        }
        Err(error) => return Err(cured(&error)),
    };
    let proposal = propose(&container, usual, wishes)?;
    let running = engine.running().await.map_err(|error| cured(&error))?;
    Ok(proposal.beside(&running, &container))
}

/// The error with what to do about it.
fn cured(error: &EngineError) -> String {
    match error {
        EngineError::Deadline { .. } => format!("{error}: see how the engine is, and try again"),
        error => error.to_string(),
    }
}

/// That there is no container `called` so, and which one may be meant.
async fn missing(engine: &Docker, called: &str, name: &Name) -> String {
    let what = format!("{} has no container {called:?}", engine.socket().display());
    match engine.of_service(called).await.unwrap_or_default().as_slice() {
        [] => format!(
            "{what}: create it first, or say which one it is: rouse add {name} --container CONTAINER \
             (docker ps --all shows them)"
        ),
        [meant, ..] => {
            let meant = meant.name();
            format!("{what}, but {meant} is that of service {called}: rouse add {name} --container {meant}")
        }
    }
}

fn files(places: &Places, proposals: &[Proposal]) -> Vec<New> {
    let both = |proposal: &Proposal| {
        [
            New { path: places.table(&proposal.name), text: proposal.table() },
            New { path: places.drop_in(&proposal.name), text: proposal.drop_in() },
        ]
    };
    proposals.iter().flat_map(both).collect()
}

/// Prints them as `systemctl cat` does.
fn show(files: &[New]) {
    let mut out = io::stdout().lock();
    for (number, file) in files.iter().enumerate() {
        let gap = if number > 0 { "\n" } else { "" };
        // A reader that has seen enough changes nothing.
        let _ = write!(out, "{gap}# {}\n{}", file.path.display(), file.text);
    }
}

/// Says what was done, what is to be done first, and how to turn them on.
fn report(proposals: &[Proposal], files: &[New]) {
    let mut out = io::stdout().lock();
    for file in files {
        let _ = writeln!(out, "wrote {}", file.path.display());
    }
    for proposal in proposals {
        let _ = writeln!(out, "{}", proposal.summary());
    }
    advise(proposals);
    let units: Vec<_> = proposals.iter().map(|one| format!("rouse@{}.socket", one.name)).collect();
    let _ = writeln!(out, "systemctl daemon-reload && systemctl enable --now {}", units.join(" "));
}

fn advise(proposals: &[Proposal]) {
    let mut err = io::stderr().lock();
    for proposal in proposals {
        for advice in &proposal.advice {
            let _ = writeln!(err, "{}: {advice}", proposal.name);
        }
    }
}

/// A name that an engine could have given, so that no other path of its API is asked for.
fn container_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a container is called by letters, digits, '_', '.' and '-'".to_owned()),
    }
}

impl Arguments {
    fn wishes(&self) -> Wishes {
        Wishes {
            container: self.container.clone(),
            listen: self.listen.clone(),
            port: self.port,
            ready: self.ready.clone(),
            idle_timeout: self.idle_timeout.clone(),
        }
    }
}
