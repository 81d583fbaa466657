//! The engines, and the containers that they know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Finding, Known, Severity, container, permission, ports, way};
use crate::config::{Config, Sidecar};
use crate::engine::{Container, Docker, Engines, Error, Location};
use crate::name::Name;
use crate::units::{Socket, Units, instance};

/// The sidecars of one engine, whose settings are sound.
type Members<'a> = Vec<(Sidecar, &'a [&'a Socket])>;

/// What is wrong with the engines of `known` and with their containers.
pub async fn check(
    config: &Config,
    units: &Units,
    known: &Known<'_>,
    docker_host: Option<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let engines = Engines::default();
    let mut members: BTreeMap<PathBuf, (Rc<Docker>, Members)> = BTreeMap::new();
    for (name, sockets) in known {
        match config.sidecar(name) {
            Ok(settings) => {
                let engine = engines.at(settings.engine.as_deref());
                let entry = members.entry(engine.socket().to_owned());
                entry.or_insert_with(|| (engine, Vec::new())).1.push((settings, sockets));
            }
            // Those of the files have been told; here is one of a sidecar that has only a socket.
            Err(errors) => {
                let new = errors.iter().filter(|error| !config.errors().contains(error));
                findings.extend(new.map(Finding::from));
            }
        }
    }
    findings.extend(other_engine(docker_host, members.keys().map(PathBuf::as_path)));
    let mut sleepers = 0;
    for (engine, members) in members.values() {
        findings.extend(permissions(units, engine.socket(), members));
        match engine.ping().await {
            Ok(()) => sleepers += containers(config, engine, members, known, &mut findings).await,
            Err(error) => findings.push(unreachable(engine.socket(), &error, members)),
        }
    }
    if sleepers > 0 {
        findings.push(prune());
    }
    findings
}

/// Looks at the containers of one engine; gives how many of its members have one.
async fn containers(
    config: &Config,
    engine: &Docker,
    members: &Members<'_>,
    known: &Known<'_>,
    findings: &mut Vec<Finding>,
) -> usize {
    let mut seen = BTreeSet::new();
    for (settings, sockets) in members {
        let container = match engine.inspect(&settings.container).await {
            Ok(container) => container,
            Err(error) => {
                findings.push(missing(config, settings, sockets, &error));
                continue;
            }
        };
        findings.extend(container::check(settings, &container));
        let network = network(engine, &container).await;
        let on_host = network.location(None) == Location::Host;
        findings.extend(way::check(settings, sockets, on_host));
        // With the host's network the engine publishes nothing.
        if !on_host {
            findings.extend(ports::check(
                &settings.container,
                container.is_up(),
                container.published(),
                known,
            ));
        }
        seen.insert(container.id);
    }
    match engine.running().await {
        Ok(running) => {
            for other in running.iter().filter(|running| !seen.contains(&running.id)) {
                findings.extend(ports::check(other.name(), true, other.published(), known));
            }
        }
        Err(error) => {
            let hint = "whether another container has a socket's port was not looked at";
            findings.push(
                Finding::new(Severity::Warning, error.to_string(), hint).in_file(engine.socket(), None),
            );
        }
    }
    seen.len()
}

/// The container in whose network this one is: mostly itself.
async fn network(engine: &Docker, container: &Container) -> Container {
    match container.location(None) {
        Location::Of(other) => engine.inspect(&other).await.unwrap_or_else(|_| container.clone()),
        _ => container.clone(),
    }
}

/// The finding of a sidecar whose container cannot be looked at, at the place that names it.
fn missing(config: &Config, settings: &Sidecar, sockets: &[&Socket], error: &Error) -> Finding {
    let Sidecar { name, container, .. } = settings;
    let table = config.table(name);
    let finding = match error {
        Error::NoSuchContainer { .. } => {
            let hint = match table {
                Some(_) => "create it, or correct `container`".to_owned(),
                None => format!("create it, or name another as `container` in a table [{}]", key(name)),
            };
            Finding::new(Severity::Error, format!("there is no container {container:?}"), hint)
        }
        error => Finding::new(Severity::Warning, error.to_string(), "the container was not looked at"),
    };
    let finding = finding.of_container(container).about_sidecar(name, "container");
    let unit = sockets.iter().find_map(|socket| {
        socket.files.drop_ins.first().or(socket.enabled.as_ref()).or(socket.files.file.as_ref())
    });
    match (table, unit) {
        (Some(place), _) => finding.in_config(place),
        (None, Some(file)) => finding.in_file(file, None),
        (None, None) => finding,
    }
}

fn key(name: &Name) -> String {
    crate::config::table_key(name)
}

/// The finding of an engine that gives no answer.
fn unreachable(socket: &Path, error: &Error, members: &Members<'_>) -> Finding {
    let Error::Unreachable { cause, .. } = error else {
        return Finding::new(Severity::Warning, error.to_string(), "its containers were not looked at")
            .in_file(socket, None);
    };
    let hint = match cause.kind() {
        ErrorKind::PermissionDenied => "run this as root, or as a member of the socket's group",
        ErrorKind::NotFound => "install an engine, or correct `engine`",
        _ => "start the engine",
    };
    // Where there is no socket, nothing will be asked of it either.
    let is_asked = members.iter().any(|(_, sockets)| !sockets.is_empty());
    let severity = if is_asked { Severity::Warning } else { Severity::Note };
    let message = format!("the engine cannot be reached, so its containers were not looked at: {cause}");
    Finding::new(severity, message, hint).in_file(socket, None)
}

/// The findings of helpers whose user may not use this engine: one for each user.
fn permissions(units: &Units, engine: &Path, members: &Members<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let instances =
        members.iter().flat_map(|(_, sockets)| *sockets).filter_map(|socket| instance(&socket.unit));
    for finding in instances.filter_map(|instance| permission::check(&units.service(instance)?, engine)) {
        if !findings.iter().any(|known| known.hint == finding.hint) {
            findings.push(finding);
        }
    }
    findings
}

/// The finding of a `$DOCKER_HOST` by which `docker` shows the containers of another engine.
fn other_engine<'a>(
    docker_host: Option<&str>,
    mut engines: impl Iterator<Item = &'a Path>,
) -> Option<Finding> {
    let value = docker_host.filter(|value| !value.is_empty())?;
    let same = |engine: &Path| {
        let named = Path::new(value.strip_prefix("unix://").unwrap_or_default());
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        real(named) == real(engine)
    };
    let first = engines.next()?;
    if same(first) || engines.any(same) {
        return None;
    }
    let message = format!("{value:?}, but rouse asks the engine at {}", first.display());
    let hint = "unset it, or set `engine` in the table [helper]: `docker` shows the containers of another engine here";
    Some(Finding::new(Severity::Warning, message, hint).about("$DOCKER_HOST"))
}

fn prune() -> Finding {
    let message = "a sleeping container is a stopped one, which `docker system prune` and `docker container prune` delete";
    let hint = "create the containers with a label and prune with --filter label!=LABEL, or prune images and volumes only";
    Finding::new(Severity::Note, message, hint)
}
