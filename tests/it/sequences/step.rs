//! What an end does, and sequences of that.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

/// At most so many connections have a part in one sequence.
pub const CONNECTIONS: usize = 6;
/// More than all buffers on the way hold together.
pub const TOO_MUCH: usize = 20 << 20;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Client,
    Server,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Sends so many bytes.
    Send(usize),
    /// Sends `pieces` of `size` bytes, each in a segment of its own.
    Burst { pieces: usize, size: usize },
    /// Sends one byte, and calls it urgent.
    Urgent,
    /// Reads so many bytes and then no more.
    Read(usize),
    /// Reads all from now on, as it does from the beginning.
    ReadOn,
    /// The same, and everybody waits until it has all that the other side was to send.
    CatchUp,
    /// Reads no more.
    Stall,
    /// Reads no more, while the other side sends more than all buffers on the way hold, until nothing moves.
    Choke,
    /// Ends its own direction, once all is sent.
    HalfClose,
    /// Ends with a reset, at once.
    Reset,
    /// Is closed at once: with an end, or a reset if it has not read all.
    Close,
}

/// Who does what; the connection is made by its first step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub connection: usize,
    pub side: Side,
    pub act: Act,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?}: {:?}", self.connection, self.side, self.act)
    }
}

pub fn sequences() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    let connection = prop_oneof![Just(0), 0..CONNECTIONS];
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    (connection, side, act()).prop_map(|(connection, side, act)| Step { connection, side, act })
}

fn act() -> impl Strategy<Value = Act> {
    // A pipe has sixteen slots, whatever its bytes.
    let pieces = prop_oneof![15..=17_usize, 1..=40_usize];
    prop_oneof![
        8 => size().prop_map(Act::Send),
        4 => (pieces, 1..=100_usize).prop_map(|(pieces, size)| Act::Burst { pieces, size }),
        2 => Just(Act::Urgent),
        2 => size().prop_map(Act::Read),
        2 => Just(Act::ReadOn),
        3 => Just(Act::CatchUp),
        3 => Just(Act::Stall),
        1 => Just(Act::Choke),
        1 => Just(Act::HalfClose),
        1 => Just(Act::Reset),
        1 => Just(Act::Close),
    ]
}

/// Small ones more often; the largest do not go into the buffers at once.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => Just(1),
        4 => Just(10),
        4 => Just(100),
        4 => Just(4096),
        4 => Just(1 << 16),
        2 => 1..=1_usize << 21,
        1 => Just(6 << 20),
    ]
}
