//! The sidecars of one engine, and the containers that it knows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Finding, Known, Severity, container, filter, lender, ports, services, way};
use crate::config::{Config, Sidecar, table_key};
use crate::engine::{Container, Docker, Error, Location, Network};
use crate::socket::Address;
use crate::units::{Socket, Units};

/// The sidecars of one engine whose settings are sound, with their sockets.
pub type Members<'a> = Vec<(Sidecar, &'a [&'a Socket])>;

/// Adds what is wrong with their containers, and with those that are in their way; gives how many of them have one.
pub async fn check(
    config: &Config,
    units: &Units,
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
                let message = format!("{error}, so this and the containers after it were not looked at");
                let finding =
                    Finding::new(Severity::Warning, message, "see how the engine is, and try again");
                findings.push(finding.in_file(engine.socket(), None).of_container(&settings.container));
                return seen.len();
            }
            Err(error) => {
                findings.push(missing(config, settings, sockets, &error));
                continue;
            }
        };
        findings.extend(container::check(settings, &container));
        let lender = match container.network() {
            Network::Of(other) => Some(engine.inspect(&other).await),
            _ => None,
        };
        findings.extend(lender.as_ref().and_then(|lender| lender::check(config, settings, lender)));
        let dialled = lender.and_then(Result::ok).unwrap_or_else(|| container.clone());
        let on_host = dialled.network() == Network::Host;
        let target = target(settings, &dialled);
        let refused = |service| filter::check(&settings.name, &service, target?);
        findings.extend(services(units, *sockets).find_map(refused));
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
            let message =
                format!("{error}, so whether another container has a socket's port was not looked at");
            let finding = Finding::new(Severity::Warning, message, "see how the engine is, and try again");
            findings.push(finding.in_file(engine.socket(), None));
        }
    }
    seen.len()
}

/// Where `container` is dialled, as far as it can be known: it may be asleep, and get another address when it wakes.
fn target(settings: &Sidecar, container: &Container) -> Option<IpAddr> {
    match &settings.address {
        Some(Address::Tcp(address)) => Some(address.ip()),
        Some(Address::Unix(_)) => None,
        None => match container.location(settings.network.as_deref()) {
            Location::Own { ip, .. } => Some(ip),
            _ => None,
        },
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
