//! Which address stands behind a port that clients connect to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::time::Instant;

use crate::config::{Port, Sidecar};
use crate::engine::Container;
use crate::socket::{Address, Listeners};

/// The way to one container, valid until it is started again or moved to another network.
#[derive(Clone, Debug)]
pub struct Route {
    host: Host,
    port: Port,
    /// The address that the readiness probe went to, and until when others may take to answer too.
    probed: Option<(Address, Instant)>,
}

#[derive(Clone, Debug)]
enum Host {
    /// `address` of the configuration.
    Fixed(Address),
    Ip(IpAddr),
}

impl Route {
    /// The way that the configuration gives, if it does: it needs no container to look at.
    pub fn fixed(settings: &Sidecar) -> Option<Route> {
        let address = settings.address.clone()?;
        Some(Route { host: Host::Fixed(address), port: Port::Connected, probed: None })
    }

    /// The way to a container's own address.
    pub fn to(ip: IpAddr, settings: &Sidecar) -> Route {
        Route { host: Host::Ip(ip), port: settings.port.clone(), probed: None }
    }

    /// The way to a container that shares the host's network.
    pub fn to_host(settings: &Sidecar) -> Route {
        Route::to(Ipv4Addr::LOCALHOST.into(), settings)
    }

    /// The address for a client that came to `port`; the error says what the configuration lacks.
    pub fn address(&self, port: Option<u16>) -> Result<Address, String> {
        let ip = match &self.host {
            Host::Fixed(address) => return Ok(address.clone()),
            Host::Ip(ip) => *ip,
        };
        let inside = match (&self.port, port) {
            (Port::One(inside), _) => *inside,
            (Port::Connected, Some(port)) => port,
            (Port::Map(map), Some(port)) => *map
                .get(&port)
                .ok_or_else(|| format!("port {port} is not in the map: add `{port} = …` to `port`"))?,
            (_, None) => {
                return Err(
                    "a unix socket has no port to go by: set `port` to one number, or `address`".into()
                );
            }
        };
        Ok(Address::Tcp(SocketAddr::new(ip, inside)))
    }

    /// Whether it leads to where the container was and no longer is: to an address of its own that it has given up, because
    /// somebody has taken it out of that network. Podman does that by itself when it cleans up after a run while the next
    /// one is up.
    pub fn is_left(&self, was: &Container, is: &Container) -> bool {
        match self.host {
            Host::Fixed(_) => false,
            Host::Ip(ip) => was.has_address(ip) && !is.has_address(ip),
        }
    }

    /// The readiness probe went to `address`; whatever else it listens on, it has until `deadline`.
    pub fn probed(self, address: Address, deadline: Instant) -> Route {
        Route { probed: Some((address, deadline)), ..self }
    }

    /// Until when a refusal by `address` may only mean “not yet”: one port of several was probed, and it was another.
    pub fn grace(&self, address: &Address) -> Option<Instant> {
        let (probed, deadline) = self.probed.as_ref()?;
        (probed != address).then_some(*deadline)
    }

    /// Refuses a way that leads back to our own socket: each connection would make the next one, without end.
    pub fn check(&self, listeners: &Listeners) -> Result<(), String> {
        for listener in listeners.iter() {
            let target = self.address(listener.port())?;
            if listeners.iter().any(|listener| listener.is_reached_by(&target)) {
                return Err(format!(
                    "{target} is the socket that rouse itself listens on: set `port` or `address` to where the \
                     container listens"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: Port) -> Route {
        Route { host: Host::Ip([10, 0, 0, 2].into()), port, probed: None }
    }

    fn address(port: Port, connected: Option<u16>) -> Result<String, String> {
        route(port).address(connected).map(|address| address.to_string())
    }

    #[test]
    fn the_port_is_the_one_that_the_client_came_to_unless_one_is_set() {
        assert_eq!(address(Port::Connected, Some(80)).unwrap(), "10.0.0.2:80");
        assert_eq!(address(Port::One(8080), Some(80)).unwrap(), "10.0.0.2:8080");
        assert_eq!(address(Port::One(8080), None).unwrap(), "10.0.0.2:8080");
    }

    #[test]
    fn a_map_goes_by_the_port_and_names_what_it_lacks() {
        let map = || Port::Map([(8080, 80), (8443, 443)].into());
        assert_eq!(address(map(), Some(8443)).unwrap(), "10.0.0.2:443");
        assert!(address(map(), Some(9)).unwrap_err().contains("`9 = …`"));
        assert!(address(map(), None).unwrap_err().contains("unix socket"));
        assert!(address(Port::Connected, None).unwrap_err().contains("unix socket"));
    }
}
