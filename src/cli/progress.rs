//! The line on a terminal that tells what a wake waits for, and for how long.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::words::took;
use crate::clock::now_ms;
use crate::name::Name;
use crate::places;
use crate::record::{Record, State};
use crate::state;
use crate::terminal::{cut, harmless, width};

/// How often the line is written anew. Who wakes at once sees none.
const PERIOD: Duration = Duration::from_millis(200);

/// Does what may take long, and tells of it meanwhile if stderr is a terminal.
pub async fn shown<T>(name: &Name, done: impl Future<Output = T>) -> T {
    if !stderr().is_terminal() {
        return done.await;
    }
    let mut done = std::pin::pin!(done);
    let begun = Instant::now();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    period.tick().await;
    let width = width(stderr()).unwrap_or(80).saturating_sub(1);
    let mut is_drawn = false;
    loop {
        tokio::select! {
            biased;
            result = &mut done => {
                if is_drawn {
                    draw("");
                }
                return result;
            }
            _ = period.tick() => {
                // A state file that cannot be read costs the words, not the wake.
                let record = state::look(&places::states(), name).ok().flatten();
                let line = line(name, begun.elapsed(), record.as_ref(), now_ms());
                // A line that is broken could not be written anew.
                draw(&cut(&line, width));
                is_drawn = true;
            }
        }
    }
}

/// One line in place of the last one; a terminal that is gone ends nothing.
fn draw(text: &str) {
    let mut terminal = stderr().lock();
    let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
}

fn line(name: &Name, elapsed: Duration, record: Option<&Record>, now_ms: u64) -> String {
    let seconds = elapsed.as_secs_f64();
    let mut line = format!("waking {name}: {seconds:.1} s");
    // Any other word is an earlier one, from before it was asked to wake.
    let step = |record: &&Record| !matches!(record.doing(), State::Asleep | State::Awake | State::Paused);
    if let Some(record) = record.filter(step) {
        line.push_str(&format!(", {}", harmless(&record.why.text(now_ms))));
    }
    if let Some(usual) = record.and_then(Record::usual_wake) {
        line.push_str(&format!(" (usually {})", took(usual.as_millis() as u64)));
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::state::StateFile;
    use crate::why::Why;

    #[test]
    fn what_it_waits_for_is_told_and_nothing_from_before() {
        let (folder, name) = (tempfile::tempdir().unwrap(), Name::new("web").unwrap());
        let (file, _) = StateFile::open(folder.path(), &name).unwrap();
        let mut record = file.record().clone();
        let mut told = |state, why, recent: &[u64]| {
            (record.state, record.why, record.recent_wakes_ms) = (state, why, recent.into());
            line(&name, Duration::from_millis(1_250), Some(&record), now_ms())
        };
        let alone = "waking web: 1.2 s";
        assert_eq!(told(State::Asleep, Why::Unasked, &[]), alone);
        let failed = Why::Failed { reason: "no".into(), next_ms: 0 };
        assert_eq!(told(State::Asleep, failed, &[1_840]), format!("{alone} (usually 1.8 s)"));
        assert_eq!(
            told(State::Waking, Why::Starting, &[]),
            format!("{alone}, the engine starts its container")
        );
        let unready = Why::Unready { awaited: "its HEALTHCHECK to pass\n\x1b[2J".into() };
        assert_eq!(
            told(State::Awake, unready, &[65_000]),
            format!("{alone}, waiting for its HEALTHCHECK to pass \u{fffd}[2J (usually 1 min 5 s)")
        );
    }
}
