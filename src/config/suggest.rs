//! The key that was meant.

/// The one of `known` that `key`, of a file or a command line, is most likely a slip of.
pub fn closest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    // A long key has few near neighbours, and the distance below is quadratic.
    if key.len() > 40 {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let (distance, nearest) = known.iter().map(|known| (distance(&key, known), *known)).min()?;
    (distance <= 1 + nearest.len() / 5).then_some(nearest)
}

/// How many characters have to be added, left out, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = last[j] + usize::from(a != b);
            let mut least = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{closest, distance};

    const KNOWN: &[&str] = &["container", "idle", "idle_timeout", "port", "wake_timeout", "max_waiting"];

    #[test]
    fn measures_slips_of_the_keyboard() {
        for (from, to, slips) in
            [("port", "port", 0), ("prot", "port", 1), ("por", "port", 1), ("", "ab", 2), ("ab", "", 2)]
        {
            assert_eq!(distance(from, to), slips, "{from} {to}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        for (key, meant) in [
            ("idle-timeout", Some("idle_timeout")),
            ("Idle_Timeout", Some("idle_timeout")),
            ("idletimeout", Some("idle_timeout")),
            ("contianer", Some("container")),
            ("ports", Some("port")),
            ("max_wating", Some("max_waiting")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(key, KNOWN), meant, "{key}");
        }
    }

    #[test]
    fn gives_up_on_what_nobody_mistyped() {
        assert_eq!(closest(&"x".repeat(100_000), KNOWN), None);
        assert_eq!(closest("port", &[]), None);
    }
}
