//! Small pieces that have gathered unread: as many as a pipe has slots, one less, one more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::{Pid, pipe};

use crate::harness::{Between, Pair, Tape, unread_behind, until, until_in_state};

/// As many as a pipe has slots, a narrow one or a wide one, and the neighbours of these numbers.
const NUMBERS: [usize; 10] = [1, 15, 16, 17, 32, 33, 255, 256, 257, 300];
const ROUNDS: usize = 10;
/// The kernel holds a last segment back for twice this when it was promised more.
const LIMIT: Duration = Duration::from_millis(100);
/// A piece is far smaller than a slot.
const SIZE: usize = 10;

/// A helper that does not read while it stands still.
struct Halted(Pid);

impl Halted {
    fn new(pid: i32) -> Halted {
        kill(Pid::from_raw(pid), SIGSTOP).unwrap();
        until_in_state(pid, 'T');
        Halted(Pid::from_raw(pid))
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        let _ = kill(self.0, SIGCONT);
    }
}

/// Sends pieces that need a slot each: what lies side by side in one page would be put together again, so the bytes of
/// another connection come between.
fn send_pieces(sender: &mut TcpStream, number: usize, tape: &mut Tape) {
    let (mut other, _kept) = loopback();
    for _ in 0..number {
        let piece = tape.ahead(SIZE);
        sender.write_all(piece).unwrap();
        tape.pass(piece.len());
        other.write_all(b"between").unwrap();
    }
}

/// How long the last byte takes from the moment on at which the helper may read.
fn last_byte(pid: i32, ends: &mut (TcpStream, TcpStream), number: usize, tape: &mut Tape) -> Duration {
    let (sender, receiver) = ends;
    let mut received = tape.clone();
    let halted = Halted::new(pid);
    send_pieces(sender, number, tape);
    let mut bytes = vec![0; tape.passed() - received.passed()];
    until("all of it in the helper's buffer", || (unread_behind(sender) == bytes.len()).then_some(()));
    let begun = Instant::now();
    drop(halted);
    receiver.read_exact(&mut bytes).unwrap();
    let took = begun.elapsed();
    assert!(received.is_continued_by(&bytes));
    took
}

#[test]
fn pieces_that_have_gathered_unread_are_passed_on_at_once() {
    let between = Between::new();
    for turn in [Pair::upwards, Pair::downwards] {
        let mut ends = turn(between.pair());
        let mut tape = Tape::new(0);
        let pid = between.host.pid();
        for number in NUMBERS {
            let mut times: Vec<Duration> =
                (0..ROUNDS).map(|_| last_byte(pid, &mut ends, number, &mut tape)).collect();
            times.sort();
            // A machine that is busy elsewhere may spoil one round, a stall spoils each.
            assert!(times[ROUNDS - 2] < LIMIT, "{number} pieces: {times:?}");
        }
    }
}

/// Two connected sockets without a helper between them.
fn loopback() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    sender.set_nodelay(true).unwrap();
    (sender, listener.accept().unwrap().0)
}

fn fill(from: impl AsFd, into: &OwnedFd) -> usize {
    splice(from, None, into, None, 1 << 20, SpliceFFlags::SPLICE_F_NONBLOCK).unwrap()
}

/// What the test above rests on: the pieces stay apart until they are read.
#[test]
fn sixteen_pieces_fill_a_pipe_here() {
    let (mut sender, receiver) = loopback();
    let (_out, into) = pipe().unwrap();
    send_pieces(&mut sender, 17, &mut Tape::new(0));
    until("all of it received", || (unread_behind(&sender) == 17 * SIZE).then_some(()));
    assert_eq!(fill(&receiver, &into), 16 * SIZE);
}
