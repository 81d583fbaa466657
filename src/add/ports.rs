//! Which port of a container is behind which socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::config::Port;
use crate::engine::{Container, Network, Publication};
use crate::name::Name;
use crate::units::Listen;

/// A socket, and the port of the container behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub listen: Listen,
    pub inside: u16,
}

impl Publication {
    /// Where it listens on the host, if that is the same each time.
    pub(super) fn listen(&self) -> Option<Listen> {
        Some(Listen::at(self.ip, self.host_port?))
    }
}

/// The sockets of the sidecar `name`, each with its port: as they are published, else on loopback; at least one.
pub fn ways(
    name: &Name,
    container: &Container,
    listen: &[Listen],
    port: Option<u16>,
) -> Result<Vec<Way>, String> {
    let ways = match listen {
        [] => proposed(name, container, port)?,
        listen => {
            let wanted = listen.iter().map(|listen| {
                let inside = port.map_or_else(|| behind(name, container, listen), Ok)?;
                Ok(Way { listen: listen.clone(), inside })
            });
            wanted.collect::<Result<_, String>>()?
        }
    };
    let mut kept: Vec<Way> = Vec::new();
    for way in ways {
        if kept.iter().any(|other| other.inside == way.inside && other.listen.covers(&way.listen)) {
            continue;
        }
        kept.retain(|other| !(other.inside == way.inside && way.listen.covers(&other.listen)));
        kept.push(way);
    }
    for (number, way) in kept.iter().enumerate() {
        if let Some(other) = kept.iter().take(number).find(|other| other.listen.clashes(&way.listen)) {
            return Err(format!(
                "{} and {} cannot both be listened on: choose with --listen",
                other.listen, way.listen
            ));
        }
    }
    Ok(kept)
}

/// Without a wish where to listen.
fn proposed(name: &Name, container: &Container, port: Option<u16>) -> Result<Vec<Way>, String> {
    if container.network() == Network::Host {
        let inside = port.or_else(|| container.exposed().first().copied()).unwrap_or(8080);
        return Err(format!(
            "the container shares the host's network, so the socket cannot have the same port as the container: \
             say another one: rouse add {name} --listen 127.0.0.1:{} --port {inside}",
            another(inside)
        ));
    }
    let published = container.publications();
    let ports: BTreeSet<u16> = match port {
        Some(port) => [port].into(),
        None if published.is_empty() => container.exposed(),
        None => published.iter().map(|publication| publication.port).collect(),
    };
    if ports.is_empty() {
        let beyond: Vec<_> = container.beyond_tcp().into_iter().collect();
        let what = match beyond.as_slice() {
            [] => "neither its image nor its creator names a TCP port, so nobody can tell where it listens"
                .to_owned(),
            beyond => format!("it names {} only, and rouse wakes and relays TCP alone", list(beyond)),
        };
        let which = if beyond.is_empty() { "say it" } else { "if it listens on a TCP port too, say it" };
        return Err(format!("{what}: {which}: rouse add {name} --port 8080"));
    }
    // Behind a process of its user a container is dialled where it is published, so the socket is elsewhere.
    let taken = matches!(container.network(), Network::Userspace(_));
    Ok(ports
        .into_iter()
        .flat_map(|inside| {
            let mut listens: Vec<Listen> = published
                .iter()
                .filter(|publication| publication.port == inside && !taken)
                .filter_map(Publication::listen)
                .collect();
            if listens.is_empty() {
                listens.push(Listen::at(Some(Ipv4Addr::LOCALHOST.into()), inside));
            }
            listens.into_iter().map(move |listen| Way { listen, inside })
        })
        .collect())
}

/// The port of the container that is meant by who asks for a socket there.
fn behind(name: &Name, container: &Container, listen: &Listen) -> Result<u16, String> {
    let published = container.publications();
    let as_published = published
        .iter()
        .find(|publication| publication.host_port.is_some() && publication.host_port == listen.port());
    if let Some(publication) = as_published {
        return Ok(publication.port);
    }
    let known = match published.is_empty() {
        true => container.exposed(),
        false => published.iter().map(|publication| publication.port).collect(),
    };
    let known: Vec<u16> = known.into_iter().collect();
    match (known.as_slice(), listen.port()) {
        (ports, Some(port)) if ports.contains(&port) || ports.is_empty() => Ok(port),
        ([only], _) => Ok(*only),
        (ports, _) => Err(format!(
            "which port of the container is behind {listen} nobody can tell{}: say it: rouse add {name} --listen {} --port {}",
            match ports {
                [] => ", as it names none".to_owned(),
                ports => format!(" (it has {})", list(ports)),
            },
            listen.value(),
            ports.first().unwrap_or(&8080)
        )),
    }
}

/// `port` for these sockets, if `usual` does not lead there; the error says why none can.
pub fn key(ways: &[Way], usual: &Port) -> Result<Option<Port>, String> {
    let leads = |way: &Way| match usual {
        Port::Connected => way.listen.port() == Some(way.inside),
        Port::One(port) => *port == way.inside,
        Port::Map(map) => way.listen.port().and_then(|port| map.get(&port)) == Some(&way.inside),
    };
    if ways.iter().all(leads) {
        return Ok(None);
    }
    let mut insides = ways.iter().map(|way| way.inside);
    let first = insides.next();
    if let Some(only) = first.filter(|first| insides.all(|inside| inside == *first)) {
        return Ok(Some(Port::One(only)));
    }
    let mut map = BTreeMap::new();
    for way in ways {
        let Some(port) = way.listen.port() else {
            return Err(format!(
                "{} has no port by which to choose one of the container's: say one for all with --port",
                way.listen
            ));
        };
        if map.insert(port, way.inside).is_some_and(|other| other != way.inside) {
            return Err(format!(
                "port {port} would lead to two ports of the container, by the address: \
                 listen on different ports (--listen), or on one port's addresses (--port)"
            ));
        }
    }
    Ok(Some(Port::Map(map)))
}

/// A port to propose where this one cannot be had.
pub(super) fn another(port: u16) -> u16 {
    if port < 10_000 { port + 10_000 } else { port - 5_000 }
}

/// "80, 443 and 8080".
pub(super) fn list<T: ToString>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.to_string(),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(ToString::to_string).collect();
            format!("{} and {}", most.join(", "), last.to_string())
        }
    }
}
