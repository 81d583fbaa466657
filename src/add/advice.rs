//! What is to be changed about a container before it can be a sidecar, and how.

use super::ports::{Way, list};
use crate::engine::{Container, Listed, Network};
use crate::shell::word;
use crate::units::Listen;

/// What stands in the way of the container `called` behind `ways`, each with its cure.
pub fn advice(called: &str, container: &Container, ways: &[Way]) -> Vec<String> {
    let mut advice = Vec::new();
    let own = matches!(container.network(), Network::Own(_));
    let clashes: Vec<String> = container
        .publications()
        .iter()
        .filter_map(|publication| Some((publication.listen()?, publication.port)))
        .filter(|(listen, _)| own && ways.iter().any(|way| way.listen.clashes(listen)))
        .map(|(listen, port)| format!("{}:{port}", listen.value()))
        .collect();
    if !clashes.is_empty() {
        advice.push(format!(
            "it publishes {}, and where it does, the socket cannot listen: {}",
            list(&clashes),
            recreate(called, container, "`ports:`", "-p")
        ));
    }
    if let Some(unit) = container.unit() {
        advice.push(format!(
            "{unit} makes it anew at each start and would end when rouse puts it to sleep: make a container that stays \
             instead, with `podman create`"
        ));
    } else if container.is_deleted_when_stopped() {
        advice.push(format!(
            "it is removed when it stops (--rm), so its first sleep would be its end: {}",
            recreate(called, container, "what removes it", "--rm")
        ));
    }
    if container.restarts_always() {
        let lasting = match container.compose() {
            Some(compose) => format!(", and write that for `restart:` of service {} too", compose.service),
            None => String::new(),
        };
        advice.push(format!(
            "its restart policy is “always”, so it is started whenever the engine is: docker update --restart unless-stopped {called}{lasting}"
        ));
    }
    if let Network::Of(other) = container.network() {
        advice.push(format!(
            "it shares the network of container {}, which must run before it and must not publish these ports: \
             rouse wakes that one only if it is a sidecar too, named in `requires`",
            other.get(..12).unwrap_or(&other)
        ));
    }
    let beyond = container.beyond_tcp();
    if !beyond.is_empty() {
        let beyond: Vec<_> = beyond.into_iter().collect();
        advice.push(format!("of {} rouse knows nothing: it wakes and relays TCP only", list(&beyond)));
    }
    advice
}

/// Who else is published where a socket is to listen, of those that run.
pub fn rivals(running: &[Listed], container: &Container, ways: &[Way]) -> Vec<String> {
    let others = running.iter().filter(|other| other.id != container.id);
    let taken = others.flat_map(|other| {
        let listens: Vec<_> =
            other.published().map(|address| Listen::at(Some(address.ip()), address.port())).collect();
        let clashing =
            ways.iter().filter(move |way| listens.iter().any(|listen| listen.clashes(&way.listen)));
        clashing.map(move |way| (other.name(), &way.listen))
    });
    let advice = taken.map(|(other, listen)| {
        format!(
            "{listen} is where container {other} is published, which runs now, and beside it the socket cannot listen: choose \
             another place with --listen, or recreate that container without -p"
        )
    });
    advice.collect()
}

/// How to make it again without something, which is `in_file` for Compose and `option` on a command line.
fn recreate(called: &str, container: &Container, in_file: &str, option: &str) -> String {
    match container.compose() {
        Some(compose) => {
            let enter = compose.folder.map(|folder| format!("cd {} && ", word(&folder))).unwrap_or_default();
            let service = word(&compose.service);
            format!(
                "before you turn it on, take {in_file} out of service {service} and: {enter}docker compose up --no-start {service}"
            )
        }
        None => format!(
            "before you turn it on, recreate it without {option} (docker rm --force {called}, then docker create …); what it has written \
             outside of volumes goes with it"
        ),
    }
}
