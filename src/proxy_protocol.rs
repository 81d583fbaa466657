//! The PROXY protocol: the header that tells a container who its client is, before the client's first byte.
//!
//! Its specification is doc/proxy-protocol.txt of haproxy.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use rustix::net::{SendFlags, getpeername, getsockname, send};

/// What no other protocol begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The version 2 and the command LOCAL, then PROXY.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// The family and the transport: none, then TCP over each.
const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Where a connection came from and where it went to; none if it is no TCP connection.
type Ends = Option<(SocketAddr, SocketAddr)>;

/// The form that the header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// A binary block.
    V2,
}

impl ProxyProtocol {
    /// Tells a container, on a fresh connection, who the client is that it is for.
    pub fn introduce(self, client: &impl AsFd, container: &impl AsFd) -> io::Result<()> {
        send_at_once(container, &self.header(ends(client)?))
    }

    /// Tells a container that a fresh connection is for no client.
    pub fn introduce_self(self, container: &impl AsFd) -> io::Result<()> {
        // Version 1 has no word for it: some receivers refuse UNKNOWN, so the specification has a probe name its own ends.
        let own = match self {
            ProxyProtocol::V1 => ends(container)?.map(|(container, rouse)| (rouse, container)),
            ProxyProtocol::V2 => None,
        };
        send_at_once(container, &self.header(own))
    }

    /// Without ends: a client on a unix socket, or none. Both are LOCAL, as with haproxy, for a receiver has to accept that,
    /// and is free to refuse a PROXY that gives no addresses.
    fn header(self, ends: Ends) -> Vec<u8> {
        let Some((from, to)) = ends else {
            return match self {
                ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n".into(),
                ProxyProtocol::V2 => block(LOCAL, UNSPEC, &[]),
            };
        };
        let (from_ip, to_ip) = of_one_family(from.ip(), to.ip());
        let ports = [from.port(), to.port()];
        match self {
            ProxyProtocol::V1 => {
                let family = if from_ip.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {from_ip} {to_ip} {} {}\r\n", ports[0], ports[1]).into_bytes()
            }
            ProxyProtocol::V2 => {
                let family = if from_ip.is_ipv4() { TCP4 } else { TCP6 };
                let ports = ports.map(u16::to_be_bytes).concat();
                block(PROXY, family, &[octets(from_ip), octets(to_ip), ports].concat())
            }
        }
    }
}

fn block(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    // At most 36 bytes.
    let length = addresses.len() as u8;
    [SIGNATURE.as_slice(), &[command, family, 0, length], addresses].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

/// IPv4 if both are, be it mapped into IPv6 by a listener for both; else IPv6.
fn of_one_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    let six = |ip| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(_) => ip,
    };
    match (from.to_canonical(), to.to_canonical()) {
        both @ (IpAddr::V4(_), IpAddr::V4(_)) => both,
        (from, to) => (six(from), six(to)),
    }
}

/// The other end, then this one. That a connection which is reset already has none is an error: its client must not pass for
/// one on a unix socket.
fn ends(socket: &impl AsFd) -> io::Result<Ends> {
    let tcp = |address| SocketAddr::try_from(address).ok();
    Ok(getpeername(socket)?.and_then(tcp).zip(tcp(getsockname(socket)?)))
}

/// A fresh socket has room for all of it, so whatever stops it is an error: no byte may follow a part of it.
fn send_at_once(socket: &impl AsFd, header: &[u8]) -> io::Result<()> {
    match send(socket, header, SendFlags::NOSIGNAL)? {
        sent if sent == header.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use nix::libc::linger;
    use nix::sys::socket::{setsockopt, sockopt};
    use proptest::prelude::*;

    use super::*;

    /// What is sent for a client that came from `from` to `to`.
    fn header(version: ProxyProtocol, from: &str, to: &str) -> Vec<u8> {
        version.header(Some((from.parse().unwrap(), to.parse().unwrap())))
    }

    fn line(from: &str, to: &str) -> String {
        String::from_utf8(header(ProxyProtocol::V1, from, to)).unwrap()
    }

    #[test]
    fn version_1_is_the_specifications_line() {
        assert_eq!(
            line("192.168.0.1:56324", "192.168.0.11:443"),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        );
        assert_eq!(line("[2001:db8::1]:1", "[::1]:65535"), "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
        // A scope means something on this host alone.
        assert_eq!(line("[fe80::1%3]:1", "[fe80::2%3]:2"), "PROXY TCP6 fe80::1 fe80::2 1 2\r\n");
        assert_eq!(ProxyProtocol::V1.header(None), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_the_specifications_block() {
        let signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        let four = [0x21, 0x11, 0, 12, 192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb];
        assert_eq!(
            header(ProxyProtocol::V2, "192.168.0.1:56324", "192.168.0.11:443"),
            [&signature[..], &four].concat()
        );
        let mut six = vec![0x21, 0x21, 0, 36];
        six.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        six.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        six.extend([0x00, 0x01, 0xff, 0xff]);
        assert_eq!(
            header(ProxyProtocol::V2, "[2001:db8::1]:1", "[::1]:65535"),
            [&signature[..], &six].concat()
        );
        assert_eq!(ProxyProtocol::V2.header(None), [&signature[..], &[0x20, 0x00, 0, 0]].concat());
    }

    #[test]
    fn a_client_that_a_listener_for_both_families_mapped_is_one_of_ipv4() {
        let (mapped, plain) = (["[::ffff:10.0.0.1]:7", "[::ffff:10.0.0.2]:8"], ["10.0.0.1:7", "10.0.0.2:8"]);
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            assert_eq!(header(version, mapped[0], mapped[1]), header(version, plain[0], plain[1]));
        }
    }

    /// A listener's end of a connection, and the other.
    fn connection(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, dialled)
    }

    fn received(mut container: TcpStream, rouse: TcpStream) -> String {
        drop(rouse);
        let mut text = String::new();
        container.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_client_is_named_from_its_own_side() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (accepted, client) = connection(address);
            let (container, rouse) = connection("127.0.0.1:0");
            ProxyProtocol::V1.introduce(&accepted, &rouse).unwrap();
            let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let expected = ProxyProtocol::V1.header(Some((from, to)));
            assert_eq!(received(container, rouse).as_bytes(), expected);
        }
    }

    #[test]
    fn a_unix_client_and_a_probe_have_their_own_headers() {
        let (accepted, _client) = UnixStream::pair().unwrap();
        let (container, rouse) = connection("127.0.0.1:0");
        ProxyProtocol::V1.introduce(&accepted, &rouse).unwrap();
        let probe = line(&rouse.local_addr().unwrap().to_string(), &rouse.peer_addr().unwrap().to_string());
        ProxyProtocol::V1.introduce_self(&rouse).unwrap();
        assert_eq!(received(container, rouse), format!("PROXY UNKNOWN\r\n{probe}"));
    }

    #[test]
    fn a_client_that_has_been_reset_is_an_error() {
        let (accepted, client) = connection("127.0.0.1:0");
        setsockopt(&client, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
        drop(client);
        let (container, rouse) = connection("127.0.0.1:0");
        assert!(ProxyProtocol::V2.introduce(&accepted, &rouse).is_err());
        assert_eq!(received(container, rouse), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_versions_say_the_same_within_their_limits(from: SocketAddr, to: SocketAddr) {
            let (line, block) = (ProxyProtocol::V1.header(Some((from, to))), ProxyProtocol::V2.header(Some((from, to))));
            prop_assert!(line.len() <= 107 && block.len() <= 52);
            let line = String::from_utf8(line).unwrap();
            let words: Vec<_> = line.strip_suffix("\r\n").unwrap().split(' ').collect();
            let parse = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
                Ok(octets) => IpAddr::from(Ipv4Addr::from(octets)),
                Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap()),
            };
            let (addresses, ports) = block[16..].split_at(block.len() - 20);
            let (one, two) = addresses.split_at(addresses.len() / 2);
            prop_assert_eq!(usize::from(block[15]), block.len() - 16);
            prop_assert_eq!(&words[2..4], [parse(one).to_string(), parse(two).to_string()]);
            prop_assert_eq!(ports, [from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
            prop_assert_eq!(&words[4..], [from.port().to_string(), to.port().to_string()]);
            prop_assert_eq!(from.ip().to_canonical(), parse(one).to_canonical());
        }
    }
}
