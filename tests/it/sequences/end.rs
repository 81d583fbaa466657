//! One end of a connection: what it has still to send, what has arrived.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt::Linger};

use super::step::Act;
use crate::harness::{Tape, is_reset};

/// Reading has no limit.
const ALL: usize = usize::MAX;

/// What waits to be sent.
#[derive(Debug)]
enum Out {
    Bytes(usize),
    Urgent,
    End,
}

/// How an end left before its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gone {
    Reset,
    Closed,
}

/// One end, and its model: what it has done and seen.
pub struct End {
    socket: Option<TcpStream>,
    outbox: VecDeque<Out>,
    /// How many bytes it still wants to read.
    room: usize,
    pub sent: Tape,
    pub received: Tape,
    /// It has ended its own direction.
    pub is_finished: bool,
    /// It was told that the other side's direction has ended.
    pub is_told_end: bool,
    /// It was told of a reset.
    pub is_told_reset: bool,
    /// Of errors and ends, what the kernel knows that was not asked for.
    known: PollFlags,
    pub gone: Option<Gone>,
    /// Bytes arrived that nobody sent.
    pub is_garbled: bool,
}

impl fmt::Debug for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sent {} and then {:?}, ", self.sent.passed(), self.outbox)?;
        write!(out, "finished {}, gone {:?}; ", self.is_finished, self.gone)?;
        write!(out, "received {}, room {}, ", self.received.passed(), self.room)?;
        write!(out, "told of the end {}, of a reset {}", self.is_told_end, self.knows_of_reset())
    }
}

impl End {
    /// It sends stream `out` and shall receive stream `into`.
    pub fn new(socket: TcpStream, out: usize, into: usize) -> End {
        socket.set_nonblocking(true).unwrap();
        End {
            socket: Some(socket),
            outbox: VecDeque::new(),
            room: ALL,
            sent: Tape::new(out),
            received: Tape::new(into),
            is_finished: false,
            is_told_end: false,
            is_told_reset: false,
            known: PollFlags::empty(),
            gone: None,
            is_garbled: false,
        }
    }

    pub fn apply(&mut self, act: Act) {
        match act {
            Act::Send(bytes) => self.put(Out::Bytes(bytes)),
            Act::Burst { pieces, size } => (0..pieces).for_each(|_| self.put(Out::Bytes(size))),
            Act::Urgent => self.put(Out::Urgent),
            Act::Read(bytes) => self.room = bytes,
            Act::ReadOn | Act::CatchUp => self.room = ALL,
            Act::Stall | Act::Choke => self.room = 0,
            Act::HalfClose => self.put(Out::End),
            Act::Reset => self.leave(Gone::Reset),
            Act::Close => self.leave(Gone::Closed),
        }
    }

    /// Nothing follows an end, and nobody is told anything by one who has gone.
    fn put(&mut self, out: Out) {
        if self.gone.is_none() && !self.is_told_reset && !self.is_ending() {
            self.outbox.push_back(out);
        }
    }

    fn leave(&mut self, how: Gone) {
        let Some(socket) = self.socket.take() else { return };
        if how == Gone::Reset {
            setsockopt(&socket, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
        self.outbox.clear();
        self.gone = Some(how);
    }

    /// Nothing more can come. What arrived before a reset and was not read is not looked at any more.
    pub fn is_over(&self) -> bool {
        self.is_told_end || self.is_told_reset
    }

    /// It has ended its own direction, or will once all before that is sent.
    fn is_ending(&self) -> bool {
        self.is_finished || matches!(self.outbox.back(), Some(Out::End))
    }

    /// How much it will have sent.
    pub fn promised(&self) -> usize {
        let waiting = |out: &Out| match out {
            Out::Bytes(bytes) => *bytes,
            Out::Urgent => 1,
            Out::End => 0,
        };
        self.sent.passed() + self.outbox.iter().map(waiting).sum::<usize>()
    }

    /// Sends and reads what can be at this moment.
    pub fn go_on(&mut self) {
        while let Some(socket) = &self.socket
            && let Some(out) = self.outbox.front_mut()
        {
            match put_out(socket, out, &self.sent) {
                Ok(bytes) => {
                    self.sent.pass(bytes);
                    match out {
                        Out::Bytes(left) if *left > bytes => *left -= bytes,
                        Out::End => {
                            self.is_finished = true;
                            self.outbox.pop_front();
                        }
                        _ => drop(self.outbox.pop_front()),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.hear_of_reset(&error),
            }
        }
        self.read();
    }

    fn read(&mut self) {
        let mut buffer = [0; 1 << 16];
        while let Some(mut socket) = self.socket.as_ref()
            && self.room > 0
            && !self.is_over()
        {
            let most = self.room.min(buffer.len());
            match socket.read(&mut buffer[..most]) {
                Ok(0) => self.is_told_end = true,
                Ok(read) => {
                    self.is_garbled |= !self.received.is_continued_by(&buffer[..read]);
                    if self.room != ALL {
                        self.room -= read;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.hear_of_reset(&error),
            }
        }
    }

    fn hear_of_reset(&mut self, error: &io::Error) {
        assert!(is_reset(error) || error.kind() == ErrorKind::NotConnected, "{error}");
        self.is_told_reset = true;
        self.outbox.clear();
    }

    /// What it waits for, which is always an error too, until the kernel knows of one.
    pub fn polled(&self) -> Option<PollFd<'_>> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLOUT, !self.outbox.is_empty());
        events.set(PollFlags::POLLIN, self.room > 0 && !self.is_over());
        let is_waiting = !self.is_through() && (!events.is_empty() || self.known.is_empty());
        let socket = self.socket.as_ref().filter(|_| is_waiting)?;
        Some(PollFd::new(socket.as_fd(), events))
    }

    /// Looks whether the kernel knows of a reset, and leaves it there to be told by a read or write. Behind an end nothing
    /// would tell it any more.
    pub fn look_for_reset(&mut self) {
        let Some(socket) = &self.socket else { return };
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::ZERO).unwrap();
        self.known |= polled[0].revents().unwrap_or(PollFlags::empty());
        if self.knows_of_reset() && self.is_told_end {
            self.is_told_reset = true;
            self.outbox.clear();
        }
    }

    /// Nothing more can come to it, nor will it do anything.
    pub fn is_through(&self) -> bool {
        self.gone.is_some() || self.is_told_reset || (self.is_told_end && self.is_finished)
    }

    /// It knows of a reset, or will when it reads on.
    pub fn knows_of_reset(&self) -> bool {
        self.is_told_reset || self.known.contains(PollFlags::POLLERR)
    }
}

fn put_out(socket: &TcpStream, out: &Out, tape: &Tape) -> io::Result<usize> {
    match out {
        Out::Bytes(most) => (&mut &*socket).write(tape.ahead(*most)),
        Out::Urgent => Ok(send(socket.as_raw_fd(), tape.ahead(1), MsgFlags::MSG_OOB)?),
        Out::End => socket.shutdown(Shutdown::Write).map(|()| 0),
    }
}
