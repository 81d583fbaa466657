//! The sidecars of one engine, and the containers that it knows.

use std::collections::BTreeSet;

use super::{Finding, Known, Severity, container, ports, way};
use crate::config::{Config, Sidecar, table_key};
use crate::engine::{Container, Docker, Error, Location};
use crate::units::Socket;

/// The sidecars of one engine whose settings are sound, with their sockets.
pub type Members<'a> = Vec<(Sidecar, &'a [&'a Socket])>;

/// Adds what is wrong with their containers, and with those that are in their way; gives how many of them have one.
pub async fn check(
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
            // Others would be waited for as long, one after the other.
            Err(error @ (Error::Unreachable { .. } | Error::Deadline { .. })) => {
                let hint =
                    "it and the containers after it were not looked at: see how the engine is, and try again";
                let finding = Finding::new(Severity::Warning, error.to_string(), hint);
                findings.push(finding.in_file(engine.socket(), None).of_container(&settings.container));
                return seen.len();
            }
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
                None => format!("create it, or name another as `container` in a table [{}]", table_key(name)),
            };
            Finding::new(Severity::Error, format!("there is no container {container:?}"), hint)
        }
        error => Finding::new(Severity::Warning, error.to_string(), "the container was not looked at"),
    };
    let finding = finding.of_container(container).about_sidecar(name, "container");
    match (table, sockets.first()) {
        (Some(place), _) => finding.in_config(place),
        (None, Some(socket)) => finding.in_file(socket.file(), None),
        (None, None) => finding,
    }
}
