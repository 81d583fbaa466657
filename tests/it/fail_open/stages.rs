//! The engine goes away at some stage of a sidecar's life: asleep, waking, awake, paused, going to sleep.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::{Away, Scene};
use crate::harness::{
    Action, Container, End, Facts, Kind, Plan, Recorder, docker, free_port, processor_time,
};

/// Two clients of which one was there before, and newcomers, across an outage of 7 s.
fn while_awake(how: Away) {
    let mut scene = Scene::new("idle_timeout = \"1500ms\"");
    let mut busy = scene.host.connect("web");
    let first = busy.ask("who");
    scene.engine_goes(how);
    let begun = Instant::now();
    let mut newcomers = Vec::new();
    while begun.elapsed() < Duration::from_secs(7) {
        assert_eq!(busy.ask("who"), first, "{how:?}");
        if newcomers.len() < 10 {
            newcomers.push(scene.host.connect("web"));
            assert_eq!(newcomers.last_mut().unwrap().ask("echo new"), "new", "{how:?}");
        }
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(scene.told(), 1, "{how:?}: one outage");
    assert_eq!(scene.host.count("web", "slept"), 0);
    scene.engine_returns();
    assert_eq!(busy.ask("who"), first, "{how:?}");
    scene.goes_to_sleep();
    assert_eq!(scene.told(), 1, "{how:?}: one outage");
}

#[test]
fn an_engine_that_goes_away_while_awake_disturbs_nobody() {
    while_awake(Away::Gone);
}

#[test]
fn an_engine_that_refuses_while_awake_disturbs_nobody() {
    while_awake(Away::Refusing);
}

#[test]
fn an_engine_that_hangs_while_awake_disturbs_nobody() {
    while_awake(Away::Hanging);
}

#[test]
fn an_outage_without_clients_in_need_is_told_of_once_however_long_it_is() {
    let mut scene = Scene::new("idle_timeout = \"1s\"");
    assert_eq!(scene.host.connect("web").ask("echo one"), "one");
    scene.engine_goes(Away::Refusing);
    scene.host.never("web", "slept", Duration::from_secs(6));
    assert_eq!(scene.told(), 1);
    assert!(scene.host.look(|facts| facts.exits.is_empty()), "it may have left something running");
    scene.engine_returns();
    scene.goes_to_sleep();
}

#[test]
fn while_asleep_an_outage_resets_clients_and_the_next_after_it_wakes_the_container() {
    let mut scene = Scene::new("idle_timeout = \"300ms\"");
    assert_eq!(scene.host.connect("web").ask("echo one"), "one");
    assert!(scene.host.exit().success());
    scene.engine_goes(Away::Refusing);
    for _ in 0..5 {
        assert_eq!(scene.host.connect("web").end(), End::Reset);
    }
    assert_eq!(scene.told(), 1);
    scene.engine_returns();
    scene.host.served_again("web");
    assert_eq!(scene.calls("POST /start"), 1);
}

/// A paused container cannot answer; whoever wants something of it is served when the engine is back.
fn while_paused(how: Away, comes_before: bool) {
    let mut scene = Scene::new("pause_after = \"300ms\"\nidle_timeout = \"never\"");
    let mut first = scene.host.connect("web");
    assert_eq!(first.ask("echo one"), "one");
    scene.host.event("web", "paused");
    scene.engine_goes(how);
    scene.host.event("web", "engine-unreachable");
    let mut asking = if comes_before { first } else { scene.host.connect("web") };
    asking.write_all(b"echo two\n").unwrap();
    let busy = processor_time(scene.host.pid());
    let ended = scene.host.wait_for(Duration::from_secs(3), |facts| facts.exits.first().copied());
    assert!(ended.is_none(), "{ended:?}");
    let busy = processor_time(scene.host.pid()) - busy;
    assert!(busy < Duration::from_millis(700), "{how:?}: {busy:?} CPU in 3 s of waiting");
    assert_eq!(scene.web.status(), "paused");
    assert_eq!(scene.told(), 1, "{how:?}: one outage");
    scene.engine_returns();
    assert_eq!(asking.read_line().unwrap(), "two", "{how:?}");
    assert_eq!(scene.host.connect("web").ask("echo three"), "three");
    scene.host.event_nth("web", "paused", 1);
}

#[test]
fn while_paused_a_new_client_waits_for_the_engine() {
    while_paused(Away::Gone, false);
}

#[test]
fn while_paused_a_byte_waits_for_the_engine() {
    while_paused(Away::Refusing, true);
}

#[test]
fn while_paused_a_hanging_engine_is_waited_for_too() {
    while_paused(Away::Hanging, false);
}

#[test]
fn an_engine_that_goes_away_with_a_start_on_its_way_passes_clients_to_the_address() {
    let port = free_port();
    let answering = Container::with("other", &["--network", "host"], &format!("--port {port}"));
    answering.start();
    answering.logged("listening");
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let recorder = Recorder::new(&socket);
    recorder.rule("POST /start", Action::HoldCall(Duration::from_secs(60)));
    let plan = Plan::with_engine(&socket, &web.sidecar("web", &format!("address = \"127.0.0.1:{port}\"")));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.write_all(b"echo straight\n").unwrap();
    recorder.asked("POST /start", 0);
    drop(recorder);
    assert_eq!(client.read_line().unwrap(), "straight");
}

#[test]
fn a_container_that_died_meanwhile_is_woken_when_the_engine_is_back() {
    let mut scene = Scene::new("idle_timeout = \"never\"\nwake_timeout = \"3s\"");
    let mut client = scene.host.connect("web");
    client.ask("echo one");
    scene.engine_goes(Away::Gone);
    scene.host.event("web", "engine-unreachable");
    docker(&["kill", scene.web.name()]);
    assert_ne!(client.end(), End::Open);
    // He waits for the engine as long as for a wake.
    assert_eq!(scene.host.connect("web").end(), End::Reset);
    scene.engine_returns();
    let find = |facts: &Facts| facts.events("web", "died").pop();
    assert!(scene.host.wait_for(Duration::from_secs(10), find).is_some());
    assert_eq!(scene.host.connect("web").ask("echo two"), "two");
}

#[test]
fn who_is_in_use_when_a_stop_that_was_cut_off_could_be_repeated_is_not_cut_off() {
    let mut scene = Scene::new("idle_timeout = \"500ms\"");
    let engine = scene.engine.as_ref().unwrap();
    engine.rule("POST /stop", Action::HoldCall(Duration::from_secs(600)));
    assert_eq!(scene.host.connect("web").ask("echo one"), "one");
    engine.asked("POST /stop", 0);
    scene.engine_goes(Away::Gone);
    let mut client = scene.host.connect("web");
    let before = client.ask("who");
    scene.engine_returns();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(client.ask("who"), before);
        thread::sleep(Duration::from_millis(50));
    }
    scene.goes_to_sleep();
}
