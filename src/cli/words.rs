//! Figures as people read them.

use std::time::Duration;

use crate::clock::{span, until};

/// How long ago something was, in its largest unit.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    let span = span(until(now_ms, then_ms));
    let largest: Vec<_> = span.split(' ').take(2).collect();
    format!("{} ago", largest.join(" "))
}

/// How long something took: `340 ms`, `1.2 s`, `1 min 5 s`.
pub fn took(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        // Below ten even when rounded.
        1_000..9_950 => format!("{:.1} s", ms as f64 / 1_000.0),
        _ => span(Duration::from_millis(ms)),
    }
}

/// An amount of bytes, in powers of 1000: `999 B`, `1.2 kB`, `34 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut scaled = count as f64 / 1_000.0;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1_000.0;
        unit += 1;
    }
    let digits = usize::from(scaled < 9.95);
    format!("{scaled:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::{ago, bytes, took};

    #[test]
    fn figures_have_two_or_three_digits() {
        let counts = [0, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 1_250_000_000, u64::MAX].map(bytes);
        assert_eq!(
            counts,
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "1.2 GB", "18 EB"]
        );
        let times = [0, 340, 1_240, 9_949, 9_950, 65_000].map(took);
        assert_eq!(times, ["0 ms", "340 ms", "1.2 s", "9.9 s", "10 s", "1 min 5 s"]);
        assert_eq!([ago(0, 192_000), ago(5, 0)], ["3 min ago", "0 s ago"]);
    }
}
