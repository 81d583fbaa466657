//! The helper or the engine goes away, at every stage.

use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM};

use crate::harness::{
    Action, Client, Container, End, Host, Kind, Plan, Recorder, behind_recorder, is_reset, until,
};

/// A host behind a recorder, and all that a test of it needs.
struct Scene {
    host: Host,
    recorder: Recorder,
    web: Container,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(server: &str, keys: &str) -> Scene {
        let web = Container::new("web", server);
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", keys));
        Scene { host, recorder, web, _dir }
    }

    /// Ends the helper at once; SIGTERM is an orderly end.
    #[track_caller]
    fn interrupt(&self, signal: Signal) {
        let begun = Instant::now();
        let status = self.host.end_helper(signal);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "{signal} took {took:?}: it means leave now");
        assert_eq!(status.success(), signal == SIGTERM, "{status}");
    }
}

fn while_it_wakes(signal: Signal) {
    let scene = Scene::new("--listen-after 1.5", "");
    let mut clients: Vec<Client> = (0..3).map(|_| scene.host.connect("web")).collect();
    scene.web.logged("start ");
    until("the start's answer", || scene.recorder.calls("POST /start").first()?.answered);
    let started = scene.web.started_at();
    scene.interrupt(signal);
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    assert_eq!(scene.web.status(), "running");
    scene.host.served_again("web");
    assert_eq!(scene.web.started_at(), started, "the container was started anew");
}

#[test]
fn sigterm_while_it_wakes_resets_who_waits_and_leaves_the_container() {
    while_it_wakes(SIGTERM);
}

#[test]
fn sigkill_while_it_wakes_resets_who_waits_and_leaves_the_container() {
    while_it_wakes(SIGKILL);
}

fn while_a_start_is_outstanding(signal: Signal) {
    let scene = Scene::new("", "");
    scene.recorder.rule("POST /start", Action::HoldCall(Duration::from_millis(700)));
    let mut client = scene.host.connect("web");
    scene.recorder.asked("POST /start", 0);
    scene.interrupt(signal);
    assert_eq!(client.end(), End::Reset);
    scene.recorder.rules(Vec::new());
    let first = scene.host.served_again("web");
    // Whatever became of the first start: it neither kills the container nor starts it twice.
    thread::sleep(Duration::from_secs(1));
    let second = scene.host.served_again("web");
    assert_eq!(first.split(' ').next(), second.split(' ').next());
    assert_eq!(scene.web.logs().matches("start ").count(), 1);
}

#[test]
fn sigterm_while_a_start_is_outstanding_loses_nothing() {
    while_a_start_is_outstanding(SIGTERM);
}

#[test]
fn sigkill_while_a_start_is_outstanding_loses_nothing() {
    while_a_start_is_outstanding(SIGKILL);
}

fn while_it_serves(signal: Signal) {
    let scene = Scene::new("", "");
    let mut clients: Vec<Client> = (0..3).map(|_| scene.host.connect("web")).collect();
    for client in &mut clients {
        client.ask("echo one");
    }
    let started = scene.web.started_at();
    scene.interrupt(signal);
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    for number in 1..=3 {
        scene.web.logged(&format!("connection {number} ended: reset"));
    }
    assert_eq!(scene.web.status(), "running");
    scene.host.served_again("web");
    scene.host.event("web", "adopted");
    assert_eq!(scene.web.started_at(), started, "the container was started anew");
    assert!(scene.recorder.calls("POST /stop").is_empty());
}

#[test]
fn sigterm_while_it_serves_resets_both_sides_and_leaves_the_container() {
    while_it_serves(SIGTERM);
}

#[test]
fn sigkill_while_it_serves_resets_both_sides_and_leaves_the_container() {
    while_it_serves(SIGKILL);
}

fn while_a_stop_is_under_way(signal: Signal) {
    let scene = Scene::new("--term-takes 2", "idle_timeout = \"300ms\"");
    let first = scene.host.connect("web").ask("who");
    scene.web.logged("asked to end");
    scene.interrupt(signal);
    let killed = Instant::now();
    let second = scene.host.connect("web").ask("who");
    assert_ne!(first.split(' ').next(), second.split(' ').next(), "served by a dying container");
    let later = |pattern| scene.recorder.calls(pattern).into_iter().find(|call| call.asked > killed);
    let stop = later("POST /stop").expect("the next helper repeats the stop");
    let start = later("POST /start").expect("and starts it afterwards");
    assert!(
        stop.answered.is_some_and(|answered| answered < start.asked),
        "a start while it was being stopped"
    );
}

#[test]
fn sigterm_while_a_stop_is_under_way_lets_the_next_helper_repeat_it() {
    while_a_stop_is_under_way(SIGTERM);
}

#[test]
fn sigkill_while_a_stop_is_under_way_lets_the_next_helper_repeat_it() {
    while_a_stop_is_under_way(SIGKILL);
}

#[test]
fn a_helper_killed_again_and_again_ends_up_with_the_container_asleep() {
    let scene = Scene::new("", "idle_timeout = \"500ms\"");
    for _ in 0..5 {
        scene.host.served_again("web");
        scene.host.end_helper(SIGKILL);
    }
    scene.host.event("web", "slept");
    until("a sleeping container", || (scene.web.status() == "exited").then_some(()));
    assert_eq!(scene.recorder.calls("POST /start").len(), 1);
}

#[test]
fn an_absent_engine_is_said_and_its_return_is_noticed() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let host = Plan::with_engine(&socket, &web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let begun = Instant::now();
    assert_eq!(host.connect("web").end(), End::Reset);
    assert!(begun.elapsed() < Duration::from_secs(5), "an absent engine is no reason to wait");
    host.event("web", "engine-unreachable");
    host.says("engine.sock");
    let _engine = Recorder::new(&socket);
    until("an answer once the engine is back", || host.connect("web").try_ask("echo back").ok());
    assert!(host.look(|facts| facts.starts.len()) <= 4, "helpers come and go instead of waiting");
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let config = "[sidecar.web]\ncontainer = \"web\"\nport = 80\n";
    let host = Plan::with_engine(&socket, config).socket("web", Kind::Tcp4).listen();
    let begun = Instant::now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?} for an engine that says nothing");
    host.event("web", "engine-unreachable");
}

#[test]
fn an_engine_that_hangs_after_its_ping_is_given_up_too() {
    let scene = Scene::new("", "");
    scene.recorder.rule("GET /json", Action::HoldAnswer(Duration::from_secs(60)));
    let mut client = scene.host.connect("web");
    client.deadline(Duration::from_secs(20));
    let begun = Instant::now();
    assert_eq!(client.end(), End::Reset);
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(13),
        "given up after {took:?}, not 10 s"
    );
}

#[test]
fn connections_outlive_the_engine_and_sleep_comes_when_it_is_back() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "idle_timeout = \"1s\""));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo with an engine");
    drop(engine);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(client.ask("echo without an engine"), "without an engine");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(host.connect("web").ask("echo a new client"), "a new client");
    host.event("web", "engine-unreachable");
    assert_eq!(web.status(), "running");
    let _engine = Recorder::new(&socket);
    host.event("web", "slept");
    assert_eq!(web.status(), "exited");
    assert_eq!(host.look(|facts| facts.exits.iter().filter(|(_, status)| !status.success()).count()), 0);
}

#[test]
fn a_second_helper_for_a_sidecar_refuses_and_says_who_has_it() {
    let web = Container::new("web", "");
    let first = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let mut client = first.connect("web");
    client.ask("echo one");
    let plan = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).state(first.state()).no_restart();
    let second = plan.boot();
    assert_eq!(second.exit().code(), Some(1));
    let pid = first.pid().to_string();
    assert!(second.look(|facts| facts.text()).contains(&pid), "it does not name process {pid}");
    assert_eq!(client.ask("echo undisturbed"), "undisturbed");
    // Its clients are not left in the queue either.
    assert!(is_reset(&second.connect("web").try_ask("echo two").unwrap_err()));
}
