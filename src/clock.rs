//! The time of day as state files have it, and times as people read them best.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds of Unix time.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

/// How long something lasts, in its two largest units: `3 min 12 s`, `58 min`, `2 d 4 h`.
pub fn span(duration: Duration) -> String {
    // Half a second more or less is nothing that anybody reads.
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let shown = parts.iter().skip(first).take(2).enumerate();
    let words = shown.filter(|(place, (count, _))| *place == 0 || *count > 0);
    words.map(|(_, (count, unit))| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// The moment that is so far away from now.
pub fn after(wait: Duration, now_ms: u64) -> u64 {
    now_ms.saturating_add(wait.as_millis() as u64)
}

/// From now until then, nothing if that is past.
pub fn until(then_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(then_ms.saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::span;

    #[test]
    fn two_units_at_most_and_no_zeros() {
        let spans = [0, 8, 192, 3_480, 3_600, 3_601, 86_400 + 59, 2 * 86_400 + 4 * 3_600]
            .map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0 s", "8 s", "3 min 12 s", "58 min", "1 h", "1 h", "1 d", "2 d 4 h"]);
        assert_eq!(span(Duration::from_millis(499)), "0 s");
        assert_eq!(span(Duration::from_millis(59_500)), "1 min");
    }
}
