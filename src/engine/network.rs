//! Where a container can be reached: its networks and its published ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::Container;

/// Where a container can be dialled.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// At an address of its own; `others` are networks that would have done too.
    Own {
        /// The address.
        ip: IpAddr,
        /// Its network.
        network: String,
        /// The other networks with an address.
        others: Vec<String>,
    },
    /// On the host itself.
    Host,
    /// Where the container of this id is: it shares that one's network.
    Of(String),
    /// Nowhere, and why.
    Nowhere(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    networks: Option<BTreeMap<String, Network>>,
    ports: Option<Ports>,
}

/// By the container's port, as in "80/tcp".
pub(super) type Ports = BTreeMap<String, Option<Vec<Binding>>>;

/// One address of the host behind which a port of the container is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: Option<String>,
}

impl Container {
    /// Where to dial it: the first network by name with an address, or `wanted`; IPv4 first.
    pub fn location(&self, wanted: Option<&str>) -> Location {
        let mode =
            self.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default();
        let networks = self.network_settings.as_ref().and_then(|settings| settings.networks.clone());
        let networks = networks.unwrap_or_default();
        if let Some(other) = mode.strip_prefix("container:") {
            return Location::Of(other.to_owned());
        }
        if mode == "host" {
            return Location::Host;
        }
        if let Some(wanted) = wanted.filter(|wanted| !networks.contains_key(*wanted)) {
            let names: Vec<&str> = networks.keys().map(String::as_str).collect();
            return Location::Nowhere(format!(
                "it is not in network {wanted:?}, only in {}: correct `network`",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            ));
        }
        let mut found = networks
            .iter()
            .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
            .filter_map(|(name, network)| Some((name.clone(), network.address()?)));
        match found.next() {
            Some((network, ip)) => {
                Location::Own { ip, network, others: found.map(|(name, _)| name).collect() }
            }
            None => Location::Nowhere(format!(
                "it has no address (network mode {mode:?}): give it a network, or set `address`"
            )),
        }
    }

    /// The container's port, if `address` is where it is published on this host; engines tell that only while it runs.
    ///
    /// A port that is published on every address (`HostIp` empty, `0.0.0.0` or `::`) is taken to be behind any, loopback too.
    pub fn publishes(&self, address: &SocketAddr) -> Option<u16> {
        let ports = self.network_settings.as_ref()?.ports.as_ref()?;
        ports.iter().find_map(|(port, bindings)| {
            let port = port.strip_suffix("/tcp")?.parse().ok()?;
            bindings.iter().flatten().any(|binding| binding.is_reached_by(address)).then_some(port)
        })
    }
}

impl Container {
    /// The TCP addresses of this host where it is published, or will be once it runs; `[::]` for those on every address.
    pub fn published(&self) -> BTreeSet<SocketAddr> {
        let planned = self.host_config.as_ref().and_then(|host| host.port_bindings.as_ref());
        let now = self.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
        let ports = planned.into_iter().chain(now).flatten().filter(|(port, _)| port.ends_with("/tcp"));
        ports.flat_map(|(_, bindings)| bindings.iter().flatten()).filter_map(Binding::address).collect()
    }

    /// The networks that it is in; known of one that is stopped too.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        let networks = self.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.into_iter().flat_map(|networks| networks.keys().map(String::as_str))
    }
}

impl Binding {
    /// None where the engine chooses the port at the start: from a range, or any.
    fn address(&self) -> Option<SocketAddr> {
        let ip = match self.host_ip.as_deref().unwrap_or_default() {
            "" => Ipv6Addr::UNSPECIFIED.into(),
            ip => ip.parse().ok()?,
        };
        let port = self.host_port.as_deref()?.parse().ok().filter(|port| *port > 0)?;
        Some(SocketAddr::new(ip, port))
    }

    fn is_reached_by(&self, address: &SocketAddr) -> bool {
        let port = self.host_port.as_deref().and_then(|port| port.parse().ok());
        let wanted = address.ip().to_canonical();
        let ip = match self.host_ip.as_deref().unwrap_or_default() {
            // The engine's proxy on `::` takes IPv4 as well.
            "" | "::" => true,
            ip => ip.parse().is_ok_and(|ip: IpAddr| match ip.is_unspecified() {
                true => wanted.is_ipv4(),
                false => ip.to_canonical() == wanted,
            }),
        };
        ip && port == Some(address.port())
    }
}

impl Network {
    fn address(&self) -> Option<IpAddr> {
        let parse = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        parse(&self.ip_address).or_else(|| parse(&self.global_ipv6_address))
    }
}

#[cfg(test)]
mod tests {
    use super::{Container, Location};

    fn container(mode: &str, networks: &str) -> Container {
        let text = format!(
            r#"{{"Id":"abc","State":{{"Running":true,"Error":null}},"HostConfig":{{"NetworkMode":"{mode}"}},
                "NetworkSettings":{{"Networks":{networks}}},"Config":{{"Tty":false}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn dials_the_first_network_by_name_that_has_an_address_ipv4_first() {
        let nets = r#"{"z":{"IPAddress":"10.0.0.3"},"a":{"IPAddress":"","GlobalIPv6Address":""},
                       "m":{"IPAddress":"10.0.0.2","GlobalIPv6Address":"fd00::2"}}"#;
        let expected =
            Location::Own { ip: "10.0.0.2".parse().unwrap(), network: "m".into(), others: vec!["z".into()] };
        assert_eq!(container("m", nets).location(None), expected);
    }

    #[test]
    fn a_wanted_network_wins_and_a_missing_one_is_named() {
        let nets = r#"{"a":{"IPAddress":"10.0.0.1"},"v6":{"IPAddress":"","GlobalIPv6Address":"fd00::2"}}"#;
        let own = container("a", nets).location(Some("v6"));
        assert_eq!(
            own,
            Location::Own { ip: "fd00::2".parse().unwrap(), network: "v6".into(), others: vec![] }
        );
        let Location::Nowhere(why) = container("a", nets).location(Some("b")) else { panic!() };
        assert!(why.contains(r#""b""#) && why.contains("a, v6"), "{why}");
    }

    #[test]
    fn shared_networks_are_told_apart() {
        assert_eq!(container("host", r#"{"host":{"IPAddress":""}}"#).location(None), Location::Host);
        assert_eq!(container("container:def", "{}").location(None), Location::Of("def".into()));
        assert!(matches!(container("none", r#"{"none":{}}"#).location(None), Location::Nowhere(_)));
        assert!(matches!(container("bridge", "null").location(None), Location::Nowhere(_)));
    }

    #[test]
    fn a_published_port_is_known_by_its_address_on_the_host() {
        let text = r#"{"Id":"abc","State":{},"NetworkSettings":{"Ports":{
            "53/udp":[{"HostIp":"","HostPort":"18053"}],
            "80/tcp":[{"HostIp":"0.0.0.0","HostPort":"18080"},{"HostIp":"::","HostPort":"18081"}],
            "443/tcp":[{"HostIp":"127.0.0.1","HostPort":"18443"}],
            "81/tcp":[{"HostIp":"","HostPort":"18082"}],
            "90/tcp":null}}}"#;
        let web: Container = serde_json::from_str(text).unwrap();
        let publishes = |address: &str| web.publishes(&address.parse().unwrap());
        assert_eq!(publishes("127.0.0.1:18080"), Some(80));
        assert_eq!(publishes("10.0.0.1:18080"), Some(80));
        assert_eq!(publishes("[::ffff:127.0.0.1]:18080"), Some(80));
        assert_eq!(publishes("[::1]:18080"), None);
        assert_eq!(publishes("[::1]:18081"), Some(80));
        assert_eq!(publishes("127.0.0.1:18443"), Some(443));
        assert_eq!(publishes("127.0.0.2:18443"), None);
        assert_eq!(publishes("127.0.0.1:18082"), Some(81));
        assert_eq!(publishes("127.0.0.1:18053"), None, "not TCP");
        assert_eq!(publishes("127.0.0.1:80"), None);
        assert_eq!(container("none", "null").publishes(&"127.0.0.1:80".parse().unwrap()), None);
    }

    #[test]
    fn what_is_published_is_known_before_it_runs() {
        let text = r#"{"Id":"abc","State":{},"HostConfig":{"PortBindings":{
            "53/udp":[{"HostIp":"","HostPort":"18053"}],
            "80/tcp":[{"HostIp":"","HostPort":"18080"},{"HostIp":"127.0.0.1","HostPort":"18081"}],
            "81/tcp":[{"HostIp":"","HostPort":""}],"82/tcp":[{"HostIp":"","HostPort":"8000-8010"}]}},
            "NetworkSettings":{"Networks":{"b":{},"a":{}},"Ports":{
            "80/tcp":[{"HostIp":"0.0.0.0","HostPort":"18080"}],"81/tcp":[{"HostIp":"::","HostPort":"32768"}]}}}"#;
        let web: Container = serde_json::from_str(text).unwrap();
        let published: Vec<_> = web.published().iter().map(ToString::to_string).collect();
        assert_eq!(published, ["0.0.0.0:18080", "127.0.0.1:18081", "[::]:18080", "[::]:32768"]);
        assert_eq!(web.networks().collect::<Vec<_>>(), ["a", "b"]);
        assert!(container("none", "null").published().is_empty());
    }
}
