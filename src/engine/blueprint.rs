//! What a container was created with, whether it runs or not: its ports, networks, checks and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::docker::{DEADLINE, escape, refusal};
use super::inspect::means;
use super::{Docker, Error};

/// How often a HEALTHCHECK is asked that does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(30);
/// The label with the service's name that Compose gives its containers.
const SERVICE: &str = "com.docker.compose.service";

/// What a container was created with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Blueprint {
    id: String,
    name: Option<String>,
    config: Option<Config>,
    host_config: Option<HostConfig>,
    network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    healthcheck: Option<Healthcheck>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    test: Option<Vec<String>>,
    interval: Option<i64>,
    start_period: Option<i64>,
    start_interval: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: Option<String>,
    port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    auto_remove: Option<bool>,
    restart_policy: Option<RestartPolicy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

/// A TCP port of a container that is to be published on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The port in the container.
    pub port: u16,
    /// The host's address; `None`: every one, of both families.
    pub ip: Option<IpAddr>,
    /// The host's port; `None`: the engine picks one at each start.
    pub host_port: Option<u16>,
}

/// How a container is connected.
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

/// Which service of which Compose project a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compose {
    /// What the service is called in the Compose file.
    pub service: String,
    /// The folder of that file.
    pub folder: Option<String>,
}

impl Docker {
    /// What a container was created with.
    pub async fn blueprint(&self, container: &str) -> Result<Blueprint, Error> {
        let path = format!("/containers/{container}/json");
        let (call, answer) = self.call(Method::GET, &path, DEADLINE).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(call, &answer));
        }
        let found: Blueprint = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Garbled { call, what: error.to_string() })?;
        match means(container, found.name(), &found.id) {
            true => Ok(found),
            false => Err(Error::NoSuchContainer { message: format!("No such container: {container}") }),
        }
    }

    /// The names of the containers that Compose has made for a service of that name.
    pub async fn of_service(&self, service: &str) -> Result<Vec<String>, Error> {
        let filters = escape(&format!(r#"{{"label":["{SERVICE}={service}"]}}"#));
        let path = format!("/containers/json?all=true&filters={filters}");
        let (call, answer) = self.call(Method::GET, &path, DEADLINE).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(call, &answer));
        }
        let found: Vec<Listed> = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Garbled { call, what: error.to_string() })?;
        let names = found.into_iter().filter_map(|one| one.names?.into_iter().next());
        Ok(names.map(|name| name.trim_start_matches('/').to_owned()).collect())
    }
}

/// A container in a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    names: Option<Vec<String>>,
}

impl Blueprint {
    /// Its name, as people write it.
    pub fn name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or_default();
        name.strip_prefix('/').unwrap_or(name)
    }

    /// The TCP ports that its image or its creator names.
    pub fn exposed(&self) -> BTreeSet<u16> {
        self.named_ports().filter_map(tcp).collect()
    }

    /// The ports it names that are not TCP, such as "53/udp".
    pub fn beyond_tcp(&self) -> BTreeSet<&str> {
        self.named_ports().filter(|port| port.contains('/') && !port.ends_with("/tcp")).collect()
    }

    fn named_ports(&self) -> impl Iterator<Item = &str> {
        let exposed = self.config.iter().flat_map(|config| config.exposed_ports.iter().flatten());
        exposed.map(|(port, _)| port.as_str()).chain(self.bindings().map(|(port, _)| port))
    }

    fn bindings(&self) -> impl Iterator<Item = (&str, &[Binding])> {
        let bindings = self.host_config.iter().flat_map(|host| host.port_bindings.iter().flatten());
        bindings.map(|(port, bindings)| (port.as_str(), bindings.as_deref().unwrap_or_default()))
    }

    /// The TCP ports that are published on the host whenever it runs, the lowest first.
    pub fn publications(&self) -> Vec<Publication> {
        let with_port = self.bindings().filter_map(|(port, bindings)| Some((tcp(port)?, bindings)));
        let mut found: Vec<Publication> = with_port
            .flat_map(|(port, bindings)| bindings.iter().map(move |one| one.publication(port)))
            .collect();
        found.sort_by_key(|publication| publication.port);
        found
    }

    /// How it is connected.
    pub fn network(&self) -> Network {
        let mode =
            self.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default();
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
        let networks = self.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let mut names: Vec<String> = networks.into_iter().flat_map(BTreeMap::keys).cloned().collect();
        // The sort keeps the order of the names otherwise.
        names.sort_by_key(|name| name != mode);
        if names.is_empty() { Network::Nowhere(mode.to_owned()) } else { Network::Own(names) }
    }

    /// How long after a start the engine asks its HEALTHCHECK first, if it has one.
    pub fn first_check(&self) -> Option<Duration> {
        let check = self.config.as_ref()?.healthcheck.as_ref()?;
        if check.test.as_ref()?.first().is_none_or(|first| first == "NONE") {
            return None;
        }
        let given = |time: Option<i64>| {
            time.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0).map(Duration::from_nanos)
        };
        // Only within the start period is the start interval what counts.
        let early = given(check.start_period).and(given(check.start_interval));
        early.or(given(check.interval)).or(Some(USUAL_INTERVAL))
    }

    /// Which service of a Compose project it is, if it is one.
    pub fn compose(&self) -> Option<Compose> {
        let service = self.label(SERVICE)?.to_owned();
        let folder = self.label("com.docker.compose.project.working_dir").map(str::to_owned);
        Some(Compose { service, folder })
    }

    /// The systemd unit that makes it anew at each start, as Quadlet's do.
    pub fn unit(&self) -> Option<&str> {
        self.label("PODMAN_SYSTEMD_UNIT")
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = self.config.as_ref()?.labels.as_ref()?;
        labels.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether it is removed when it stops (`--rm`).
    pub fn removes_itself(&self) -> bool {
        self.host_config.as_ref().is_some_and(|host| host.auto_remove == Some(true))
    }

    /// Whether the engine starts it whenever the engine itself starts, even if it was stopped before.
    pub fn restarts_always(&self) -> bool {
        let policy = self.host_config.as_ref().and_then(|host| host.restart_policy.as_ref());
        policy.is_some_and(|policy| policy.name.as_deref() == Some("always"))
    }
}

impl Binding {
    fn publication(&self, port: u16) -> Publication {
        let ip = self.host_ip.as_deref().unwrap_or_default().parse::<IpAddr>().ok();
        let host_port = self.host_port.as_deref().unwrap_or_default().parse().ok();
        Publication {
            port,
            // The engine's proxy on `::` takes IPv4 as well.
            ip: ip.filter(|ip| !(ip.is_ipv6() && ip.is_unspecified())),
            host_port: host_port.filter(|port| *port > 0),
        }
    }
}

/// The number in "80/tcp"; a port without a protocol is TCP.
fn tcp(port: &str) -> Option<u16> {
    let number = port.strip_suffix("/tcp").unwrap_or(port);
    number.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Blueprint, Compose, Network, Publication};

    fn blueprint(value: Value) -> Blueprint {
        serde_json::from_value(value).unwrap()
    }

    /// As Docker shows a container that was created and never ran.
    fn docker() -> Blueprint {
        blueprint(json!({
            "Id": "de15073e40c0", "Name": "/shop-web-1", "State": { "Status": "created" },
            "Config": {
                "ExposedPorts": { "443/tcp": {}, "53/udp": {}, "80/tcp": {}, "81/tcp": {}, "90/tcp": {} },
                "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64 },
                "Labels": { "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                            "com.docker.compose.project.working_dir": "/srv/shop" },
            },
            "HostConfig": {
                "PortBindings": {
                    "443/tcp": [{ "HostIp": "", "HostPort": "18443" }, { "HostIp": "::", "HostPort": "18444" }],
                    "53/udp": [{ "HostIp": "", "HostPort": "53" }],
                    "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "18080" }],
                    "81/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "" }],
                },
                "NetworkMode": "shop_default", "AutoRemove": false,
                "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 },
            },
            "NetworkSettings": { "Ports": {}, "Networks": {
                "extra": { "IPAddress": "", "IPAMConfig": null }, "shop_default": { "IPAddress": "" } } },
        }))
    }

    #[test]
    fn a_container_of_docker_is_read() {
        let web = docker();
        assert_eq!(web.name(), "shop-web-1");
        assert_eq!(web.exposed().into_iter().collect::<Vec<_>>(), [80, 81, 90, 443]);
        assert_eq!(web.beyond_tcp().into_iter().collect::<Vec<_>>(), ["53/udp"]);
        let publication = |port, ip: Option<&str>, host_port| Publication {
            port,
            ip: ip.map(|ip| ip.parse().unwrap()),
            host_port,
        };
        assert_eq!(
            web.publications(),
            [
                publication(80, Some("127.0.0.1"), Some(18080)),
                publication(81, Some("0.0.0.0"), None),
                publication(443, None, Some(18443)),
                publication(443, None, Some(18444)),
            ]
        );
        assert_eq!(web.network(), Network::Own(vec!["shop_default".into(), "extra".into()]));
        assert_eq!(web.first_check(), Some(Duration::from_secs(5)));
        assert_eq!(web.compose(), Some(Compose { service: "web".into(), folder: Some("/srv/shop".into()) }));
        assert!(web.restarts_always() && !web.removes_itself());
        assert_eq!(web.unit(), None);
    }

    #[test]
    fn a_container_of_podman_is_read() {
        let web = blueprint(json!({
            "Id": "0123", "Name": "/web",
            "Config": { "ExposedPorts": { "8080/tcp": {} }, "Healthcheck": null,
                        "Labels": { "PODMAN_SYSTEMD_UNIT": "web.service" } },
            "HostConfig": { "PortBindings": { "8080/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }] },
                            "NetworkMode": "bridge", "AutoRemove": true,
                            "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 } },
            "NetworkSettings": { "Networks": { "podman": { "IPAddress": "10.88.0.2" } } },
        }));
        assert_eq!(web.network(), Network::Own(vec!["podman".into()]));
        assert_eq!(web.first_check(), None);
        assert!(web.removes_itself() && !web.restarts_always());
        assert_eq!(web.unit(), Some("web.service"));
    }

    #[test]
    fn what_engines_leave_out_or_null_is_nothing() {
        for text in [
            r#"{"Id":"a"}"#,
            r#"{"Id":"a","Name":null,"Config":null,"HostConfig":null,"NetworkSettings":null}"#,
            r#"{"Id":"a","Config":{"ExposedPorts":null,"Labels":null},"HostConfig":{"PortBindings":null,
                "RestartPolicy":null},"NetworkSettings":{"Networks":null}}"#,
        ] {
            let bare: Blueprint = serde_json::from_str(text).unwrap();
            assert!(bare.exposed().is_empty() && bare.publications().is_empty(), "{text}");
            assert_eq!(bare.network(), Network::Nowhere(String::new()), "{text}");
            assert!(bare.first_check().is_none() && bare.compose().is_none(), "{text}");
        }
    }

    #[test]
    fn shared_and_userspace_networks_are_told_apart() {
        let network = |mode: &str| {
            let networks = json!({ mode: {} });
            blueprint(
                json!({ "HostConfig": { "NetworkMode": mode }, "NetworkSettings": { "Networks": networks } }),
            )
            .network()
        };
        assert_eq!(network("host"), Network::Host);
        assert_eq!(network("container:abc"), Network::Of("abc".into()));
        assert_eq!(network("none"), Network::Nowhere("none".into()));
        assert_eq!(network("pasta:--mtu,1500"), Network::Userspace("pasta".into()));
        assert_eq!(network("slirp4netns"), Network::Userspace("slirp4netns".into()));
        assert_eq!(network("default"), Network::Own(vec!["default".into()]));
    }

    #[test]
    fn the_first_check_is_after_the_start_interval_within_a_start_period_else_after_the_interval() {
        let first = |check: Value| blueprint(json!({ "Config": { "Healthcheck": check } })).first_check();
        let test = json!(["CMD", "true"]);
        let second = 1_000_000_000_i64;
        assert_eq!(first(json!({ "Test": test })), Some(Duration::from_secs(30)));
        assert_eq!(first(json!({ "Test": test, "Interval": 0 })), Some(Duration::from_secs(30)));
        assert_eq!(first(json!({ "Test": test, "Interval": 2 * second })), Some(Duration::from_secs(2)));
        let early = json!({ "Test": test, "StartPeriod": 9 * second, "StartInterval": second });
        assert_eq!(first(early), Some(Duration::from_secs(1)));
        let unused = json!({ "Test": test, "StartInterval": second });
        assert_eq!(first(unused), Some(Duration::from_secs(30)));
        for none in [json!(["NONE"]), json!([]), json!(null)] {
            assert_eq!(first(json!({ "Test": none })), None);
        }
    }
}
