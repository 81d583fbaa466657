//! What is asked of a sidecar over its control socket is done, or refused with the reason.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Container, Control, Kind, Plan, Town, docker, until};

/// Longer than any test, and without the wait for readings of the CPU time.
const LONG: &str = "busy_cpu = 0\nidle_timeout = \"20m\"\n";

fn kind(shown: &Value) -> &str {
    shown["why"]["kind"].as_str().unwrap()
}

#[test]
fn a_wake_is_answered_when_the_container_is_ready_and_counts_as_use() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"1s\""));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    assert_eq!(control.post("wake"), (200, "{\"state\":\"awake\"}\n".into()));
    assert_eq!(web.status(), "running");
    let woken = host.now();
    assert_eq!(control.post("wake").0, 200);
    host.event("web", "slept");
    assert!(host.at("web", "slept", 0) - woken >= Duration::from_secs(1));
    assert_eq!(host.count("web", "waking"), 1);
}

#[test]
fn a_wake_that_fails_says_why() {
    let web = Container::running("web", &[], &["sh", "-c", "exit 3"]);
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    let (status, body) = town.control("web").post("wake");
    assert_eq!(status, 503, "{body}");
    let refusal: Value = serde_json::from_str(&body).unwrap();
    assert!(refusal["error"].as_str().unwrap().contains("before it was ready"), "{body}");
    assert!(!refusal["hint"].as_str().unwrap().is_empty(), "{body}");
    let shown = town.control("web").show();
    assert_eq!((shown["state"].as_str(), kind(&shown)), (Some("asleep"), "failed"), "{shown}");
    assert_eq!(shown["totals"]["wakes_failed"], 1);
    assert!(shown["last_failure"]["reason"].as_str().unwrap().contains("exit code 3"), "{shown}");
}

#[test]
fn looking_wakes_nothing_and_shows_what_is() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let shown = control.show();
    assert_eq!((shown["state"].as_str(), kind(&shown)), (Some("asleep"), "unasked"), "{shown}");
    assert_eq!(shown["running"], false);
    assert_eq!(web.status(), "created", "looking wakes nothing");
    host.exit();
    let mut client = host.connect("web");
    client.ask("echo one");
    let shown = control.show();
    assert_eq!((shown["state"].as_str(), kind(&shown)), (Some("awake"), "unused"), "{shown}");
    assert_eq!((&shown["running"], &shown["connections"]), (&json!(true), &json!(1)), "{shown}");
    assert_eq!(shown["why"]["next"], "sleep");
    assert!(shown["text"].as_str().unwrap().starts_with("sleeps in "), "{shown}");
    assert_eq!(shown["totals"]["wakes_ready"], 1);
    let wake = shown["usual_wake_ms"].as_u64().unwrap();
    assert_eq!(shown["totals"]["wake_time_ms"], wake);
    assert_eq!(shown["totals"]["bytes_up"], 9, "echo one and its end of line: {shown}");
    drop(client);
    let _kept = control.hold("me");
    let shown = control.show();
    assert_eq!(
        shown["why"],
        json!({"kind": "held", "by": [{"by": "me", "requires": false, "until_ms": null}]})
    );
    assert_eq!(shown["text"], "held by me");
}

#[test]
fn an_owed_answer_is_shown_as_what_keeps_it_awake() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let mut client = host.connect("web");
    client.ask("echo one");
    client.write_all(b"silent 60\n").unwrap();
    let shown =
        until("an answer owed", || Some(town.control("web").show()).filter(|shown| kind(shown) == "owes"));
    assert_eq!((&shown["why"]["answers"], &shown["text"]), (&json!(1), &json!("owes 1 answer")));
}

#[test]
fn a_container_started_by_hand_is_shown_though_no_helper_was_there() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    web.start();
    let shown = town.control("web").show();
    assert_eq!((shown["state"].as_str(), &shown["running"]), (Some("awake"), &json!(true)), "{shown}");
}

#[test]
fn a_touch_counts_as_use_and_wakes_nothing() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"2s\""));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    assert_eq!(control.post("touch"), (200, "{\"state\":\"asleep\"}\n".into()));
    assert_eq!(web.status(), "created");
    control.post("wake");
    let woken = host.now();
    let mut last = woken;
    // Half a timeout apart, until it would have slept twice without them.
    while host.now() - woken < Duration::from_secs(4) {
        if host.now() - last >= Duration::from_secs(1) {
            assert_eq!(control.post("touch"), (200, "{\"state\":\"awake\"}\n".into()));
            last = host.now();
        }
        std::thread::yield_now();
    }
    assert_eq!(host.count("web", "slept"), 0);
    host.event("web", "slept");
    assert!(host.at("web", "slept", 0) - last >= Duration::from_secs(2));
}

#[test]
fn a_sleep_is_refused_while_in_use_or_held_and_forced_all_the_same() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    assert_eq!(control.post("sleep"), (200, "{\"state\":\"asleep\"}\n".into()), "it is asleep");
    let mut client = host.connect("web");
    client.ask("echo one");
    let (status, body) = control.post("sleep");
    assert_eq!(status, 409);
    assert!(body.contains("connections in use: 1"), "{body}");
    drop(client);
    let mut kept = control.hold("render-job");
    let (status, body) = control.post("sleep?force=false");
    assert_eq!(status, 409);
    assert!(body.contains("held by render-job"), "{body}");
    assert_eq!(web.status(), "running");
    assert_eq!(control.post("sleep?force=true"), (200, "{\"state\":\"asleep\"}\n".into()));
    assert_eq!(web.status(), "exited");
    kept.ends();
    assert!(host.event("web", "slept").contains("told to"));
    // Once nobody uses it, no force is needed.
    control.post("wake");
    assert_eq!(control.post("sleep").0, 200);
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_sleep_that_is_forced_during_a_wake_follows_it() {
    let web = Container::new("web", "--listen-after 2");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let client = host.connect("web");
    host.event("web", "waking");
    let (status, body) = control.post("sleep");
    assert_eq!(status, 409);
    assert!(body.contains("just waking"), "{body}");
    assert_eq!(control.post("sleep?force").0, 200);
    assert_eq!(web.status(), "exited");
    drop(client);
}

#[test]
fn a_sleep_by_force_is_not_undone_by_who_requires_it() {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let config = web.sidecar("web", &format!("{LONG}requires = [\"db\"]")) + &db.sidecar("db", LONG);
    let town = Town::new(&config);
    let hosts = town.settle(true, &["web", "db"]);
    let mut client = hosts[0].connect("web");
    client.ask("echo one");
    let shown = town.control("db").show();
    assert_eq!(shown["text"], "required by web", "{shown}");
    let (status, body) = town.control("db").post("sleep");
    assert_eq!(status, 409);
    assert!(body.contains("required by web"), "{body}");
    assert_eq!(town.control("db").post("sleep?force").0, 200);
    hosts[1].never_nth("db", "waking", 1, Duration::from_secs(4));
    assert_eq!(db.status(), "exited");
    client.ask("echo still served");
}

#[test]
fn a_hold_for_a_while_outlives_its_request_and_its_helper() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"500ms\""));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let (status, body) = control.post("hold?by=backup&for=6s");
    let begun = host.now();
    assert_eq!(status, 200, "{body}");
    let until_ms = serde_json::from_str::<Value>(&body).unwrap()["until_ms"].as_u64().unwrap();
    assert_eq!(kind(&control.show()), "held");
    host.end_helper(Signal::SIGKILL);
    until("the next helper", || (host.count("web", "adopted") == 1).then_some(()));
    let shown = control.show();
    let held = &shown["why"]["by"][0];
    assert_eq!(held["by"], "backup", "{shown}");
    assert!(held["until_ms"].as_u64().unwrap().abs_diff(until_ms) < 1000, "{shown}");
    host.event("web", "slept");
    let held = host.at("web", "slept", 0) - begun;
    assert!(held >= Duration::from_millis(6_000), "slept after {held:?}");
    assert!(host.exit_nth(host.look(|facts| facts.exits.len())).success());
    // Nothing is held any more: the next wake is as short as any.
    host.connect("web").ask("echo two");
    assert_ne!(kind(&control.show()), "held");
}

#[test]
fn totals_never_shrink_over_kills_and_boots_of_a_helper() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let mut before = [0; 4];
    for round in 0..3 {
        let mut client = host.connect("web");
        client.ask("echo one");
        let shown = control.show();
        let totals = ["connections", "bytes_up", "bytes_down", "awake_ms"]
            .map(|key| shown["totals"][key].as_u64().unwrap());
        assert!(totals.iter().zip(&before).all(|(now, before)| now > before), "{before:?} {shown}");
        assert_eq!(totals[0], round + 1, "{shown}");
        before = totals;
        host.end_helper(if round == 0 { Signal::SIGKILL } else { Signal::SIGTERM });
        host.start();
    }
}

#[test]
fn slow_broken_and_greedy_callers_harm_nobody() {
    use std::os::unix::net::UnixStream;

    let web = Container::new("web", "");
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&web.sidecar("web", LONG)).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").listen();
    let control = Control::new(folder.path(), "web");
    let path = folder.path().join("web.sock");
    let mut callers: Vec<UnixStream> = Vec::new();
    for text in ["", "GET", "POST /v1/sidecars/web/wake HTTP/1.1\r\nx: "] {
        for _ in 0..40 {
            let mut caller = UnixStream::connect(&path).unwrap();
            caller.write_all(text.as_bytes()).unwrap();
            callers.push(caller);
        }
    }
    let head =
        |size: usize| format!("POST /v1/sidecars/web/wake HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(size));
    let mut greedy = UnixStream::connect(&path).unwrap();
    let _ = greedy.write_all(head(1 << 20).as_bytes());
    assert_eq!(control.post("wake").0, 200);
    assert_eq!(host.connect("web").ask("echo one"), "one");
    let large = "wake HTTP/1.1\r\ncontent-length: 1000000\r\nx: x";
    let (status, body) = control.post(large);
    assert_eq!(status, 413, "{body}");
    docker(&["kill", web.name()]);
    host.event("web", "died");
}

#[test]
fn a_sleep_that_is_forced_before_what_was_adopted_answers_follows_that() {
    let web = Container::new("web", "--listen-after 3");
    let town = Town::new(&web.sidecar("web", LONG));
    web.start();
    let host = &town.settle(false, &["web"])[0];
    let client = host.connect("web");
    host.event("web", "adopted");
    let control = town.control("web");
    until("a wait for its port", || (kind(&control.show()) == "unready").then_some(()));
    assert_eq!(control.post("sleep?force").0, 200);
    assert_eq!(web.status(), "exited");
    drop(client);
}

#[test]
fn a_sleep_that_is_forced_during_a_wake_that_fails_finds_it_asleep() {
    let web = Container::running("web", &[], &["sh", "-c", "sleep 2; exit 3"]);
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let _client = host.connect("web");
    host.event("web", "waking");
    assert_eq!(control.post("sleep?force"), (200, "{\"state\":\"asleep\"}\n".into()));
    host.event("web", "wake-failed");
    assert_eq!(control.post("sleep").0, 200, "also after it");
    assert_eq!(kind(&control.show()), "failed", "and no client need try before the time");
}

#[test]
fn a_hold_for_a_while_is_not_given_to_who_has_left() {
    let web = Container::new("web", "--listen-after 2");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    control.leave("hold?by=impatient&for=1h", || drop(host.event("web", "waking")));
    host.event("web", "ready");
    let shown = control.show();
    assert_eq!(kind(&shown), "unused", "{shown}");
}

#[test]
fn the_call_that_finds_the_configuration_mended_is_done() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "idle_timeout = \"soon\""));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    let (status, body) = control.post("wake");
    assert_eq!(status, 503);
    assert!(body.contains("rejected"), "{body}");
    let mended = std::fs::read_to_string(&host.config_path).unwrap().replace("\"soon\"", "\"20m\"");
    std::fs::write(&host.config_path, mended).unwrap();
    assert_eq!(control.post("wake"), (200, "{\"state\":\"awake\"}\n".into()));
    assert_eq!(web.status(), "running");
}

#[test]
fn what_was_counted_until_the_last_moment_outlives_a_stop_of_the_helper() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let mut client = host.connect("web");
    client.ask("echo one");
    town.control("web").show();
    client.ask("echo two");
    host.end_helper(Signal::SIGTERM);
    let written: Value =
        serde_json::from_slice(&std::fs::read(town.state().join("web.json")).unwrap()).unwrap();
    assert_eq!(written["totals"]["bytes_up"], 18, "{written}");
}

#[test]
fn a_crowd_that_holds_leaves_room_for_others() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let _hosts = town.settle(false, &["web"]);
    let control = town.control("web");
    let mut held = Vec::new();
    for number in 0..300 {
        held.push(control.begin(&format!("hold?by=job-{number}")));
    }
    let refused = held.iter().filter(|(status, _)| *status != 200).count();
    assert!((1..200).contains(&refused), "{refused} of 300 are refused");
    assert!(control.show()["text"].as_str().unwrap().contains("held by job-0"));
    assert_eq!(control.post("touch").0, 200);
    assert_eq!(control.post("sleep?force").0, 200);
    assert_eq!(web.status(), "exited");
}

#[test]
fn calls_that_come_one_after_another_are_not_told_of_one_by_one() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", LONG));
    let host = &town.settle(false, &["web"])[0];
    let control = town.control("web");
    control.post("wake");
    let (notes, begun) = (host.look(|facts| facts.noted("STATUS").len()), host.now());
    for _ in 0..200 {
        assert_eq!(control.post("wake").0, 200);
        assert_eq!(control.post("touch").0, 200);
    }
    let most = 2 + (host.now() - begun).as_millis() / 50;
    let notes = host.look(|facts| facts.noted("STATUS").len()) - notes;
    assert!((notes as u128) < most, "{notes} notes to the service manager");
    assert_eq!(control.show()["text"].as_str().unwrap().split(" in ").next(), Some("sleeps"));
}
