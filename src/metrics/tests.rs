use std::fs;

use tempfile::TempDir;

use super::*;
use crate::record::{LastFailure, Totals, VERSION, WAKE_BOUNDS_MS};
use crate::why::Why;

fn record(sidecar: &str) -> Record {
    Record {
        version: VERSION,
        sidecar: sidecar.into(),
        container: sidecar.into(),
        state: State::Awake,
        since_ms: 0,
        why: Why::Never,
        connections: 3,
        totals: Totals {
            wakes_ready: 4,
            wakes_late: 2,
            wakes_failed: 1,
            wake_times: [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            wake_time_ms: 301_350,
            connections: 17,
            bytes_up: 9_007_199_254_740_993,
            bytes_down: 12,
            awake_ms: 61_250,
            paused_ms: 0,
        },
        recent_wakes_ms: vec![],
        last_failure: None,
        holds: vec![],
        boot_id: "this".into(),
        container_id: None,
        started_at: None,
        failures: 0,
        pid: 1,
        written_ms: 0,
    }
}

fn text(sidecars: Vec<Sidecar>, format: Format) -> String {
    Found { sidecars, unreadable: vec![] }.text(format)
}

/// The value of a sample, by all that stands before it.
#[track_caller]
fn value<'a>(text: &'a str, sample: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
}

#[test]
fn what_was_stored_is_what_is_shown() {
    let shown = text(vec![Sidecar::new(record("web"), true, true)], Format::OpenMetrics);
    for (sample, expected) in [
        ("rouse_helper_up{sidecar=\"web\"}", "1"),
        ("rouse_wakes_total{sidecar=\"web\",result=\"ready\"}", "4"),
        ("rouse_wakes_total{sidecar=\"web\",result=\"late\"}", "2"),
        ("rouse_wakes_total{sidecar=\"web\",result=\"failed\"}", "1"),
        ("rouse_connections_total{sidecar=\"web\"}", "17"),
        ("rouse_open_connections{sidecar=\"web\"}", "3"),
        // More than a float could tell apart.
        ("rouse_bytes_total{sidecar=\"web\",direction=\"up\"}", "9007199254740993"),
        ("rouse_bytes_total{sidecar=\"web\",direction=\"down\"}", "12"),
        ("rouse_awake_seconds_total{sidecar=\"web\"}", "61.25"),
        ("rouse_paused_seconds_total{sidecar=\"web\"}", "0.0"),
    ] {
        assert_eq!(value(&shown, sample), expected, "{sample}");
    }
    assert!(shown.ends_with("\n# EOF\n"), "{shown}");
}

#[test]
fn a_sidecar_is_in_exactly_one_state() {
    for state in State::ALL {
        let shown =
            text(vec![Sidecar::new(Record { state, ..record("web") }, true, true)], Format::OpenMetrics);
        for other in State::ALL {
            let sample = format!("rouse_sidecar_state{{sidecar=\"web\",state=\"{}\"}}", other.name());
            assert_eq!(value(&shown, &sample), if other == state { "1" } else { "0" });
        }
    }
}

#[test]
fn it_wakes_until_its_first_client_is_let_through() {
    let unready = Why::Unready { awaited: "its HEALTHCHECK to pass".into() };
    let waking = Record { state: State::Awake, why: unready, ..record("web") };
    assert_eq!(Sidecar::new(waking.clone(), true, true).state, State::Waking);
    assert_eq!(Sidecar::new(waking, false, true).state, State::Awake);
}

#[test]
fn no_number_is_too_large_to_be_shown() {
    let most = u64::MAX;
    let totals = Totals {
        wakes_ready: most,
        wakes_late: most,
        wakes_failed: most,
        wake_times: [most; 13],
        wake_time_ms: most,
        connections: most,
        bytes_up: most,
        bytes_down: most,
        awake_ms: most,
        paused_ms: most,
    };
    let failure = Some(LastFailure { at_ms: most, reason: "it died".into() });
    let huge = Record { totals, last_failure: failure, connections: usize::MAX, ..record("web") };
    let shown = text(vec![Sidecar::new(huge, true, true)], Format::OpenMetrics);
    for sample in
        ["bytes_total{sidecar=\"web\",direction=\"up\"}", "wake_duration_seconds_count{sidecar=\"web\"}"]
    {
        assert_eq!(value(&shown, &format!("rouse_{sample}")), most.to_string(), "{sample}");
    }
}

#[test]
fn the_histogram_has_the_stored_counts_and_adds_them_up() {
    let shown = text(vec![Sidecar::new(record("web"), true, true)], Format::OpenMetrics);
    let bucket = |le: &str| {
        value(&shown, &format!("rouse_wake_duration_seconds_bucket{{le=\"{le}\",sidecar=\"web\"}}"))
    };
    let expected = [0, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3];
    for (bound, count) in WAKE_BOUNDS_MS.into_iter().zip(expected) {
        assert_eq!(bucket(&format!("{:?}", bound as f64 / 1000.0)), count.to_string(), "{bound}");
    }
    assert_eq!(bucket("+Inf"), "4");
    assert_eq!(value(&shown, "rouse_wake_duration_seconds_count{sidecar=\"web\"}"), "4");
    assert_eq!(value(&shown, "rouse_wake_duration_seconds_sum{sidecar=\"web\"}"), "301.35");
}

#[test]
fn without_a_helper_nothing_is_connected_and_the_container_is_as_it_was_left() {
    let killed = Sidecar::new(record("web"), false, true);
    assert_eq!((killed.state, killed.has_helper, killed.open_connections), (State::Awake, false, 0));
    assert_eq!(killed.record.totals, record("web").totals);
    let before_a_boot = Sidecar::new(record("web"), false, false);
    assert_eq!((before_a_boot.state, before_a_boot.open_connections), (State::Asleep, 0));
    assert_eq!(before_a_boot.record.totals, record("web").totals);
}

#[test]
fn a_failure_is_shown_once_there_was_one() {
    let name = "rouse_last_failure_timestamp_seconds{";
    let healthy = text(vec![Sidecar::new(record("web"), true, true)], Format::OpenMetrics);
    assert!(!healthy.contains(name), "{healthy}");
    let failure = Some(LastFailure { at_ms: 1_700_000_000_250, reason: "it died".into() });
    let failed = Sidecar::new(Record { last_failure: failure, ..record("web") }, true, true);
    let shown = text(vec![failed], Format::OpenMetrics);
    assert_eq!(value(&shown, &format!("{name}sidecar=\"web\"}}")), "1700000000.25");
}

#[test]
fn both_formats_have_the_same_samples() {
    let both = || vec![Sidecar::new(record("a"), true, true), Sidecar::new(record("b"), false, false)];
    let samples = |format| -> Vec<String> {
        text(both(), format).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(Format::OpenMetrics), samples(Format::Classic));
    assert!(samples(Format::Classic).len() > 50);
}

#[test]
fn the_classic_format_names_counters_as_their_samples() {
    let classic = text(vec![Sidecar::new(record("web"), true, true)], Format::Classic);
    for line in [
        "# TYPE rouse_wakes_total counter",
        "# TYPE rouse_bytes_total counter",
        "# TYPE rouse_awake_seconds_total counter",
        "# TYPE rouse_wake_duration_seconds histogram",
        "# TYPE rouse_open_connections gauge",
    ] {
        assert!(classic.lines().any(|found| found == line), "{line}\n{classic}");
    }
    assert!(!classic.contains("# UNIT") && !classic.contains("# EOF"), "{classic}");
}

#[test]
fn a_broken_file_is_named_and_the_others_are_shown() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let stored = |sidecar: &str| serde_json::to_string(&record(sidecar)).unwrap();
    write("a.json", &stored("a"));
    write("torn.json", &stored("torn")[..100]);
    write("moved.json", &stored("another"));
    write("z.json", &stored("z"));
    let found = read(directory.path()).unwrap();
    let names: Vec<&str> = found.sidecars.iter().map(|sidecar| sidecar.name.as_str()).collect();
    assert_eq!(names, ["a", "z"]);
    assert_eq!(found.unreadable.len(), 2, "{:?}", found.unreadable);
    assert!(found.unreadable[0].starts_with("moved is left out"), "{:?}", found.unreadable);
    assert!(found.unreadable[1].contains("torn.json"), "{:?}", found.unreadable);
}

#[test]
fn no_state_at_all_is_no_sidecar() {
    let nothing = read(Path::new("/nonexistent/rouse")).unwrap();
    assert!(nothing.sidecars.is_empty() && nothing.unreadable.is_empty());
}
