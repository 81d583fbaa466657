//! Where a container can be reached: its networks and its published ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

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
}
