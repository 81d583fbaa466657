//! The ports of a container: those that it names, and those of them that are published on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Container;

/// The ports that an image or a creator names, as in "80/tcp".
pub(super) type Exposed = BTreeMap<String, IgnoredAny>;

/// By the container's port, as in "80/tcp".
pub(super) type Ports = BTreeMap<String, Option<Vec<Binding>>>;

/// One address of the host behind which a port of the container is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// A TCP port of a container that is published on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The port in the container.
    pub port: u16,
    /// The host's address; `None`: every one, of both families.
    pub ip: Option<IpAddr>,
    /// The host's port; `None`: the engine picks one at each start, out of a range or of all.
    pub host_port: Option<u16>,
}

impl Container {
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
        exposed
            .map(|(port, _)| port)
            .chain(self.planned().into_iter().flatten().map(|(port, _)| port))
            .map(String::as_str)
    }

    /// What is published on the host whenever it runs, known also of one that is stopped: the lowest port first.
    pub fn publications(&self) -> Vec<Publication> {
        let mut found: Vec<Publication> = self.planned().into_iter().flat_map(publications).collect();
        found.sort_by_key(|publication| publication.port);
        found
    }

    /// The TCP addresses of this host where it is published, or will be once it runs; `[::]` for those on every address.
    pub fn published(&self) -> BTreeSet<SocketAddr> {
        let all = self.planned().into_iter().chain(self.current()).flat_map(publications);
        all.filter_map(|publication| publication.address()).collect()
    }

    /// The container's port, if `address` is where it is published on this host; engines tell that only while it runs.
    ///
    /// A port that is published on every address (`HostIp` empty, `0.0.0.0` or `::`) is taken to be behind any, loopback too.
    pub fn publishes(&self, address: &SocketAddr) -> Option<u16> {
        let mut found = self.current().into_iter().flat_map(publications);
        found.find(|publication| publication.is_reached_by(address)).map(|publication| publication.port)
    }

    /// What is published while it runs.
    fn planned(&self) -> Option<&Ports> {
        self.host_config.as_ref()?.port_bindings.as_ref()
    }

    /// What is published now.
    fn current(&self) -> Option<&Ports> {
        self.network_settings.as_ref()?.ports.as_ref()
    }
}

fn publications(ports: &Ports) -> impl Iterator<Item = Publication> {
    let with_port = ports.iter().filter_map(|(port, bindings)| Some((tcp(port)?, bindings)));
    with_port.flat_map(|(port, bindings)| bindings.iter().flatten().map(move |one| one.publication(port)))
}

/// The number in "80/tcp"; a port without a protocol is TCP.
fn tcp(port: &str) -> Option<u16> {
    let number = port.strip_suffix("/tcp").unwrap_or(port);
    number.parse().ok().filter(|port| *port > 0)
}

impl Binding {
    fn publication(&self, port: u16) -> Publication {
        let ip = self.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
        let host_port = self.host_port.as_deref().and_then(|port| port.parse().ok());
        Publication {
            port,
            // The engine's proxy on `::` takes IPv4 as well.
            ip: ip.filter(|ip| *ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            host_port: host_port.filter(|port| *port > 0),
        }
    }
}

impl Publication {
    fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), self.host_port?))
    }

    fn is_reached_by(&self, address: &SocketAddr) -> bool {
        let wanted = address.ip().to_canonical();
        let is_ip = self.ip.is_none_or(|ip| match ip.is_unspecified() {
            true => wanted.is_ipv4(),
            false => ip.to_canonical() == wanted,
        });
        is_ip && self.host_port == Some(address.port())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::Network;
    use super::super::origin::Compose;
    use super::{Container, Publication};

    fn container(value: Value) -> Container {
        serde_json::from_value(value).unwrap()
    }

    /// As Docker shows a container that was created and never ran.
    fn docker() -> Container {
        container(json!({
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
        assert!(web.restarts_always() && !web.is_deleted_when_stopped());
        assert_eq!(web.unit(), None);
    }

    #[test]
    fn a_container_of_podman_is_read() {
        let web = container(json!({
            "Id": "0123", "Name": "/web", "State": {},
            "Config": { "ExposedPorts": { "8080/tcp": {} }, "Healthcheck": null,
                        "Labels": { "PODMAN_SYSTEMD_UNIT": "web.service" } },
            "HostConfig": { "PortBindings": { "8080/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }] },
                            "NetworkMode": "bridge", "AutoRemove": true,
                            "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 } },
            "NetworkSettings": { "Networks": { "podman": { "IPAddress": "10.88.0.2" } } },
        }));
        assert_eq!(web.network(), Network::Own(vec!["podman".into()]));
        assert_eq!(web.first_check(), None);
        assert!(web.is_deleted_when_stopped() && !web.restarts_always());
        assert_eq!(web.unit(), Some("web.service"));
    }

    #[test]
    fn what_engines_leave_out_or_null_is_nothing() {
        for text in [
            r#"{"Id":"a","State":{}}"#,
            r#"{"Id":"a","State":{},"Name":null,"Config":null,"HostConfig":null,"NetworkSettings":null}"#,
            r#"{"Id":"a","State":{},"Config":{"ExposedPorts":null,"Labels":null},"HostConfig":{"PortBindings":null,
                "RestartPolicy":null},"NetworkSettings":{"Networks":null}}"#,
        ] {
            let bare: Container = serde_json::from_str(text).unwrap();
            assert!(bare.exposed().is_empty() && bare.publications().is_empty(), "{text}");
            assert_eq!(bare.network(), Network::Nowhere(String::new()), "{text}");
            assert!(bare.first_check().is_none() && bare.compose().is_none(), "{text}");
        }
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
        assert_eq!(
            container(json!({ "Id": "abc", "State": {} })).publishes(&"127.0.0.1:80".parse().unwrap()),
            None
        );
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
        assert!(container(json!({ "Id": "abc", "State": {} })).published().is_empty());
    }
}
