//! The engines: whether they can be asked, and by whom.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::members::{self, Members};
use super::{Finding, Known, Severity, docker_host, once, permission, services};
use crate::config::Config;
use crate::engine::{Docker, Engines, Error};
use crate::units::Units;

/// What is wrong with the engines of `known` and with their containers; `variable` is `$DOCKER_HOST`.
pub async fn check(
    config: &Config,
    units: &Units,
    known: &Known<'_>,
    variable: Option<&str>,
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
    findings.extend(docker_host::check(variable, members.keys().map(PathBuf::as_path)));
    let mut sleepers = 0;
    for (engine, members) in members.values() {
        findings.extend(permissions(units, engine.socket(), members));
        match engine.ping().await {
            Ok(()) => sleepers += members::check(config, units, engine, members, known, &mut findings).await,
            Err(error) => findings.push(unreachable(engine.socket(), &error, members)),
        }
    }
    if sleepers > 0 {
        findings.push(prune());
    }
    findings
}

/// The finding of an engine that gives no answer.
fn unreachable(socket: &Path, error: &Error, members: &Members<'_>) -> Finding {
    let Error::Unreachable { cause, .. } = error else {
        let message = format!("{error}, so its containers were not looked at");
        return Finding::new(Severity::Warning, message, "see how the engine is, and try again")
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
    let services = services(units, members.iter().flat_map(|(_, sockets)| *sockets));
    once(services.filter_map(|service| permission::check(&service, engine)))
}

/// The note of what deletes the containers of those who sleep.
fn prune() -> Finding {
    let message = "a sleeping container is a stopped one, which `docker system prune` and `docker container prune` delete";
    let hint = "create the containers with a label and prune with --filter label!=LABEL, or prune images and volumes only";
    Finding::new(Severity::Note, message, hint)
}
