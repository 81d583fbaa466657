//! Whatever the two sides of a connection do, in whatever order, each receives what the other has sent and its end.

mod case; // several connections at once, step by step, and what must have come of them
mod end; // one end of a connection: what it has still to send, what has arrived
mod step; // what an end does, and sequences of that

use std::cell::Cell;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

use crate::harness::{
    Between, bytes_in_pipes, descriptors, limit_open_files, next_number, until, until_in_state,
};
use case::Connections;
use step::Step;

/// Unless PROPTEST_CASES says otherwise.
const CASES: u32 = 300;
/// How often a shorter sequence is played to see whether it fails too, which may depend on the moment.
const ROUNDS: usize = 20;
/// Open files enough for the connections of one case.
const PLENTY: usize = 1000;
/// Of one case: each of two directions of each connection may leave one behind.
const SPARE_PIPE_ENDS: usize = 2 * 2 * step::CONNECTIONS;

/// Plays `cases` sequences, and shows the shortest of those that fail.
fn play(cases: u32, play: impl Fn(&[Step]) -> Result<(), TestCaseError>) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        // A sequence that wedges a connection costs its whole deadline, each time.
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let rounds = Cell::new(1);
    let played = TestRunner::new(config).run(&step::sequences(), |steps| {
        let mut played = (0..rounds.get()).map(|_| play(&steps));
        played.find(Result::is_err).unwrap_or(Ok(())).inspect_err(|_| rounds.set(ROUNDS))
    });
    if let Err(TestError::Fail(why, steps)) = &played {
        let steps: String = steps.iter().map(|step| format!("    {step}\n")).collect();
        panic!("{why}\nafter:\n{steps}");
    }
    played.unwrap();
}

fn cases(least: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(least, |cases| cases.parse().unwrap())
}

/// A helper that is awake and serves nobody.
struct Quiet {
    between: Between,
    pid: i32,
    /// What it had open with one connection that carried nothing. A pipe among it was inherited.
    begun: Vec<String>,
}

impl Quiet {
    fn new() -> Quiet {
        let between = Between::new();
        let _first = between.pair();
        between.host.event("web", "ready");
        let pid = between.host.pid();
        Quiet { pid, begun: descriptors(pid), between }
    }

    fn pipe_ends(&self) -> usize {
        let descriptors = descriptors(self.pid);
        descriptors.iter().filter(|link| link.starts_with("pipe:") && !self.begun.contains(link)).count()
    }

    /// Waits until all is closed that connections had open, but for spare pipes.
    #[track_caller]
    fn is_quiet_again(&self) {
        assert_eq!(self.between.host.pid(), self.pid, "the helper is another one");
        let others = || descriptors(self.pid).len() - self.pipe_ends();
        until("all sockets closed", || (others() <= self.begun.len() - 2).then_some(()));
    }
}

#[test]
fn whatever_the_two_sides_do_each_receives_what_the_other_sent_and_its_end() {
    let helper = Quiet::new();
    play(cases(CASES), |steps| case::play(&helper.between, Connections::new(), steps));
    helper.is_quiet_again();
    let spare = helper.pipe_ends();
    assert!(spare <= SPARE_PIPE_ENDS, "{spare} ends of pipes are kept");
    assert_eq!(bytes_in_pipes(helper.pid, &helper.begun), 0, "a pipe is kept that is not empty");
}

#[test]
fn the_same_is_true_where_no_pipe_is_to_be_had() {
    let helper = Quiet::new();
    helper.is_quiet_again();
    // What connections have had and given back is above it, and stays out of reach.
    let limit = next_number(helper.pid);
    play(cases(CASES / 3), |steps| {
        helper.is_quiet_again();
        limit_open_files(helper.pid, PLENTY);
        let connections = case::open_all(&helper.between);
        // What is reset before the helper knows that it has connected would need a descriptor for a question to the engine.
        until_in_state(helper.pid, 'S');
        limit_open_files(helper.pid, limit);
        case::play(&helper.between, connections, steps)
    });
    assert_eq!(helper.pipe_ends(), 0, "there was a pipe after all");
}
