//! A value of `ListenStream=`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At a port, on one address of this host or on all.
    Tcp {
        /// The address; `::` for a port alone.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// Whether `::` takes IPv4 too.
        both: bool,
    },
    /// At the path of a unix socket, or at an abstract name, which begins with `@`.
    Unix(PathBuf),
    /// Elsewhere, such as at a VSOCK address.
    Elsewhere(String),
}

impl Listen {
    /// Reads a value whose specifiers are filled in; `None`: systemd cannot make an address of it either, and ignores it.
    pub fn parse(value: &str) -> Option<Listen> {
        if value.starts_with(['/', '@']) {
            return Some(Listen::Unix(value.into()));
        }
        if value.starts_with("vsock:") {
            return Some(Listen::Elsewhere(value.to_owned()));
        }
        if let Ok(port) = value.parse::<u16>() {
            return (port > 0).then_some(Listen::at(None, port));
        }
        // The interface of a link-local address is left out: it is the same port on each.
        let plain = value.split_once('%').map_or(value, |(plain, _)| plain);
        let address: SocketAddr = plain.parse().ok()?;
        Some(Listen::at(Some(address.ip()), address.port()))
    }

    /// A port of `ip`, or of every address of this host, of both families.
    pub fn at(ip: Option<IpAddr>, port: u16) -> Listen {
        Listen::Tcp { ip: ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port, both: true }
    }

    /// How it is said to systemd: what `parse` reads.
    pub fn value(&self) -> String {
        match self {
            Listen::Tcp { port, .. } if self.is_all() => port.to_string(),
            listen => listen.to_string(),
        }
    }

    /// The port that its clients connect to.
    pub fn port(&self) -> Option<u16> {
        match self {
            Listen::Tcp { port, .. } => Some(*port),
            Listen::Unix(_) | Listen::Elsewhere(_) => None,
        }
    }

    /// Whether only one of the two can be had.
    pub fn clashes(&self, other: &Listen) -> bool {
        match (self, other) {
            (Listen::Tcp { ip, port, .. }, Listen::Tcp { ip: other_ip, port: other_port, .. }) => {
                self.takes(&SocketAddr::new(*other_ip, *other_port))
                    || other.takes(&SocketAddr::new(*ip, *port))
            }
            _ => self == other,
        }
    }

    /// Whether whoever reaches the other reaches this one.
    pub fn covers(&self, other: &Listen) -> bool {
        match other {
            Listen::Tcp { ip, port, .. } => {
                self.takes(&SocketAddr::new(*ip, *port)) && (self.is_all() || !other.is_all())
            }
            _ => self == other,
        }
    }

    /// Whether it is a port of every address, of both families.
    fn is_all(&self) -> bool {
        matches!(self, Listen::Tcp { ip: IpAddr::V6(ip), both: true, .. } if ip.is_unspecified())
    }

    /// Whether who dials `address` arrives here.
    pub fn takes(&self, address: &SocketAddr) -> bool {
        let Listen::Tcp { ip, port, both } = self else { return false };
        let wanted = address.ip().to_canonical();
        let here = match ip {
            IpAddr::V6(ip) if ip.is_unspecified() => wanted.is_ipv6() || *both,
            IpAddr::V4(ip) if ip.is_unspecified() => wanted.is_ipv4(),
            ip => ip.to_canonical() == wanted,
        };
        here && *port == address.port()
    }

    /// Whether it is the unix socket at `path`.
    pub fn is_at(&self, path: &Path) -> bool {
        matches!(self, Listen::Unix(own) if own == path)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp { port, .. } if self.is_all() => write!(out, "port {port}"),
            Listen::Tcp { ip: IpAddr::V6(ip), port, .. } => {
                write!(out, "{}", SocketAddrV6::new(*ip, *port, 0, 0))
            }
            Listen::Tcp { ip: IpAddr::V4(ip), port, .. } => write!(out, "{ip}:{port}"),
            Listen::Unix(path) => write!(out, "{}", path.display()),
            Listen::Elsewhere(text) => out.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Listen;

    fn listen(value: &str) -> Listen {
        Listen::parse(value).unwrap()
    }

    #[test]
    fn takes_what_systemd_takes() {
        let shown = |value| listen(value).to_string();
        assert_eq!(shown("8080"), "port 8080");
        assert_eq!(shown("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(shown("[::1]:80"), "[::1]:80");
        assert_eq!(shown("[fe80::1]:80%eth0"), "[fe80::1]:80");
        assert_eq!(shown("/run/x.sock"), "/run/x.sock");
        assert_eq!(shown("@abstract"), "@abstract");
        assert_eq!(shown("vsock:2:80"), "vsock:2:80");
        for value in [
            "localhost:80",
            "0",
            "65536",
            ":80",
            "127.0.0.1",
            "::1:80",
            "run/x.sock",
            "",
            "[fe80::1%eth0]:80",
        ] {
            assert_eq!(Listen::parse(value), None, "{value}");
        }
    }

    #[test]
    fn two_of_one_port_clash_unless_their_addresses_differ() {
        let clash = |one: &str, other: &str| {
            let (one, other) = (listen(one), listen(other));
            assert_eq!(one.clashes(&other), other.clashes(&one), "{one} {other}");
            one.clashes(&other)
        };
        assert!(clash("80", "127.0.0.1:80") && clash("80", "[::1]:80") && clash("80", "0.0.0.0:80"));
        assert!(clash("0.0.0.0:80", "127.0.0.1:80") && clash("127.0.0.1:80", "127.0.0.1:80"));
        assert!(!clash("127.0.0.1:80", "127.0.0.2:80") && !clash("127.0.0.1:80", "[::1]:80"));
        assert!(!clash("80", "81") && !clash("0.0.0.0:80", "[::1]:80"));
        assert!(clash("/run/x", "/run/x") && !clash("/run/x", "/run/y") && !clash("@x", "80"));
    }

    #[test]
    fn is_written_as_it_is_read() {
        for value in ["8080", "127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080", "/run/web/web.sock", "@web"] {
            assert_eq!(listen(value).value(), value);
        }
        assert_eq!(listen("[::]:80"), listen("80"), "systemd binds both families to either");
    }

    #[test]
    fn a_port_of_all_addresses_covers_that_of_one() {
        let covers = |one, other| listen(one).covers(&listen(other));
        assert!(covers("80", "127.0.0.1:80") && covers("80", "[::]:80") && covers("80", "0.0.0.0:80"));
        assert!(covers("0.0.0.0:80", "127.0.0.1:80") && covers("/a", "/a") && covers("[::1]:80", "[::1]:80"));
        assert!(!covers("127.0.0.1:80", "80") && !covers("0.0.0.0:80", "80") && !covers("80", "81"));
        assert!(!covers("0.0.0.0:80", "[::1]:80") && !covers("/a", "/b") && !covers("80", "/a"));
    }

    #[test]
    fn a_port_for_ipv6_only_leaves_ipv4_to_others() {
        let Listen::Tcp { ip, port, .. } = listen("80") else { panic!() };
        let v6 = Listen::Tcp { ip, port, both: false };
        assert!(
            !v6.clashes(&listen("0.0.0.0:80"))
                && v6.clashes(&listen("[::1]:80"))
                && v6.clashes(&listen("80"))
        );
        assert_eq!(v6.to_string(), "[::]:80");
    }
}
