//! A helper with the test on both of its sides: what goes in at one end of a connection comes out at the other.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::container::Container;
use super::host::Host;
use super::listener::{Address, Kind};
use super::plan::Plan;
use super::tape::Tape;
use super::wait::DEADLINE;

/// A sidecar `web` whose container only sleeps: what is dialled is a listener of the test itself.
pub struct Between {
    pub host: Host,
    address: TcpListener,
    _container: Container,
}

/// Both ends of one relayed connection, with a deadline on all they do and a segment for each write.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Between {
    #[track_caller]
    pub fn new() -> Between {
        Between::with(|plan| plan)
    }

    /// The same with more in the plan.
    #[track_caller]
    pub fn with(more: impl FnOnce(Plan) -> Plan) -> Between {
        let container = Container::running("web", &["--stop-signal", "KILL"], &["sleep", "1000"]);
        let address = TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&address, Backlog::new(4096).unwrap()).unwrap();
        let key = format!("address = \"{}\"", address.local_addr().unwrap());
        let plan = Plan::new(&container.sidecar("web", &key)).socket("web", Kind::Tcp4);
        Between { host: more(plan).listen(), address, _container: container }
    }

    /// One more connection. The one that arrives is the one that was made: no other is under way.
    #[track_caller]
    pub fn pair(&self) -> Pair {
        let Address::Tcp(address) = self.host.listener("web", 0).address else { unreachable!() };
        let client = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        let mut polled = [PollFd::new(self.address.as_fd(), PollFlags::POLLIN)];
        let arrived = poll(&mut polled, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
        assert_eq!(arrived, 1, "the connection was not passed on within {DEADLINE:?}");
        let (server, _) = self.address.accept().unwrap();
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
            end.set_read_timeout(Some(DEADLINE)).unwrap();
            end.set_write_timeout(Some(DEADLINE)).unwrap();
        }
        Pair { client, server }
    }
}

impl Pair {
    /// Both ends, the sender first.
    pub fn downwards(self) -> (TcpStream, TcpStream) {
        (self.server, self.client)
    }

    pub fn upwards(self) -> (TcpStream, TcpStream) {
        (self.client, self.server)
    }
}

/// Sends until nothing goes in any more for a while, and says how much went.
pub fn stuff(mut sender: &TcpStream, number: usize) -> usize {
    sender.set_nonblocking(true).unwrap();
    let mut sent = Tape::new(number);
    loop {
        match sender.write(sent.ahead(1 << 20)) {
            Ok(written) => sent.pass(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut polled = [PollFd::new(sender.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut polled, PollTimeout::from(100u8)).unwrap() == 0 {
                    return sent.passed();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// How many bytes the other end of `stream`, which is the helper's, has received and not read.
pub fn unread_behind(stream: &TcpStream) -> usize {
    let end = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let (theirs, ours) = (end(stream.peer_addr().unwrap()), end(stream.local_addr().unwrap()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = words.into_iter().find(|words| words[1..3] == [&theirs, &ours]).unwrap();
    usize::from_str_radix(row[4].split(':').nth(1).unwrap(), 16).unwrap()
}
