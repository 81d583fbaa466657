//! What to dial where the container's own address will not do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ports::{Way, another};
use crate::engine::{Container, Network};

/// What to dial where the container's own address will not do, and why that is so.
pub fn address(container: &Container, ways: &[Way]) -> Result<Option<(SocketAddr, String)>, String> {
    let on_host = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let the_same = |way: &Way| ways.iter().all(|other| other.inside == way.inside);
    match container.network() {
        Network::Own(_) | Network::Of(_) => Ok(None),
        Network::Nowhere(mode) => Err(format!(
            "the container has no address (network mode {mode:?}): give it a network, or write its table by hand with \
             `address`, which may be a unix socket in a volume: see rouse.toml(5)"
        )),
        Network::Host => {
            let clash = ways.iter().find(|way| way.listen.port() == Some(way.inside));
            match (clash, ways) {
                (Some(way), _) => Err(format!(
                    "{} is the port of the container itself, which shares the host's network: listen on another one",
                    way.listen
                )),
                (None, [way, ..]) if the_same(way) => {
                    Ok(Some((on_host(way.inside), "It shares the host's network.".to_owned())))
                }
                // Each way has a port of its own, which rouse dials on the host by itself.
                _ => Ok(None),
            }
        }
        Network::Userspace(kind) => {
            let [way, ..] = ways else { return Ok(None) };
            if !the_same(way) {
                return Err(format!(
                    "behind {kind} one port of the container can be dialled, not several: say which with --port"
                ));
            }
            let published = container
                .publications()
                .into_iter()
                .find(|publication| publication.port == way.inside && publication.host_port.is_some());
            let Some((publication, port)) = published.and_then(|one| Some((one.clone(), one.host_port?)))
            else {
                return Err(format!(
                    "behind {kind} only a published port can be dialled, and port {inside} is published on none: \
                     recreate the container with, say, -p 127.0.0.1:{host}:{inside}",
                    inside = way.inside,
                    host = another(way.inside)
                ));
            };
            let taken =
                ways.iter().find(|way| publication.listen().is_some_and(|one| one.clashes(&way.listen)));
            if let Some(way) = taken {
                return Err(format!(
                    "{} is where the container is published, and behind {kind} it must be: listen on another port with \
                     --listen, or recreate the container with -p on another one",
                    way.listen
                ));
            }
            let ip = publication.ip.filter(|ip| !ip.is_unspecified()).unwrap_or(Ipv4Addr::LOCALHOST.into());
            let why = format!("Behind {kind} it can be dialled only where it is published.");
            Ok(Some((SocketAddr::new(ip, port), why)))
        }
    }
}
