//! What a client sees: answers, clean ends, resets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::between::unread_behind;
use super::listener::Address;
use super::wait::{DEADLINE, until};

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Clean,
    Reset,
    /// Not at all: the deadline passed.
    Open,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Reset before it was even looked at: every read and write says so.
    Reset,
}

/// One connection, with a deadline on all it does.
pub struct Client {
    stream: Stream,
}

impl Client {
    #[track_caller]
    pub fn connect(address: &Address) -> Client {
        let stream = match address {
            Address::Tcp(address) => match TcpStream::connect_timeout(address, DEADLINE) {
                Err(error) if is_reset(&error) => Stream::Reset,
                stream => Stream::Tcp(stream.unwrap()),
            },
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path).unwrap()),
            Address::Nowhere => panic!("nobody listens there"),
        };
        let client = Client { stream };
        client.deadline(DEADLINE);
        client
    }

    /// How long a read or write may take from now on.
    pub fn deadline(&self, limit: Duration) {
        let set = match &self.stream {
            // NODELAY is refused on a connection that is reset meanwhile, which the next read tells.
            Stream::Tcp(stream) => stream
                .set_read_timeout(Some(limit))
                .and_then(|()| stream.set_write_timeout(Some(limit)))
                .map(|()| drop(stream.set_nodelay(true))),
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit)))
            }
            Stream::Reset => Ok(()),
        };
        set.unwrap();
    }

    /// Sends one line and reads the one that answers it.
    pub fn try_ask(&mut self, line: &str) -> io::Result<String> {
        self.write_all(format!("{line}\n").as_bytes())?;
        self.read_line()
    }

    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.try_ask(line).unwrap_or_else(|error| panic!("no answer to {line:?}: {error}"))
    }

    /// Reads up to the end of a line, byte for byte, so that nothing after it is taken.
    pub fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match self.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte[0] == b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
                Ok(_) => line.push(byte[0]),
                // A read with a timeout is not taken up again by the kernel after a stop and SIGCONT (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::UnexpectedEof, format!("the end after {line:?}")))
    }

    /// Reads on until the connection ends, and says how.
    pub fn end(&mut self) -> End {
        let mut rest = Vec::new();
        match self.read_to_end(&mut rest) {
            Ok(_) => End::Clean,
            Err(error) if is_reset(&error) => End::Reset,
            Err(_) => End::Open,
        }
    }

    /// Waits for a reset that comes after the other side's end, which no read tells; false if there is none.
    pub fn is_reset_after_all(&self) -> bool {
        let mut polled = [PollFd::new(self.fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
        polled[0].revents().is_some_and(|seen| seen.contains(PollFlags::POLLERR))
    }

    /// The rest of the stream, as text.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.read_to_end(&mut rest).unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&rest));
        });
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Waits until the helper has taken all that was sent.
    #[track_caller]
    pub fn is_taken(&self) {
        let stream = TcpStream::from(self.fd().try_clone_to_owned().unwrap());
        until("nothing unread by the helper", || (unread_behind(&stream) == 0).then_some(()));
    }

    /// Ends its own direction, and reads on.
    pub fn finish(&self) {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Reset => {}
        }
    }

    /// Ends with a reset.
    pub fn reset(self) {
        setsockopt(&self.fd(), Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Reset => panic!("the connection was reset at once"),
        }
    }
}

/// Whether this is how an abrupt end shows, be it at a read or a write.
pub fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

impl From<UnixStream> for Client {
    fn from(stream: UnixStream) -> Client {
        let client = Client { stream: Stream::Unix(stream) };
        client.deadline(DEADLINE);
        client
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Reset => Err(ErrorKind::ConnectionReset.into()),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Reset => Err(ErrorKind::ConnectionReset.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
