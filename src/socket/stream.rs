//! Connected stream sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect,
    getpeername, getsockname, getsockopt, setsockopt, shutdown, socket, sockopt,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::address::Address;
use super::register;

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
    pub(super) fn new(socket: OwnedFd, is_tcp: bool) -> io::Result<Stream> {
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
pub(super) fn prepare_tcp(socket: &impl AsFd) -> nix::Result<()> {
    reset_on_close(socket)?;
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    match setsockopt(socket, sockopt::OobInline, &true) {
        // MPTCP (SocketProtocol= in a drop-in) knows no urgent data.
        Err(Errno::EOPNOTSUPP) => Ok(()),
        set => set,
    }
}
