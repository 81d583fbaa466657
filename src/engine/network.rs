//! How a container is connected, and where it can be dialled.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::Container;
use super::ports::Ports;

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

/// How a container is connected, whether it runs or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// It has addresses of its own in these networks; the one it was created in comes first.
    Own(Vec<String>),
    /// It shares the host's.
    Host,
    /// It shares that of the container with this id or name.
    Of(String),
    /// Behind a process of its user (`pasta`, `slirp4netns`): only published ports can be reached.
    Userspace(String),
    /// Not at all, or in a way that leaves no address to dial.
    Nowhere(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    networks: Option<BTreeMap<String, Endpoint>>,
    pub(super) ports: Option<Ports>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: Option<String>,
}

impl Container {
    /// How it is connected.
    pub fn network(&self) -> Network {
        let mode = self.network_mode();
        if let Some(other) = mode.strip_prefix("container:") {
            return Network::Of(other.to_owned());
        }
        // Podman appends options: "pasta:--mtu,1500".
        match mode.split(':').next().unwrap_or_default() {
            "host" => return Network::Host,
            kind @ ("pasta" | "slirp4netns") => return Network::Userspace(kind.to_owned()),
            "none" | "ns" => return Network::Nowhere(mode.to_owned()),
            _ => {}
        }
        let mut names: Vec<String> = self.networks().map(str::to_owned).collect();
        // The sort keeps the order of the names otherwise.
        names.sort_by_key(|name| name != mode);
        if names.is_empty() { Network::Nowhere(mode.to_owned()) } else { Network::Own(names) }
    }

    /// The networks that it is in; known of one that is stopped too.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.endpoints().map(|(name, _)| name)
    }

    /// Where to dial it: the first network by name with an address, or `wanted`; IPv4 first.
    pub fn location(&self, wanted: Option<&str>) -> Location {
        match self.network() {
            Network::Of(other) => return Location::Of(other),
            Network::Host => return Location::Host,
            Network::Own(_) | Network::Userspace(_) | Network::Nowhere(_) => {}
        }
        if let Some(wanted) = wanted.filter(|wanted| !self.networks().any(|name| name == *wanted)) {
            let names: Vec<&str> = self.networks().collect();
            return Location::Nowhere(format!(
                "it is not in network {wanted:?}, only in {}: correct `network`",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            ));
        }
        let mut found = self
            .endpoints()
            .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
            .filter_map(|(name, endpoint)| Some((name.to_owned(), endpoint.addresses().next()?)));
        match found.next() {
            Some((network, ip)) => {
                Location::Own { ip, network, others: found.map(|(name, _)| name).collect() }
            }
            None => Location::Nowhere(format!(
                "it has no address (network mode {:?}): give it a network, or set `address`",
                self.network_mode()
            )),
        }
    }

    /// Whether this is an address of its own.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        self.endpoints().flat_map(|(_, endpoint)| endpoint.addresses()).any(|own| own == ip)
    }

    fn endpoints(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        let networks = self.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.into_iter().flatten().map(|(name, endpoint)| (name.as_str(), endpoint))
    }

    fn network_mode(&self) -> &str {
        self.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default()
    }
}

impl Endpoint {
    /// IPv4 first.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let texts = [&self.ip_address, &self.global_ipv6_address];
        texts.into_iter().filter_map(|text| text.as_deref()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::{Container, Location, Network};

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
        for own in ["10.0.0.2", "10.0.0.3", "fd00::2"] {
            assert!(container("m", nets).has_address(own.parse().unwrap()), "{own}");
        }
        assert!(!container("m", nets).has_address("10.0.0.4".parse().unwrap()));
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
    fn shared_and_userspace_networks_are_told_apart() {
        let network = |mode: &str| container(mode, &format!(r#"{{"{mode}":{{}}}}"#)).network();
        assert_eq!(network("host"), Network::Host);
        assert_eq!(network("container:abc"), Network::Of("abc".into()));
        assert_eq!(network("none"), Network::Nowhere("none".into()));
        assert_eq!(network("pasta:--mtu,1500"), Network::Userspace("pasta".into()));
        assert_eq!(network("slirp4netns"), Network::Userspace("slirp4netns".into()));
        assert_eq!(network("default"), Network::Own(vec!["default".into()]));
    }

    #[test]
    fn the_network_that_it_was_created_in_comes_first() {
        let web = container("m", r#"{"a":{"IPAddress":"10.0.0.1"},"m":{},"z":{}}"#);
        assert_eq!(web.network(), Network::Own(vec!["m".into(), "a".into(), "z".into()]));
        assert_eq!(web.networks().collect::<Vec<_>>(), ["a", "m", "z"]);
    }
}
