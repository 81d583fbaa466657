//! Deadlines instead of sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that has no time of its own; generous, since it is only waited out by a failure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Looks again and again until `look` has something; panics with `what` after `DEADLINE`.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
