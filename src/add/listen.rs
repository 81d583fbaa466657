//! Where a socket listens, as `ListenStream=` says it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path that a unix socket's address takes (unix(7)).
const LONGEST_PATH: usize = 107;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// This port of every address, of both families.
    Everywhere(u16),
    /// This address and port.
    At(SocketAddr),
    /// This path.
    Path(PathBuf),
}

impl Listen {
    /// At a port of `ip`, or of every address.
    pub fn new(ip: Option<std::net::IpAddr>, port: u16) -> Listen {
        match ip {
            Some(ip) if !(ip.is_ipv6() && ip.is_unspecified()) => Listen::At(SocketAddr::new(ip, port)),
            _ => Listen::Everywhere(port),
        }
    }

    /// Its port, for TCP.
    pub fn port(&self) -> Option<u16> {
        match self {
            Listen::Everywhere(port) => Some(*port),
            Listen::At(address) => Some(address.port()),
            Listen::Path(_) => None,
        }
    }

    /// Whether whoever reaches the other reaches this one.
    pub(super) fn covers(&self, other: &Listen) -> bool {
        let all = |address: &SocketAddr| address.ip().is_unspecified() && address.is_ipv4();
        match (self, other) {
            (Listen::Everywhere(port), other) => other.port() == Some(*port),
            (Listen::At(one), Listen::At(two)) => {
                one == two || (all(one) && two.is_ipv4() && one.port() == two.port())
            }
            (one, other) => one == other,
        }
    }

    /// Whether only one of the two can listen.
    pub fn excludes(&self, other: &Listen) -> bool {
        match (self, other) {
            (Listen::At(one), Listen::At(two)) => {
                let (a, b) = (one.ip().to_canonical(), two.ip().to_canonical());
                let covers = (a.is_unspecified() || b.is_unspecified()) && a.is_ipv4() == b.is_ipv4();
                one.port() == two.port() && (a == b || covers)
            }
            (Listen::Path(one), Listen::Path(two)) => one == two,
            _ => self.port().is_some() && self.port() == other.port(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Everywhere(port) => write!(out, "{port}"),
            Listen::At(address) => write!(out, "{address}"),
            Listen::Path(path) => write!(out, "{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return match path.len() <= LONGEST_PATH && !path.contains(|c: char| c.is_control() || c == ' ') {
                true => Ok(Listen::Path(path.into())),
                false => Err(format!("not a socket's path: at most {LONGEST_PATH} bytes, no blanks")),
            };
        }
        let listen = match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
            (Ok(port), _) => Listen::new(None, port),
            (_, Ok(address)) => Listen::new(Some(address.ip()), address.port()),
            _ => {
                return Err(
                    "a port (8080), an IP address and port (127.0.0.1:8080, [::1]:8080), or an absolute path; \
                     systemd looks no names up"
                        .to_owned(),
                );
            }
        };
        match listen.port() {
            Some(0) => Err("port 0 is none: a port from 1 to 65535".to_owned()),
            _ => Ok(listen),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Listen;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    #[test]
    fn is_written_as_it_is_read() {
        for text in ["8080", "127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080", "/run/web/web.sock"] {
            assert_eq!(listen(text).to_string(), text);
        }
        assert_eq!(listen("[::]:80"), listen("80"), "systemd binds both families to either");
        assert_eq!(listen("unix:/run/a"), listen("/run/a"));
    }

    #[test]
    fn refuses_what_systemd_would_not_listen_on() {
        for text in
            ["", "0", "65536", "localhost:80", ":80", "*:80", "127.0.0.1", "127.0.0.1:0", "a", "/a b", "/a\n"]
        {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
        assert!(format!("/{}", "x".repeat(107)).parse::<Listen>().is_err());
    }

    #[test]
    fn two_exclude_each_other_on_one_port_of_one_address() {
        let excludes = |one, two| {
            let (one, two) = (listen(one), listen(two));
            assert_eq!(one.excludes(&two), two.excludes(&one));
            one.excludes(&two)
        };
        for (one, two) in [
            ("80", "80"),
            ("80", "127.0.0.1:80"),
            ("80", "[::1]:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("/a", "/a"),
        ] {
            assert!(excludes(one, two), "{one} {two}");
        }
        for (one, two) in [
            ("80", "81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("/a", "/b"),
            ("/a", "80"),
        ] {
            assert!(!excludes(one, two), "{one} {two}");
        }
    }
}
