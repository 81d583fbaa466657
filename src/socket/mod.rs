//! Stream sockets on the reactor: listening ones, connected ones, and the addresses between.
//!
//! TCP and unix sockets are one type here: an `AsyncFd` serves both alike, and unlike tokio's `TcpStream` it can wait
//! for urgent data, which would wedge a splice.

mod listeners; // those of one name, as one
mod listener; // one that systemd opened
mod stream; // a connected one
mod address; // where something listens

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use address::Address;
pub use listeners::Listeners;
pub use stream::Stream;

/// Whether this process, the machine or its memory has no room for one more descriptor.
pub fn is_full_table(error: &io::Error) -> bool {
    let full = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| full.contains(&Errno::from_raw(code)))
}

/// tokio's replacement is unsafe because a type may lie about its descriptor (tokio#8587); an OwnedFd cannot.
#[expect(deprecated)]
fn register(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}
