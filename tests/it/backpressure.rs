//! Readers that do not read: what is under way to them is bounded, and all of it arrives when they go on.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::harness::{Between, Pair, Tape, private_memory};

const CONNECTIONS: usize = 50;
/// What a pipe of 256 slots pins at most, each with a fragment of 32 KiB.
const MOST_IN_A_PIPE: usize = 8 << 20;
/// Of the helper, for all connections; a page was measured, since the bytes are the kernel's.
const MOST_MEMORY: usize = 4 << 20;
/// Where nobody could send for so long, nobody can.
const STILL: Duration = Duration::from_millis(300);
/// Sending without an end would be seen by then.
const LONGEST: Duration = Duration::from_secs(20);

/// One direction of a connection.
struct Lane {
    sender: TcpStream,
    receiver: TcpStream,
    sent: Tape,
    received: Tape,
}

impl Lane {
    fn new(number: usize, (sender, receiver): (TcpStream, TcpStream)) -> Lane {
        sender.set_nonblocking(true).unwrap();
        Lane { sender, receiver, sent: Tape::new(number), received: Tape::new(number) }
    }

    fn send_what_can_be_sent(&mut self) {
        loop {
            match self.sender.write(self.sent.ahead(1 << 20)) {
                Ok(bytes) => self.sent.pass(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads what has been sent, and the end.
    fn receive(&mut self) {
        self.sender.shutdown(std::net::Shutdown::Write).unwrap();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match self.receiver.read(&mut buffer).unwrap() {
                0 => break,
                read => assert!(self.received.is_continued_by(&buffer[..read])),
            }
        }
        assert_eq!(self.received.passed(), self.sent.passed());
    }
}

/// Of one connection: two buffers for sending, two for receiving, each as large as this machine lets one grow, and the
/// helper's pipe. How far they do grow differs from run to run (14 to 43 MB were seen).
fn most_under_way() -> usize {
    let largest = |buffer| {
        let sizes = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{buffer}")).unwrap();
        sizes.split_whitespace().last().unwrap().parse::<usize>().unwrap()
    };
    2 * (largest("tcp_wmem") + largest("tcp_rmem")) + MOST_IN_A_PIPE
}

/// Sends on all lanes until none takes a byte any more.
fn send_until_still(lanes: &mut [Lane]) {
    let begun = Instant::now();
    let still = PollTimeout::try_from(STILL).unwrap();
    loop {
        lanes.iter_mut().for_each(Lane::send_what_can_be_sent);
        let mut polled: Vec<_> =
            lanes.iter().map(|lane| PollFd::new(lane.sender.as_fd(), PollFlags::POLLOUT)).collect();
        if poll(&mut polled, still).unwrap() == 0 {
            return;
        }
        let sent: usize = lanes.iter().map(|lane| lane.sent.passed()).sum();
        assert!(begun.elapsed() < LONGEST, "{sent} bytes sent to those who do not read, and no end of it");
    }
}

fn nobody_reads(turn: fn(Pair) -> (TcpStream, TcpStream)) {
    let between = Between::new();
    let mut lanes: Vec<Lane> =
        (0..CONNECTIONS).map(|number| Lane::new(number, turn(between.pair()))).collect();
    let pid = between.host.pid();
    let before = private_memory(pid);
    send_until_still(&mut lanes);
    let grown = private_memory(pid).saturating_sub(before);
    let most = lanes.iter().map(|lane| lane.sent.passed()).max().unwrap();
    println!("the helper has grown by {grown} bytes, one connection has taken up to {most}");
    assert!(grown <= MOST_MEMORY, "the helper has grown by {grown} bytes");
    let bound = most_under_way();
    assert!(most <= bound, "a connection has taken {most} bytes that nobody reads, more than {bound}");
    lanes.iter_mut().for_each(Lane::receive);
}

#[test]
fn fifty_clients_that_do_not_read_hold_their_servers_back_and_get_all_in_the_end() {
    nobody_reads(Pair::downwards);
}

#[test]
fn fifty_servers_that_do_not_read_hold_their_clients_back_and_get_all_in_the_end() {
    nobody_reads(Pair::upwards);
}
