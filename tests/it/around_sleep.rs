//! Clients that come at any moment around the end of a helper.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Container, Dice, Host, Kind, Plan};

/// Each lane has a container and a helper of its own; together they make 200 rounds.
const LANES: u64 = 2;
const ROUNDS: u64 = 100;

/// A time below `limit`.
fn some(dice: &mut Dice, limit: Duration) -> Duration {
    Duration::from_micros(dice.roll(limit.as_micros() as usize) as u64)
}

/// A client that comes at a random moment from shortly before the decision to sleep until after the helper's end.
fn one_round(host: &Host, dice: &mut Dice, round: u64) -> Duration {
    let wait = Duration::from_millis(120) + some(dice, Duration::from_millis(500));
    thread::sleep(wait);
    let begun = Instant::now();
    let word = format!("round-{round}");
    let answer = host.connect("web").try_ask(&format!("echo {word}"));
    assert_eq!(
        answer.as_ref().ok(),
        Some(&word),
        "round {round}, {wait:?} after the last answer: {answer:?}"
    );
    begun.elapsed()
}

/// How often the container was stopped, how many helpers there were, and how long each client waited.
fn run_lane(lane: u64) -> (usize, usize, Vec<Duration>) {
    let web = Container::new("web", "");
    // The engine takes up to a second to tell the CPU time, which would put the stop at another moment.
    let keys = "idle_timeout = \"200ms\"\nbusy_cpu = 0";
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    let mut dice = Dice::new(lane);
    let waits = (0..ROUNDS).map(|round| one_round(&host, &mut dice, round)).collect();
    assert!(host.look(|facts| facts.exits.iter().all(|(_, status)| status.success())));
    host.look(|facts| (facts.events("web", "slept").len(), facts.starts.len(), waits))
}

#[test]
fn of_two_hundred_clients_around_the_idle_stop_every_one_is_answered() {
    let lanes: Vec<_> =
        (0..LANES).map(|lane| thread::Builder::new().spawn(move || run_lane(lane)).unwrap()).collect();
    let (mut stops, mut helpers, mut longest) = (0, 0, Duration::ZERO);
    for lane in lanes {
        let (slept, started, waits) = lane.join().unwrap();
        stops += slept;
        helpers += started;
        longest = waits.into_iter().fold(longest, Duration::max);
    }
    let sum =
        format!("{} clients, {stops} stops, {helpers} helpers, the longest wait {longest:?}", LANES * ROUNDS);
    println!("{sum}");
    assert!(stops > 60 && helpers > 4, "too few rounds were near a stop: {sum}");
    assert!(longest < Duration::from_secs(10), "a client waited {longest:?}");
}

#[test]
fn bursts_of_clients_around_the_idle_stop_are_all_answered() {
    let web = Container::new("web", "");
    // The engine takes up to a second to tell the CPU time, which would put the stop at another moment.
    let keys = "idle_timeout = \"200ms\"\nbusy_cpu = 0";
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    let mut dice = Dice::new(42);
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(150) + some(&mut dice, Duration::from_millis(250)));
        thread::scope(|scope| {
            for number in 0..8 {
                let (host, wait) = (&host, some(&mut dice, Duration::from_millis(120)));
                scope.spawn(move || {
                    thread::sleep(wait);
                    assert_eq!(host.connect("web").ask(&format!("echo {number}")), number.to_string());
                });
            }
        });
    }
}
