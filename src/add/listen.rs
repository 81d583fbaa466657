//! Where whoever adds a sidecar wants its socket to listen.

use crate::units::Listen;

/// The longest path that a unix socket's address takes (unix(7)).
const LONGEST_PATH: usize = 107;

/// Reads an address as `ListenStream=` takes it, of those that a client can dial without more: no abstract names and no VSOCK.
pub fn listen(text: &str) -> Result<Listen, String> {
    let value = text.strip_prefix("unix:").unwrap_or(text);
    match Listen::parse(value) {
        Some(Listen::Unix(_)) if !value.starts_with('/') => Err(what()),
        Some(Listen::Unix(_))
            if value.len() > LONGEST_PATH || value.contains(|c: char| c.is_control() || c == ' ') =>
        {
            Err(format!("not a socket's path: at most {LONGEST_PATH} bytes, no blanks"))
        }
        // Which interface is meant is lost on the way into the unit.
        Some(Listen::Tcp { port, .. }) if port == 0 || value.contains('%') => Err(what()),
        Some(Listen::Elsewhere(_)) | None => Err(what()),
        Some(listen) => Ok(listen),
    }
}

fn what() -> String {
    "a port from 1 to 65535 (8080), an IP address and port (127.0.0.1:8080, [::1]:8080), or an absolute path; systemd looks no \
     names up"
        .to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::listen;

    #[test]
    fn takes_what_clients_can_dial() {
        for text in ["8080", "127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080", "/run/web/web.sock"] {
            assert_eq!(listen(text).unwrap().value(), text);
        }
        assert_eq!(listen("unix:/run/a"), listen("/run/a"));
    }

    #[test]
    fn refuses_what_systemd_would_not_listen_on_and_nobody_could_dial() {
        for text in [
            "",
            "0",
            "65536",
            "localhost:80",
            ":80",
            "*:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "[::]:0",
            "a",
            "/a b",
            "/a\n",
            "@a",
            "vsock:2:80",
            "[fe80::1]:80%eth0",
        ] {
            assert!(listen(text).is_err(), "{text:?}");
        }
        assert!(listen(&format!("/{}", "x".repeat(107))).is_err());
    }
}
