//! What must be true of all that was recorded.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::act::{Act, Hand};
use super::scene::{Blow, Scene};
use super::talk::Talk;
use crate::harness::Call;

/// What has been decided needs a moment to be seen from outside.
const MOMENT: Duration = Duration::from_millis(200);
/// The same for an end that follows from something.
const SOON: Duration = Duration::from_secs(2);

/// A wake that failed, and until when clients are turned away for it.
struct Failed {
    at: Instant,
    until: Instant,
}

pub fn check(scene: &Scene) -> TestCaseResult {
    let calls = scene.recorder.all();
    one_at_a_time(&calls, &scene.blows)?;
    let failed = failures(scene);
    for wake in &failed {
        let upset = scene
            .blows
            .iter()
            .any(|blow| takes_down(blow) && blow.begun <= wake.at && wake.at <= blow.ended + SOON);
        prop_assert!(upset, "a wake failed though nobody interfered");
    }
    for (number, talk) in scene.talks.iter().enumerate() {
        served(scene, &calls, &failed, number, talk)?;
    }
    Ok(())
}

/// What changes a container is never asked while something else is; but what a helper leaves behind that is cut off is the
/// next one's to settle.
fn one_at_a_time(calls: &[Call], blows: &[Blow]) -> TestCaseResult {
    let changes =
        |call: &&Call| ["/start", "/stop", "/pause", "/unpause"].iter().any(|part| call.path.contains(part));
    let changes: Vec<_> = calls.iter().filter(|call| call.method == "POST").filter(changes).collect();
    for pair in changes.windows(2) {
        let ended = |blow: &Blow| {
            matches!(blow.act, Act::KillHelper | Act::EndHelper)
                && pair[0].asked <= blow.ended + MOMENT
                && blow.begun <= pair[1].asked
        };
        let over = (pair[0].cut_off && blows.iter().any(ended))
            || pair[0].answered.is_some_and(|answered| answered <= pair[1].asked);
        prop_assert!(over, "{} while {} was not answered", pair[1].path, pair[0].path);
    }
    Ok(())
}

fn failures(scene: &Scene) -> Vec<Failed> {
    let lines = scene.host.look(|facts| facts.events("web", "wake-failed"));
    let failed = lines.iter().map(|(at, line)| {
        let at = scene.begun + *at;
        // A start that goes on after its clients were turned away has no next try.
        let pause = line.split("next try in ").nth(1).map_or(Duration::ZERO, |pause| {
            humantime::parse_duration(pause.trim()).unwrap_or_else(|error| panic!("{line:?}: {error}"))
        });
        Failed { at, until: at + pause }
    });
    failed.collect()
}

fn takes_down(blow: &Blow) -> bool {
    matches!(blow.act, Act::Docker(Hand::Stop | Hand::Kill | Hand::Restart | Hand::Pause))
}

/// Every line that was sent is answered, unless something came between that may.
fn served(scene: &Scene, calls: &[Call], failed: &[Failed], number: usize, talk: &Talk) -> TestCaseResult {
    let heard = talk.heard();
    for (nth, answer) in heard.answers.iter().enumerate() {
        prop_assert_eq!(answer, &nth.to_string(), "client {}", number);
    }
    let (Some(ended), None) = (heard.ended, talk.cut) else { return Ok(()) };
    for (nth, sent) in talk.asked.iter().enumerate().skip(heard.answers.len()) {
        let blown = scene.blows.iter().any(|blow| match blow.act {
            // Only who asked before is kept waiting: a byte that comes afterwards thaws it.
            Act::Docker(Hand::Pause) => *sent <= blow.begun && blow.begun <= ended,
            Act::Docker(Hand::Unpause | Hand::Start) => false,
            _ => *sent <= blow.ended + SOON && blow.begun <= ended,
        });
        let put_to_sleep = calls.iter().filter(|call| call.fits("POST /stop")).any(|stop| {
            stop.asked <= *sent + MOMENT && stop.answered.is_none_or(|answered| ended <= answered + SOON)
        });
        let turned_away = failed.iter().any(|wake| *sent <= wake.until && wake.at <= ended + MOMENT);
        prop_assert!(
            blown || put_to_sleep || turned_away,
            "client {number}: no answer to its line {nth}, sent at {:?}, ended at {:?}, connected at {:?}",
            *sent - scene.begun,
            ended - scene.begun,
            talk.connected - scene.begun
        );
    }
    Ok(())
}
