//! What is done to one sidecar, and sequences of that.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// One thing that somebody does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Connect,
    /// Sends a line that is to be answered.
    Ask(usize),
    HalfClose(usize),
    Reset(usize),
    Hold,
    Release,
    Reload(Limits),
    /// Somebody's hand.
    Docker(Hand),
    /// SIGKILL.
    KillHelper,
    /// SIGTERM.
    EndHelper,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hand {
    Pause,
    Unpause,
    Stop,
    Kill,
    Start,
    Restart,
}

/// What the configuration says of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub idle_timeout: Duration,
    pub pause_after: Option<Duration>,
}

impl Limits {
    pub fn keys(&self) -> String {
        let pause = self.pause_after.map(|after| format!("pause_after = \"{}ms\"\n", after.as_millis()));
        let idle = self.idle_timeout.as_millis();
        // A frozen one owes its answers until somebody thaws it.
        let fixed = "busy_cpu = 0\nreply_timeout = \"2s\"\n";
        format!("idle_timeout = \"{idle}ms\"\n{}{fixed}", pause.unwrap_or_default())
    }
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn limits() -> impl Strategy<Value = Limits> {
    (millis(300..600), option::weighted(0.7, millis(50..250)))
        .prop_map(|(idle_timeout, pause_after)| Limits { idle_timeout, pause_after })
}

fn act() -> impl Strategy<Value = Act> {
    let hand = prop_oneof![
        2 => Just(Hand::Pause),
        2 => Just(Hand::Unpause),
        1 => Just(Hand::Stop),
        1 => Just(Hand::Kill),
        1 => Just(Hand::Start),
        1 => Just(Hand::Restart),
    ];
    prop_oneof![
        6 => Just(Act::Connect),
        14 => (0..5usize).prop_map(Act::Ask),
        1 => (0..5usize).prop_map(Act::HalfClose),
        1 => (0..5usize).prop_map(Act::Reset),
        1 => Just(Act::Hold),
        4 => Just(Act::Release),
        1 => limits().prop_map(Act::Reload),
        3 => hand.prop_map(Act::Docker),
        1 => prop_oneof![Just(Act::KillHelper), Just(Act::EndHelper)],
    ]
}

pub fn sequences() -> impl Strategy<Value = (Limits, Vec<(Duration, Act)>)> {
    let gap = prop_oneof![3 => Just(Duration::ZERO), 3 => millis(0..100), 4 => millis(100..800)];
    (limits(), vec((gap, act()), 15..28))
}
