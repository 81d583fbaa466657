//! Stream sockets on the reactor: listening ones, connected ones, and the addresses between.
//!
//! TCP and unix sockets are one type here: an `AsyncFd` serves both alike, and unlike tokio's `TcpStream` it can wait
//! for urgent data, which would wedge a splice.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect,
    getpeername, getsockname, getsockopt, setsockopt, shutdown, socket, sockopt,
};
use rustix::net::sockopt::socket_protocol;
use rustix::net::{SocketFlags, accept_with, ipproto};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// How long accepting pauses when the file table is full.
const FULL_TABLE_PAUSE: Duration = Duration::from_millis(100);
/// As many as a queue holds (net.core.somaxconn): clients that come back as soon as they are reset must not hold the thread.
const AT_ONCE: usize = 4096;

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a unix stream socket.
    Unix(PathBuf),
}

impl Address {
    fn is_loopback(&self) -> bool {
        matches!(self, Address::Tcp(addr) if is_loopback(addr.ip()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(addr) => write!(out, "{addr}"),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// A connected stream socket.
///
/// A TCP socket has SO_LINGER on with zero seconds from its first moment, so whatever ends it early (a stop, a crash, a
/// kill) ends it with a reset and never with a clean end that passes for success; [`Stream::end_writing`] is the orderly
/// way.
#[derive(Debug)]
pub struct Stream {
    io: AsyncFd<OwnedFd>,
    is_tcp: bool,
}

impl Stream {
    fn new(socket: OwnedFd, is_tcp: bool) -> io::Result<Stream> {
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        Ok(Stream { io: register(socket, interest)?, is_tcp })
    }

    /// Connects to `address`; the caller bounds the time.
    pub async fn connect(address: &Address) -> io::Result<Stream> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let is_tcp = matches!(address, Address::Tcp(_));
        let dial = |family, peer: &dyn SockaddrLike| {
            let socket = socket(family, SockType::Stream, flags, None)?;
            if is_tcp {
                prepare_tcp(&socket)?;
            }
            match connect(socket.as_raw_fd(), peer) {
                // A peer on this machine has answered meanwhile: asking again says so once (`__inet_stream_connect` in
                // net/ipv4/af_inet.c), and neither the reactor nor a timer is needed.
                Err(Errno::EINPROGRESS) => match connect(socket.as_raw_fd(), peer) {
                    Err(Errno::EALREADY) => Ok((socket, false)),
                    Ok(()) | Err(Errno::EISCONN) => Ok((socket, true)),
                    Err(error) => Err(error),
                },
                connected => connected.map(|()| (socket, true)),
            }
        };
        let (socket, is_connected) = match address {
            Address::Tcp(addr) if addr.is_ipv4() => dial(AddressFamily::Inet, &SockaddrStorage::from(*addr))?,
            Address::Tcp(addr) => dial(AddressFamily::Inet6, &SockaddrStorage::from(*addr))?,
            Address::Unix(path) => dial(AddressFamily::Unix, &UnixAddr::new(path)?)?,
        };
        let stream = Stream::new(socket, is_tcp)?;
        if !is_connected {
            // A fresh AsyncFd knows no readiness: this waits for the connect to end, either way.
            drop(stream.io.writable().await?);
            match getsockopt(&stream, sockopt::SocketError)? {
                0 => {}
                error => return Err(Errno::from_raw(error).into()),
            }
        }
        if address.is_loopback() && stream.is_connected_to_itself() {
            return Err(Errno::ECONNREFUSED.into());
        }
        Ok(stream)
    }

    /// A connect to a closed port in the ephemeral range of this host can meet itself (tcp(7), simultaneous open).
    fn is_connected_to_itself(&self) -> bool {
        let fd = self.io.as_raw_fd();
        match (getsockname::<SockaddrStorage>(fd), getpeername::<SockaddrStorage>(fd)) {
            (Ok(here), Ok(there)) => here.family() != Some(AddressFamily::Unix) && here == there,
            _ => false,
        }
    }

    /// The same connection, which the caller knows to be a unix one, as tokio's type: where no splice is wanted.
    pub fn into_unix(self) -> io::Result<UnixStream> {
        UnixStream::from_std(self.io.into_inner().into())
    }

    /// The descriptor with its readiness.
    pub fn io(&self) -> &AsyncFd<OwnedFd> {
        &self.io
    }

    /// Whether it is a plain TCP socket: no unix one, and no MPTCP one.
    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Ends the sending direction: what its peer was sent is whole, and is delivered whatever becomes of this socket.
    pub fn end_writing(&self) -> io::Result<()> {
        setsockopt(self, sockopt::Linger, &linger { l_onoff: 0, l_linger: 0 })?;
        match shutdown(self.io.as_raw_fd(), Shutdown::Write) {
            // The peer has gone meanwhile, and the reading side is told so.
            Ok(()) | Err(Errno::ENOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// From now on closing resets the peer, as it does from the beginning until [`Stream::end_writing`].
    pub fn reset_on_close(&self) -> io::Result<()> {
        Ok(reset_on_close(self)?)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// Closing the socket resets its peer (socket(7), SO_LINGER).
fn reset_on_close(socket: &impl AsFd) -> nix::Result<()> {
    setsockopt(socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })
}

/// What every TCP socket needs from its first moment: a reset where it ends early, no delay of small segments, and urgent
/// data in line, where it is kept (tcp(7): a second urgent byte would otherwise make the kernel forget the first).
fn prepare_tcp(socket: &impl AsFd) -> nix::Result<()> {
    reset_on_close(socket)?;
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    match setsockopt(socket, sockopt::OobInline, &true) {
        // MPTCP (SocketProtocol= in a drop-in) knows no urgent data.
        Err(Errno::EOPNOTSUPP) => Ok(()),
        set => set,
    }
}

/// A listening socket that systemd opened.
#[derive(Debug)]
pub struct Listener {
    io: AsyncFd<OwnedFd>,
    is_tcp: bool,
    address: Option<Address>,
    /// What is accepted has inherited the options set here. Who was queued before has not.
    inherited: Cell<bool>,
}

impl Listener {
    /// Puts a listening socket on the reactor. O_NONBLOCK is shared with systemd's copy, which only polls.
    pub fn new(socket: OwnedFd) -> io::Result<Listener> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let local: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let address = if let Some(addr) = local.as_sockaddr_in() {
            Some(Address::Tcp(SocketAddr::from((addr.ip(), addr.port()))))
        } else if let Some(addr) = local.as_sockaddr_in6() {
            Some(Address::Tcp(SocketAddr::from((addr.ip(), addr.port()))))
        } else {
            local.as_unix_addr().and_then(UnixAddr::path).map(|path| Address::Unix(path.to_owned()))
        };
        let is_tcp = socket_protocol(&socket)? == Some(ipproto::TCP);
        let io = register(socket, Interest::READABLE)?;
        let listener = Listener { io, is_tcp, address, inherited: Cell::default() };
        listener.prepare(&listener.io)?;
        Ok(listener)
    }

    /// Where it listens; none for an unnamed or abstract unix socket.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// The port that clients connect to; none for a unix socket.
    pub fn port(&self) -> Option<u16> {
        match self.address {
            Some(Address::Tcp(addr)) => Some(addr.port()),
            _ => None,
        }
    }

    /// Whether a connect to `target` would end up here.
    pub fn is_reached_by(&self, target: &Address) -> bool {
        match (&self.address, target) {
            (Some(Address::Tcp(own)), Address::Tcp(target)) => {
                let host =
                    own.ip() == target.ip() || (own.ip().is_unspecified() && is_of_this_host(target.ip()));
                own.port() == target.port() && host
            }
            (own, target) => own.as_ref() == Some(target),
        }
    }

    fn accept(&self) -> io::Result<OwnedFd> {
        let accepted =
            accept_with(&self.io, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).map_err(io::Error::from);
        match &accepted {
            Ok(socket) if !self.inherited.get() => self.prepare(socket)?,
            // The queue has been empty since the options were set.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.inherited.set(true),
            _ => {}
        }
        accepted
    }

    /// A unix socket knows none of the options, and has no reset.
    fn prepare(&self, socket: &impl AsFd) -> nix::Result<()> {
        if self.port().is_some() { prepare_tcp(socket) } else { Ok(()) }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(context))?;
            match self.accept() {
                Ok(socket) => return Poll::Ready(Stream::new(socket, self.is_tcp)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// tokio's replacement is unsafe because a type may lie about its descriptor (tokio#8587); an OwnedFd cannot.
#[expect(deprecated)]
fn register(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}

/// Only an address of this host can be bound.
fn is_of_this_host(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The listening sockets of one name, accepted from as one. One task at a time may wait on it.
#[derive(Debug)]
pub struct Listeners {
    list: Vec<Listener>,
    /// While the file table is full: when to try again.
    full_until: Cell<Option<Instant>>,
    turn: Cell<usize>,
}

impl Listeners {
    /// Puts the sockets on the reactor.
    pub fn new(sockets: Vec<OwnedFd>) -> io::Result<Listeners> {
        let list = sockets.into_iter().map(Listener::new).collect::<io::Result<_>>()?;
        Ok(Listeners { list, full_until: Cell::default(), turn: Cell::default() })
    }

    /// Each of them, in the order in which they were passed.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.list.iter()
    }

    /// The next client, and the port that it connected to. Cancelling it loses nobody.
    ///
    /// It never fails: a client that has gone again is passed over (accept(2) names the errors that belong to the client
    /// alone), and a full file table is waited out while the clients stay in the kernel's queue.
    pub async fn accept(&self) -> (Stream, Option<u16>) {
        loop {
            let was_full = self.full_until.get();
            if let Some(until) = was_full {
                sleep_until(until).await;
            }
            let (accepted, port) = poll_fn(|context| self.poll_accept(context)).await;
            match accepted {
                Ok(stream) => {
                    self.full_until.set(None);
                    return (stream, port);
                }
                Err(error) if is_full_table(&error) => {
                    self.full_until.set(Some(Instant::now() + FULL_TABLE_PAUSE));
                    if was_full.is_none() {
                        let cure = "raise LimitNOFILE= or lower max_connections";
                        tracing::warn!(target: "rouse", "accepting pauses until descriptors are free: {error}: {cure}");
                    }
                }
                Err(_) => {}
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<(io::Result<Stream>, Option<u16>)> {
        // Each is asked first in turn: where one client at a time is let in, a long queue must not hide the others.
        let first = self.turn.get();
        for index in (first..self.list.len()).chain(0..first) {
            let listener = &self.list[index];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                self.turn.set((index + 1) % self.list.len());
                return Poll::Ready((accepted, listener.port()));
            }
        }
        Poll::Pending
    }

    /// Waits until a client is queued, and leaves it there.
    pub async fn client(&self) {
        let queued = |context: &mut Context<'_>| {
            for listener in &self.list {
                while let Poll::Ready(Ok(mut guard)) = listener.io.poll_read_ready(context) {
                    if is_readable(&listener.io) {
                        return Poll::Ready(());
                    }
                    guard.clear_ready();
                }
            }
            Poll::Pending
        };
        poll_fn(queued).await;
    }

    /// Resets who is queued at this moment and says how many that were.
    pub fn reset_queued(&self) -> usize {
        self.list.iter().map(|listener| iter::from_fn(|| listener.accept().ok()).take(AT_ONCE).count()).sum()
    }

    /// Whether a client is queued at this moment, whatever the reactor has heard of it.
    pub fn has_client(&self) -> bool {
        self.list.iter().any(|listener| is_readable(&listener.io))
    }
}

fn is_readable(socket: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
}

/// Whether this process, the machine or its memory has no room for one more descriptor.
pub fn is_full_table(error: &io::Error) -> bool {
    let full = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| full.contains(&Errno::from_raw(code)))
}
