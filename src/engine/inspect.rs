//! What the engine knows of a container: the parts of `GET /containers/NAME/json` that rouse reads.
//!
//! Engines leave out or null what does not apply, and API 1.52 dropped the addresses outside `Networks`; so all is
//! optional here and only `Networks` is read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// The digits of an id that the engine's tools show: nobody has that for a name by chance.
const SHORT_ID: usize = 12;

/// A container, as it was when it was inspected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The engine's id, 64 hexadecimal digits.
    pub id: String,
    name: Option<String>,
    state: State,
    config: Option<Config>,
    host_config: Option<HostConfig>,
    network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    paused: bool,
    restarting: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: Option<String>,
    started_at: Option<String>,
    health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    tty: Option<bool>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
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

impl Container {
    /// Whether it was meant by `name`: the engine also takes the first digits of an id for one, and a sidecar called `db`
    /// shall not wake a stranger.
    pub fn is_called(&self, name: &str) -> bool {
        let own = self.name.as_deref().unwrap_or_default();
        own.strip_prefix('/').unwrap_or(own) == name || (name.len() >= SHORT_ID && self.id.starts_with(name))
    }

    /// Running and able to answer: not frozen, not between two tries of its restart policy.
    pub fn is_running(&self) -> bool {
        self.state.running && !self.state.paused && !self.state.restarting
    }

    /// Frozen; the engine calls that running too.
    pub fn is_paused(&self) -> bool {
        self.state.paused
    }

    /// Between two tries of its restart policy; the engine calls that running too, though nothing runs.
    pub fn is_restarting(&self) -> bool {
        self.state.restarting
    }

    /// Awake or paused, as far as the engine is concerned: what a stop would end.
    pub fn is_up(&self) -> bool {
        self.state.running || self.state.paused || self.state.restarting
    }

    /// When it was last started; tells one run of it from the next.
    pub fn started_at(&self) -> &str {
        self.state.started_at.as_deref().unwrap_or_default()
    }

    /// Whether its HEALTHCHECK has passed in this run.
    pub fn is_healthy(&self) -> bool {
        let health = self.state.health.as_ref().and_then(|health| health.status.as_deref());
        health == Some("healthy")
    }

    /// Whether it has a HEALTHCHECK at all.
    pub fn has_healthcheck(&self) -> bool {
        let check = self.config.as_ref().and_then(|config| config.healthcheck.as_ref());
        let test = check.and_then(|check| check.test.as_deref()).unwrap_or_default();
        test.first().is_some_and(|kind| kind != "NONE")
    }

    /// Whether its log is one raw stream: with a terminal the engine does not mark stdout and stderr.
    pub fn has_terminal(&self) -> bool {
        self.config.as_ref().and_then(|config| config.tty).unwrap_or_default()
    }

    /// How it ended last: "exit code 3", with what the engine adds.
    pub fn ending(&self) -> String {
        let code = self.state.exit_code;
        let mut text = format!("exit code {code}");
        if self.state.oom_killed {
            text.push_str(", killed for want of memory");
        } else if let Some(signal) = code.checked_sub(128).filter(|signal| (1..=64).contains(signal)) {
            text.push_str(&format!(", signal {signal}"));
        }
        if let Some(error) = self.state.error.as_deref().filter(|error| !error.is_empty()) {
            text.push_str(&format!(", {error}"));
        }
        text
    }

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

    #[test]
    fn an_ending_names_signal_and_memory() {
        let end = |state: &str| {
            let text = format!(r#"{{"Id":"abc","State":{state}}}"#);
            serde_json::from_str::<Container>(&text).unwrap().ending()
        };
        assert_eq!(end(r#"{"ExitCode":3,"Error":""}"#), "exit code 3");
        assert_eq!(end(r#"{"ExitCode":143}"#), "exit code 143, signal 15");
        assert_eq!(end(r#"{"ExitCode":137,"OOMKilled":true}"#), "exit code 137, killed for want of memory");
        assert_eq!(end(r#"{"ExitCode":127,"Error":"no such file"}"#), "exit code 127, no such file");
    }
}
