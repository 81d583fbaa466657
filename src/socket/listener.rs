//! One listening socket.

use std::cell::Cell;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::task::{Context, Poll, ready};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrStorage, UnixAddr, getsockname};
use rustix::net::sockopt::socket_protocol;
use rustix::net::{SocketFlags, accept_with, ipproto};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::address::{Address, is_of_this_host};
use super::register;
use super::stream::{Stream, prepare_tcp};

/// As many as a queue holds (net.core.somaxconn): clients that come back as soon as they are reset must not hold the thread.
const AT_ONCE: usize = 4096;

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

    /// The next client.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let mut guard = ready!(self.io.poll_read_ready(context))?;
            match self.accept() {
                Ok(socket) => return Poll::Ready(Stream::new(socket, self.is_tcp)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready once a client is queued, who stays there.
    pub(super) fn poll_client(&self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Ok(mut guard)) = self.io.poll_read_ready(context) {
            if self.has_client() {
                return Poll::Ready(());
            }
            guard.clear_ready();
        }
        Poll::Pending
    }

    /// The next client, if one is queued at this moment, whatever the reactor has heard of it.
    pub(super) fn accept_queued(&self) -> Option<Stream> {
        Stream::new(self.accept().ok()?, self.is_tcp).ok()
    }

    /// Whether a client is queued at this moment, whatever the reactor has heard of it.
    pub(super) fn has_client(&self) -> bool {
        let mut fds = [PollFd::new(self.io.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
    }

    /// Resets who is queued at this moment and says how many that were.
    pub(super) fn reset_queued(&self) -> usize {
        iter::from_fn(|| self.accept().ok()).take(AT_ONCE).count()
    }
}
