//! The line on a terminal that tells what a wake waits for, and for how long.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{now_ms, span};
use crate::name::Name;
use crate::places;
use crate::record::Record;
use crate::state;
use crate::terminal::{Terminal, When, cut, harmless};

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
    let width = Terminal::of_output(When::Auto).width.unwrap_or(80).saturating_sub(1);
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
    if let Some(record) = record {
        line.push_str(&format!(", {}", harmless(&record.why.text(now_ms))));
        if let Some(usual) = record.usual_wake() {
            line.push_str(&format!(" (usually {})", brief(usual)));
        }
    }
    line
}

fn brief(usual: Duration) -> String {
    match usual.as_secs() {
        0..10 => format!("{:.1} s", usual.as_secs_f64()),
        _ => span(usual),
    }
}
