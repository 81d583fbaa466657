//! One listening socket and its name.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a test asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Tcp4,
    /// On every address of this machine.
    AnyTcp4,
    Tcp6,
    /// On every address of this machine, of both families.
    AnyTcp6,
    Unix,
}

/// Where a client finds it.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Not a listener: only handed over.
    Nowhere,
}

/// A socket as systemd holds it: open before the helper starts and after it has gone.
#[derive(Debug)]
pub struct Listener {
    pub name: String,
    pub address: Address,
    fd: OwnedFd,
}

impl Listener {
    pub fn open(kind: Kind, name: &str, dir: &Path, number: usize) -> Listener {
        let (fd, address) = match kind {
            Kind::Tcp4 => tcp("127.0.0.1:0"),
            Kind::AnyTcp4 => tcp("0.0.0.0:0"),
            Kind::Tcp6 => tcp("[::1]:0"),
            Kind::AnyTcp6 => tcp("[::]:0"),
            Kind::Unix => {
                let path = dir.join(format!("{name}-{number}.sock"));
                (OwnedFd::from(UnixListener::bind(&path).unwrap()), Address::Unix(path))
            }
        };
        Listener { name: name.to_owned(), address, fd }
    }

    /// A control socket where its sidecar's neighbours look for it.
    pub fn control(folder: &Path, sidecar: &str) -> Listener {
        let path = folder.join(format!("{sidecar}.sock"));
        let fd = OwnedFd::from(UnixListener::bind(&path).unwrap());
        Listener { name: "control".into(), address: Address::Unix(path), fd }
    }

    /// Anything else that a wrong unit could hand over.
    pub fn other(name: &str, fd: OwnedFd) -> Listener {
        Listener { name: name.to_owned(), address: Address::Nowhere, fd }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its port, for TCP.
    pub fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(address) => address.port(),
            other => panic!("{other:?} has no port"),
        }
    }
}

fn tcp(address: &str) -> (OwnedFd, Address) {
    let listener = TcpListener::bind(address).unwrap();
    // std listens with 128; systemd with as many as the kernel allows.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(4096).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), Address::Tcp(address))
}

/// A port that nobody listens on: none of those that the kernel deals out by itself, and never the same one twice.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const LOWEST: u32 = 10_000;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let dealt_out: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    assert!(dealt_out > 2 * LOWEST, "too few ports below those that the kernel deals out: {range}");
    // Other runs begin elsewhere.
    let next = || (std::process::id() * 100 + NEXT.fetch_add(1, Ordering::Relaxed)) % (dealt_out - LOWEST);
    let ports = std::iter::repeat_with(|| u16::try_from(LOWEST + next()).unwrap()).take(1000);
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    ports.into_iter().find(is_free).expect("a free port")
}

/// How many clients wait in the kernel's queue of the listener on `port` of 127.0.0.1.
pub fn queued(port: u16) -> usize {
    let wanted = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&wanted) && words.nth(1) == Some("0A")
    });
    let queues = line.and_then(|line| line.split_whitespace().nth(4)).unwrap_or("0:0");
    usize::from_str_radix(queues.split(':').nth(1).unwrap(), 16).unwrap()
}

/// The `number`th of the listeners called `name`.
pub fn nth<'a>(listeners: &'a [Listener], name: &str, number: usize) -> &'a Listener {
    listeners.iter().filter(|listener| listener.name == name).nth(number).unwrap()
}
