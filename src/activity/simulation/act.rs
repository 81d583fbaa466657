//! What others do to a sidecar, and sequences of that.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::activity::Rules;

/// Above it the container is busy, where that counts.
pub const MARK: u32 = 10;

/// What somebody else does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A client comes, and is accepted so much later.
    Connect(Duration),
    /// A byte from the client.
    Up(usize),
    /// A byte from the container.
    Down(usize),
    /// The client has sent all.
    UpEnd(usize),
    /// The container has sent all.
    DownEnd(usize),
    /// The connection is over.
    End(usize),
    Hold,
    Release,
    /// Another sidecar needs the group.
    Yield,
    /// From now on the container uses so many percent of a core.
    Cpu(u32),
    Reload(Rules),
    /// By hand.
    Freeze,
    Thaw,
    /// The engine is away, or back.
    Away(bool),
    /// From now on the engine takes so long, and refuses to pause and stop or does not.
    Engine(Duration, bool),
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

pub fn rules() -> impl Strategy<Value = Rules> {
    let idle = option::weighted(0.9, millis(300..20_000));
    let reply = prop_oneof![millis(100..3_000), millis(1_000..60_000)];
    let busy = option::weighted(0.7, Just(MARK));
    (idle, option::of(millis(200..10_000)), prop::bool::weighted(0.2), reply, busy).prop_map(
        |(idle_timeout, pause_after, connections_are_use, reply_timeout, busy_cpu)| Rules {
            idle_timeout,
            pause_after,
            connections_are_use,
            reply_timeout,
            busy_cpu,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let which = || 0..4usize;
    let coming = prop_oneof![3 => Just(Duration::ZERO), 1 => millis(1..400)];
    let takes = prop_oneof![3 => millis(0..30), 1 => millis(0..1200)];
    prop_oneof![
        4 => coming.prop_map(Act::Connect),
        6 => which().prop_map(Act::Up),
        6 => which().prop_map(Act::Down),
        1 => which().prop_map(Act::UpEnd),
        1 => which().prop_map(Act::DownEnd),
        3 => which().prop_map(Act::End),
        2 => Just(Act::Hold),
        3 => Just(Act::Release),
        3 => Just(Act::Yield),
        3 => prop_oneof![Just(0), Just(3), Just(40), Just(100)].prop_map(Act::Cpu),
        2 => rules().prop_map(Act::Reload),
        1 => Just(Act::Freeze),
        2 => Just(Act::Thaw),
        1 => Just(Act::Away(true)),
        2 => Just(Act::Away(false)),
        2 => (takes, prop::bool::weighted(0.2)).prop_map(|(takes, refuses)| Act::Engine(takes, refuses)),
    ]
}

pub fn acts() -> impl Strategy<Value = Vec<(Duration, Act)>> {
    let gap = prop_oneof![2 => Just(Duration::ZERO), 3 => millis(0..300), 4 => millis(0..3_000), 2 => millis(0..40_000)];
    vec((gap, act()), 1..80)
}
