//! Whoever looks is told why a sidecar is as it is.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Action, Container, Gate, Host, Plan, Recorder, Town, leave, output, until};

/// Longer than any test, and without the wait for readings of the CPU time.
const LONG: &str = "busy_cpu = 0\nidle_timeout = \"20m\"\n";

/// `web` on its container in a town, and its host.
fn web(web: &Container, keys: &str) -> (Town, Host) {
    let town = Town::new(&web.sidecar("web", keys));
    let host = town.plan(&["web"]).listen();
    (town, host)
}

/// What `rouse status` says of the one sidecar.
#[track_caller]
fn seen(town: &Town) -> Value {
    let done = output(&mut town.rouse(&["status", "--json"]));
    assert!(done.status.success(), "{done:?}");
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
    seen[0].clone()
}

/// The same as soon as this is why: its helper writes every ten seconds.
#[track_caller]
fn seen_as(town: &Town, kind: &str) -> Value {
    until(kind, || Some(seen(town)).filter(|seen| seen["why"]["kind"] == kind))
}

#[track_caller]
fn text(seen: &Value) -> &str {
    seen["text"].as_str().unwrap()
}

/// Its state, and whether its container is up.
#[track_caller]
fn is(seen: &Value, state: &str, running: bool) {
    assert_eq!((&seen["state"], &seen["running"]), (&json!(state), &json!(running)), "{seen}");
}

#[test]
fn held_and_for_how_long() {
    let container = Container::new("web", "");
    let (town, _host) = web(&container, LONG);
    let kept = town.control("web").hold("cron");
    let held = seen_as(&town, "held");
    is(&held, "awake", true);
    assert_eq!(held["why"]["by"], json!([{"by": "cron", "requires": false, "until_ms": null}]));
    assert_eq!(text(&held), "held by cron");
    assert_eq!(town.control("web").post("hold?by=backup&for=1h").0, 200);
    drop(kept);
    let held = until("the longer one alone", || {
        Some(seen(&town)).filter(|seen| seen["why"]["by"].as_array().is_some_and(|by| by.len() == 1))
    });
    assert!(held["why"]["by"][0]["until_ms"].is_u64(), "{held}");
    assert!(["held by backup for 1 h", "held by backup for 59 min 59 s"].contains(&text(&held)), "{held}");
    let table = String::from_utf8(output(&mut town.rouse(&["status"])).stdout).unwrap();
    assert!(table.contains("held by backup for "), "{table}");
}

#[test]
fn owes_an_answer() {
    let container = Container::new("web", "");
    let (town, host) = web(&container, LONG);
    let mut client = host.connect("web");
    client.ask("echo one");
    client.write_all(b"silent 60\n").unwrap();
    let owes = seen_as(&town, "owes");
    is(&owes, "awake", true);
    assert_eq!((&owes["why"]["answers"], text(&owes)), (&json!(1), "owes 1 answer"), "{owes}");
    assert_eq!(owes["connections"], 1, "{owes}");
}

#[test]
fn busy() {
    let container = Container::new("web", "");
    let (town, host) = web(&container, "idle_timeout = \"1s\"");
    assert_eq!(host.connect("web").ask("burn 60"), "burning");
    let busy = seen_as(&town, "busy");
    is(&busy, "awake", true);
    let percent = busy["why"]["percent"].as_u64().unwrap();
    assert!((10..1_000).contains(&percent), "{busy}");
    assert_eq!(text(&busy), format!("busy: {percent} % CPU"));
}

#[test]
fn unused_until_it_pauses_and_then_until_it_sleeps() {
    let container = Container::new("web", "");
    // Longer than the ten seconds between two writings of its state.
    let (town, host) = web(&container, "busy_cpu = 0\npause_after = \"15s\"\nidle_timeout = \"5m\"");
    host.connect("web").ask("echo one");
    let awake = seen_as(&town, "unused");
    is(&awake, "awake", true);
    assert_eq!(awake["why"]["next"], "pause", "{awake}");
    host.event("web", "paused");
    let paused = until("paused", || Some(seen(&town)).filter(|seen| seen["why"]["next"] == "sleep"));
    is(&paused, "paused", true);
    assert_eq!(paused["engine"], "paused", "{paused}");
    assert!(text(&paused).starts_with("sleeps in "), "{paused}");
}

#[test]
fn waking_until_the_first_client_is_let_through_wherever_one_looks() {
    let container = Container::new("web", "");
    let keys = "ready = \"log:^never said$\"\nwake_timeout = \"1m\"\nidle_timeout = \"never\"";
    let (town, host) = web(&container, keys);
    let _client = host.connect("web");
    let waking = seen_as(&town, "unready");
    is(&waking, "waking", true);
    assert_eq!(text(&waking), "waiting for a line of its log that matches ^never said$");
    let shown = town.control("web").show();
    assert_eq!((&shown["state"], &shown["running"]), (&json!("waking"), &json!(true)), "{shown}");
    let metrics = String::from_utf8(output(&mut town.rouse(&["metrics"])).stdout).unwrap();
    assert!(metrics.contains("rouse_sidecar_state{sidecar=\"web\",state=\"waking\"} 1\n"), "{metrics}");
    assert!(metrics.contains("rouse_sidecar_state{sidecar=\"web\",state=\"awake\"} 0\n"), "{metrics}");
}

#[test]
fn a_container_that_was_found_running_is_awake_as_soon_as_its_first_client_is_answered() {
    let container = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let (town, host) = web(&container, &format!("{LONG}engine = \"unix://{}\"\n", recorder.path().display()));
    container.start();
    host.start();
    host.event("web", "adopted");
    // Past all that its helper has to say of the adoption, and to ask.
    host.never("web", "slept", Duration::from_secs(1));
    until("the adoption's looks", || {
        let looks = recorder.calls("GET /json");
        (looks.len() == 2 && looks.iter().all(|look| look.answered.is_some())).then_some(())
    });
    let (inspected, gate) = (AtomicUsize::new(0), Gate::shut());
    let behind = gate.clone();
    let second_waits = move || {
        if inspected.fetch_add(1, Ordering::Relaxed) == 1 {
            behind.pass();
        }
    };
    recorder.rule("GET /json", Action::Before(Box::new(second_waits)));
    let mut client = host.connect("web");
    client.ask("echo one");
    let awake = seen(&town);
    is(&awake, "awake", true);
    assert_eq!(awake["totals"]["wakes_ready"], 0, "it was up already: {awake}");
    assert_eq!(awake["totals"]["wake_times"], json!(vec![0; 13]), "{awake}");
    gate.open();
}

#[test]
fn a_failed_wake_and_when_the_next_one_may_be_tried() {
    let container = Container::running("web", &[], &["sh", "-c", "exit 3"]);
    let (town, host) = web(&container, LONG);
    assert!(host.connect("web").try_ask("echo one").is_err());
    let failed = seen_as(&town, "failed");
    is(&failed, "asleep", false);
    let (next, at) = (&failed["why"]["next_ms"], &failed["last_failure"]["at_ms"]);
    let wait = next.as_u64().unwrap() - at.as_u64().unwrap();
    assert!((900..=1_000).contains(&wait), "{failed}");
    assert!(text(&failed).starts_with("wake failed: ") && text(&failed).contains("exit code 3"), "{failed}");
    assert_eq!((&failed["totals"]["wakes_failed"], &failed["usual_wake_ms"]), (&json!(1), &Value::Null));
    host.exit();
    let after = seen(&town);
    assert!(text(&after).ends_with(", the next connection tries again"), "{after}");
    assert_eq!(after["last_failure"], failed["last_failure"]);
}

#[test]
fn an_engine_that_cannot_be_reached() {
    let town = Town::new("[sidecar.web]\nengine = \"unix:///nowhere/engine.sock\"\n");
    let host = town.plan(&["web"]).listen();
    assert!(host.connect("web").try_ask("echo one").is_err());
    let seen = seen_as(&town, "engine-unreachable");
    is(&seen, "asleep", false);
    assert_eq!((&seen["why"]["address"], &seen["engine"]), (&Value::Null, &Value::Null), "{seen}");
    assert!(seen["why"]["next_ms"].is_u64(), "{seen}");
    assert!(text(&seen).starts_with("engine unreachable: ") && text(&seen).contains("/nowhere/"), "{seen}");
    assert!(seen["engine_error"].as_str().unwrap().contains("/nowhere/engine.sock"), "{seen}");
}

#[test]
fn a_sidecar_of_a_service_without_a_control_socket_is_not_off_while_its_helper_lives() {
    let container = Container::new("web", "");
    let town = Town::new(&container.sidecar("web", LONG));
    let plan = Plan::new(&container.sidecar("web", LONG)).state(&town.state());
    let host = plan.socket("web", crate::harness::Kind::Tcp4).listen();
    host.connect("web").ask("echo one");
    let awake = seen(&town);
    is(&awake, "awake", true);
    assert_eq!((&awake["enabled"], &awake["helper"]), (&json!(false), &json!(host.pid())), "{awake}");
    let detail = String::from_utf8(output(&mut town.rouse(&["status", "web"])).stdout).unwrap();
    assert!(detail.contains("socket: no control socket\n"), "{detail}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_of_and_hides_no_sidecar() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("web.sock"), "").unwrap();
    leave(dir.path(), "old", |_| {});
    for (file, content) in [("torn.toml", Some("x = [")), ("folder.toml", None)] {
        let path = dir.path().join(file);
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::create_dir(&path).unwrap(),
        }
        let rouse = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
            command.env("ROUSE_STATE_DIRECTORY", dir.path()).env("ROUSE_RUNTIME_DIRECTORY", dir.path());
            output(command.args(words).arg("--config").arg(&path))
        };
        let table = String::from_utf8(rouse(&["status"]).stdout).unwrap();
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
        assert!(row("web").contains("configuration rejected: "), "{table}");
        assert!(row("old").contains("configuration rejected: "), "{table}");
        assert!(table.contains("the configuration has errors: `rouse check` shows them"), "{table}");
        for name in ["web", "nobody"] {
            assert_eq!(rouse(&["is-running", name]).status.code(), Some(1), "nobody can tell: {name}");
        }
    }
}
