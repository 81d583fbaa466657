//! Several connections at once, step by step, and what must have come of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollTimeout, poll};
use proptest::test_runner::TestCaseError;

use super::end::{End, Gone};
use super::step::{Act, CONNECTIONS, Side, Step, TOO_MUCH};
use crate::harness::Between;

/// How long anything may take; a case takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where nothing has happened for so long, nothing will: a full buffer on the way is seen by that alone.
const STILL: Duration = Duration::from_millis(10);

/// The connections of one case by number, each with its client and its server.
pub type Connections = BTreeMap<usize, [End; 2]>;

/// All that any case uses.
pub fn open_all(between: &Between) -> Connections {
    (0..CONNECTIONS).map(|number| (number, open(between, number))).collect()
}

/// Plays `steps` on `connections` and those that they open, lets everybody who is left send the rest, end and read on, and judges.
pub fn play(between: &Between, mut connections: Connections, steps: &[Step]) -> Result<(), TestCaseError> {
    for step in steps {
        let number = step.connection;
        let ends = connections.entry(number).or_insert_with(|| open(between, number));
        let (own, other) = (step.side as usize, 1 - step.side as usize);
        ends[own].apply(step.act);
        let promised = ends[other].promised();
        match step.act {
            Act::CatchUp => go_on_until(&mut connections, &step.to_string(), |all| {
                let own = &all[&number][own];
                own.received.passed() >= promised || own.gone.is_some() || own.is_over()
            })?,
            Act::Choke => {
                ends[other].apply(Act::Send(TOO_MUCH));
                go_on_until_still(&mut connections)?;
            }
            _ => {}
        }
        connections.values_mut().flatten().for_each(End::go_on);
    }
    go_on_until(&mut connections, "resets", |all| {
        both_ways(all).all(|(own, other)| knows_its_reset(own, other))
    })?;
    for end in connections.values_mut().flatten() {
        end.apply(Act::ReadOn);
        end.apply(Act::HalfClose);
    }
    go_on_until(&mut connections, "the end", |all| both_ways(all).all(|(own, _)| own.is_through()))?;
    for (number, [client, server]) in &connections {
        for (side, own, other) in [(Side::Client, client, server), (Side::Server, server, client)] {
            judge(own, other).map_err(|why| fail(&format!("{number} {side:?}: {why}"), &connections))?;
        }
    }
    Ok(())
}

fn open(between: &Between, number: usize) -> [End; 2] {
    let pair = between.pair();
    let [up, down] = [2 * number, 2 * number + 1];
    [End::new(pair.client, up, down), End::new(pair.server, down, up)]
}

/// Each end with the other one of its connection.
fn both_ways(connections: &Connections) -> impl Iterator<Item = (&End, &End)> {
    connections.values().flat_map(|[client, server]| [(client, server), (server, client)])
}

/// Who reads nothing, sends nothing and has had the other's end must still be told of its reset.
fn knows_its_reset(own: &End, other: &End) -> bool {
    let is_due = other.gone == Some(Gone::Reset) && !(own.is_finished && other.is_finished);
    !is_due || own.gone.is_some() || own.knows_of_reset()
}

/// What `own` has seen, held against what `other` has done.
fn judge(own: &End, other: &End) -> Result<(), &'static str> {
    let is_whole = own.received.passed() == other.sent.passed();
    match other.gone {
        _ if own.is_garbled => Err("received what nobody sent"),
        _ if own.received.passed() > other.sent.passed() => Err("received more than was sent"),
        _ if own.gone.is_some() => Ok(()),
        _ if own.is_told_end && !is_whole => Err("an end came before all that was sent"),
        None if own.is_told_reset => Err("was reset, and nobody did that"),
        Some(Gone::Reset) if own.is_told_end && !other.is_finished => Err("a reset passed for an end"),
        _ => Ok(()),
    }
}

/// Lets all ends go on until `is_reached`.
fn go_on_until(
    connections: &mut Connections,
    what: &str,
    is_reached: impl Fn(&Connections) -> bool,
) -> Result<(), TestCaseError> {
    let begun = Instant::now();
    loop {
        connections.values_mut().flatten().for_each(End::go_on);
        if is_reached(connections) {
            return Ok(());
        }
        wait(connections, PATIENCE.saturating_sub(begun.elapsed()));
        if begun.elapsed() >= PATIENCE {
            return Err(fail(&format!("{what}: not within {PATIENCE:?}"), connections));
        }
        connections.values_mut().flatten().for_each(End::look_for_reset);
    }
}

/// Lets all ends go on until none of them can.
fn go_on_until_still(connections: &mut Connections) -> Result<(), TestCaseError> {
    let begun = Instant::now();
    while wait(connections, STILL) {
        connections.values_mut().flatten().for_each(End::go_on);
        connections.values_mut().flatten().for_each(End::look_for_reset);
        if begun.elapsed() >= PATIENCE {
            return Err(fail(&format!("still on the move after {PATIENCE:?}"), connections));
        }
    }
    Ok(())
}

/// Whether something happens at one of the ends within `limit`.
fn wait(connections: &Connections, limit: Duration) -> bool {
    let mut polled: Vec<PollFd<'_>> = connections.values().flatten().filter_map(End::polled).collect();
    poll(&mut polled, PollTimeout::try_from(limit).unwrap()).unwrap() > 0
}

fn fail(why: &str, connections: &Connections) -> TestCaseError {
    let sides = |(number, [client, server]): (&usize, &[End; 2])| {
        format!("\n    {number} Client: {client:?}\n    {number} Server: {server:?}")
    };
    TestCaseError::fail(why.to_owned() + &connections.iter().map(sides).collect::<String>())
}
