//! What counts as use, and when a sidecar goes to sleep.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Action, Container, End, Host, Kind, Plan, behind_recorder, until};

fn serve(keys: &str) -> (Container, Host) {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    (web, host)
}

#[test]
fn an_idle_container_is_stopped_and_its_helper_ends_with_0() {
    let (web, host) = serve("idle_timeout = \"500ms\"");
    assert_eq!(host.connect("web").ask("echo one"), "one");
    let answered = host.now();
    host.event("web", "slept");
    assert!(host.exit().success());
    let slept = host.at("web", "slept", 0) - answered;
    assert!(slept > Duration::from_millis(450) && slept < Duration::from_secs(3), "slept after {slept:?}");
    assert_eq!(web.status(), "exited");
    assert_eq!(host.look(|facts| facts.starts.len()), 1, "a helper was started for nobody");
    assert_eq!(host.connect("web").ask("echo two"), "two");
    assert_eq!(host.look(|facts| facts.starts.len()), 2);
}

#[test]
fn traffic_keeps_it_awake() {
    let (_web, host) = serve("idle_timeout = \"500ms\"");
    let mut client = host.connect("web");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(client.ask("echo still"), "still");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(host.count("web", "slept"), 0);
}

#[test]
fn with_idle_traffic_a_quiet_connection_is_no_use_and_ends_with_a_reset() {
    let (web, host) = serve("idle_timeout = \"400ms\"\nidle = \"traffic\"");
    let mut quiet = host.connect("web");
    assert_eq!(quiet.ask("echo and then nothing"), "and then nothing");
    host.event("web", "slept");
    assert!(host.exit().success());
    // The application ended without closing: its kernel does it.
    assert_ne!(quiet.end(), End::Open);
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_container_killed_at_once_leaves_no_connection_open() {
    let web = Container::with("web", &["--stop-signal", "KILL"], "");
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"400ms\"")).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    assert_ne!(client.end(), End::Open);
    assert!(host.exit().success());
}

#[test]
fn with_idle_connections_a_quiet_connection_is_use() {
    let (_web, host) = serve("idle_timeout = \"300ms\"\nidle = \"connections\"");
    let mut quiet = host.connect("web");
    assert_eq!(quiet.ask("echo one"), "one");
    host.never("web", "slept", Duration::from_millis(1500));
    assert_eq!(quiet.ask("echo two"), "two");
    drop(quiet);
    host.event("web", "slept");
    assert!(host.exit().success());
}

#[test]
fn an_owed_answer_keeps_it_awake_however_silently_it_is_computed() {
    let (_web, host) = serve("idle_timeout = \"300ms\"");
    let mut client = host.connect("web");
    assert_eq!(client.ask("silent 3"), "done");
    host.event("web", "slept");
}

#[test]
fn an_answer_is_owed_no_longer_than_reply_timeout() {
    let (web, host) = serve("idle_timeout = \"300ms\"\nreply_timeout = \"1s\"");
    let mut client = host.connect("web");
    let begun = Instant::now();
    client.try_ask("silent 60").unwrap_err();
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(950) && took < Duration::from_secs(6), "cut off after {took:?}");
    assert!(host.exit().success());
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_half_closed_connection_is_owed_its_answer() {
    let (_web, host) = serve("idle_timeout = \"300ms\"");
    let mut client = host.connect("web");
    std::io::Write::write_all(&mut client, b"silent 2\n").unwrap();
    client.finish();
    assert_eq!(client.rest(), "done\n");
    assert_eq!(client.end(), End::Clean);
}

#[test]
fn never_means_never() {
    let (_web, host) = serve("idle_timeout = \"never\"");
    assert_eq!(host.connect("web").ask("echo one"), "one");
    host.never("web", "slept", Duration::from_secs(2));
}

#[test]
fn a_new_connection_is_use_even_if_it_sends_nothing() {
    let (_web, host) = serve("idle_timeout = \"700ms\"");
    assert_eq!(host.connect("web").ask("echo one"), "one");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        let _silent = host.connect("web");
        thread::sleep(Duration::from_millis(250));
        assert_eq!(host.count("web", "slept"), 0);
    }
    host.event("web", "slept");
}

#[test]
fn a_client_during_the_stop_is_answered_by_the_next_start() {
    let web = Container::new("web", "--term-takes 1");
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"300ms\"")).socket("web", Kind::Tcp4).listen();
    let first = host.connect("web").ask("who");
    web.logged("asked to end");
    let second = host.connect("web").ask("who");
    assert_ne!(
        first.split(' ').next(),
        second.split(' ').next(),
        "served by the container that was being stopped"
    );
    assert!(host.exit().success());
}

#[test]
fn the_pumps_run_on_while_the_container_is_stopped() {
    // A server that finishes its answers when it is asked to end gets them through.
    let web = Container::new("web", "--term-takes 3");
    let keys = "idle_timeout = \"300ms\"\nreply_timeout = \"500ms\"";
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    assert_eq!(client.ask("silent 2"), "done");
    assert!(host.exit().success());
}

#[test]
fn stop_timeout_is_the_grace_before_the_kill() {
    let web = Container::new("web", "--term-takes 60");
    let keys = "idle_timeout = \"300ms\"\nstop_timeout = \"1s\"";
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    web.logged("asked to end");
    let begun = Instant::now();
    host.event("web", "slept");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(5), "killed after {took:?}");
    assert_eq!(web.inspect("{{.State.ExitCode}}"), "137");
    assert!(host.exit().success());
    client.try_ask("echo to the dead").unwrap_err();
}

#[test]
fn a_stop_that_the_engine_refuses_disturbs_nobody_and_is_asked_for_again() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"500ms\""));
    recorder.rule("POST /stop", Action::Refuse(500, "cannot stop it now"));
    let mut quiet = host.connect("web");
    assert_eq!(quiet.ask("echo and then nothing"), "and then nothing");
    until("two stops refused", || {
        let stops = recorder.calls("POST /stop");
        (stops.iter().filter(|call| call.status == Some(500)).count() >= 2).then_some(())
    });
    assert_eq!(quiet.ask("echo undisturbed"), "undisturbed");
    assert_eq!(host.look(|facts| (facts.starts.len(), facts.exits.len())), (1, 0));
    recorder.rules(Vec::new());
    host.event("web", "slept");
    assert!(host.exit().success());
    assert_eq!(web.status(), "exited");
}
