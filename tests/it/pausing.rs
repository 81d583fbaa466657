//! A container is frozen between its last use and its sleep, and thawed by whoever wants something of it.

mod troubles; // the helper is killed in the middle of a pause or thaw, or the engine refuses it

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

use crate::harness::{Action, Client, Container, Control, End, Gate, Host, Kind, Plan, Recorder};
use crate::harness::{asks_healthchecks, docker, until};

/// A pause soon, a sleep never.
const SOON: &str = "pause_after = \"300ms\"\nidle_timeout = \"5m\"\nbusy_cpu = 0";

/// A host behind a recorder, and all that a test of it needs.
struct Scene {
    host: Host,
    recorder: Recorder,
    control: Control,
    web: Container,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(keys: &str) -> Scene {
        Scene::with(Container::new("web", ""), keys)
    }

    fn with(web: Container, keys: &str) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("engine.sock"));
        let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", keys)).socket("web", Kind::Tcp4);
        let host = plan.control(dir.path(), "web").listen();
        let control = Control::new(dir.path(), "web");
        Scene { host, recorder, control, web, _dir: dir }
    }

    /// A client who was answered, and then nothing.
    #[track_caller]
    fn quiet(&self) -> Client {
        let mut client = self.host.connect("web");
        client.ask("echo and then nothing");
        client
    }

    /// Waits for the `number`th pause.
    #[track_caller]
    fn paused(&self, number: usize) {
        self.host.event_nth("web", "paused", number);
        assert_eq!(self.web.status(), "paused");
    }

    /// Whatever its helper is just doing.
    #[track_caller]
    fn frozen(&self) {
        until("a frozen container", || (self.web.status() == "paused").then_some(()));
    }

    fn recorded_state(&self) -> String {
        let text = std::fs::read_to_string(self.host.state().join("web.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_byte_on_an_open_connection_thaws_it_again_and_again() {
    let scene = Scene::new(SOON);
    let mut client = scene.host.connect("web");
    let mut answers = Vec::new();
    for number in 0..4 {
        answers.push(client.ask("who"));
        scene.paused(number);
        assert_eq!(scene.recorded_state(), "paused");
        scene.host.wait("the status line", |facts| {
            let line = "STATUS=paused, open connections: 1";
            (facts.noted("STATUS=").last()?.1 == line).then_some(())
        });
        assert_eq!(scene.host.count("web", "unpaused"), number);
    }
    answers.push(client.ask("who"));
    scene.host.event_nth("web", "unpaused", 3);
    assert_eq!(scene.recorded_state(), "awake");
    answers.dedup();
    assert_eq!(answers.len(), 1, "another connection, or another run of the container: {answers:?}");
    assert_eq!(scene.host.look(|facts| facts.starts.len()), 1);
    assert!(scene.recorder.calls("POST /stop").is_empty());
}

#[test]
fn a_new_connection_thaws_it_and_is_dialled_meanwhile() {
    let scene = Scene::new(SOON);
    let quiet = scene.quiet();
    scene.paused(0);
    let gate = Gate::shut();
    scene.recorder.rule("POST /unpause", Action::GateCall(gate.clone()));
    let before = scene.web.connections();
    let mut client = scene.host.connect("web");
    until("a connection to the frozen container", || (scene.web.connections() > before).then_some(()));
    assert_eq!(scene.web.status(), "paused", "it was thawed first");
    gate.open();
    assert_eq!(client.ask("echo thawed"), "thawed");
    scene.host.event("web", "unpaused");
    drop(quiet);
}

#[test]
fn a_hold_thaws_it() {
    let scene = Scene::new(SOON);
    let mut quiet = scene.quiet();
    scene.paused(0);
    let kept = scene.control.hold("somebody");
    assert_eq!(scene.web.status(), "running");
    scene.host.never_nth("web", "paused", 1, Duration::from_secs(1));
    drop(kept);
    scene.paused(1);
    assert_eq!(quiet.ask("echo thawed"), "thawed");
}

#[test]
fn after_idle_timeout_a_paused_container_is_stopped() {
    let scene = Scene::new("pause_after = \"300ms\"\nidle_timeout = \"2s\"\nbusy_cpu = 0");
    let mut quiet = scene.quiet();
    let answered = scene.host.now();
    scene.paused(0);
    scene.host.event("web", "slept");
    let slept = scene.host.at("web", "slept", 0) - answered;
    assert!(slept > Duration::from_millis(1900) && slept < Duration::from_secs(5), "slept after {slept:?}");
    assert_ne!(quiet.end(), End::Open);
    assert!(scene.host.exit().success());
    assert_eq!(scene.web.status(), "exited");
    assert_eq!(scene.recorded_state(), "asleep");
    assert_eq!(scene.host.connect("web").ask("echo woken"), "woken");
}

#[test]
fn it_is_thawed_before_it_is_stopped() {
    let scene = Scene::new("pause_after = \"300ms\"\nidle_timeout = \"1s\"\nbusy_cpu = 0");
    let _quiet = scene.quiet();
    scene.host.event("web", "slept");
    assert!(scene.host.exit().success());
    assert_eq!(scene.web.status(), "exited");
    let all = scene.recorder.all();
    let asked: Vec<_> = all.iter().filter(|call| call.method == "POST").collect();
    let order = ["/start", "/pause", "/unpause", "/stop"];
    assert_eq!(asked.len(), order.len(), "{asked:?}");
    assert!(asked.iter().zip(order).all(|(call, verb)| call.path.contains(verb)), "{asked:?}");
}

#[test]
fn a_client_who_leaves_meanwhile_is_passed_on_and_is_no_use() {
    let scene = Scene::new("pause_after = \"500ms\"\nidle_timeout = \"3s\"\nbusy_cpu = 0");
    let (ends, resets) = (scene.quiet(), scene.quiet());
    let answered = scene.host.now();
    scene.paused(0);
    drop(ends);
    resets.reset();
    scene.host.never("web", "unpaused", Duration::from_secs(1));
    assert_eq!(scene.web.status(), "paused");
    // Nobody is owed anything by that.
    scene.host.event("web", "slept");
    let slept = scene.host.at("web", "slept", 0) - answered;
    assert!(slept > Duration::from_millis(2900) && slept < Duration::from_secs(8), "slept after {slept:?}");
}

#[test]
fn the_ends_that_came_meanwhile_reach_the_container() {
    let scene = Scene::new(SOON);
    let (ends, resets) = (scene.quiet(), scene.quiet());
    scene.paused(0);
    drop(ends);
    resets.reset();
    scene.host.never("web", "unpaused", Duration::from_millis(500));
    let mut client = scene.host.connect("web");
    client.ask("echo thawed");
    scene.web.logged("connection 1 ended: clean");
    scene.web.logged("connection 2 ended: reset");
    scene.host.wait("nobody else", |facts| {
        let line = "STATUS=paused, open connections: 1";
        (facts.noted("STATUS=").last()?.1 == line).then_some(())
    });
}

#[test]
fn who_owes_an_answer_is_not_paused() {
    let scene = Scene::new(SOON);
    let mut client = scene.host.connect("web");
    client.write_all(b"silent 2\n").unwrap();
    scene.host.never("web", "paused", Duration::from_millis(1500));
    assert_eq!(client.read_line().unwrap(), "done");
    scene.paused(0);
}

#[test]
fn who_is_held_is_not_paused() {
    let scene = Scene::new(SOON);
    let kept = scene.control.hold("somebody");
    scene.host.never("web", "paused", Duration::from_millis(1500));
    drop(kept);
    scene.paused(0);
}

#[test]
fn with_idle_connections_nobody_is_paused_who_is_connected() {
    let scene = Scene::new(&format!("{SOON}\nidle = \"connections\""));
    let quiet = scene.quiet();
    scene.host.never("web", "paused", Duration::from_millis(1500));
    drop(quiet);
    scene.paused(0);
}

#[test]
fn what_a_client_sends_or_who_connects_while_it_is_being_paused_is_answered() {
    let scene = Scene::new(SOON);
    let mut quiet = scene.quiet();
    for (number, action) in [Action::GateCall, Action::GateAnswer].into_iter().enumerate() {
        let gate = Gate::shut();
        scene.recorder.rule("POST /pause", action(gate.clone()));
        scene.recorder.asked("POST /pause", number);
        if number == 1 {
            scene.frozen();
        }
        let mut new = scene.host.connect("web");
        quiet.write_all(b"echo meanwhile\n").unwrap();
        quiet.is_taken();
        new.write_all(b"echo new\n").unwrap();
        gate.open();
        assert_eq!(quiet.read_line().unwrap(), "meanwhile");
        assert_eq!(new.read_line().unwrap(), "new");
        scene.host.event_nth("web", "unpaused", number);
    }
    assert_eq!(quiet.ask("echo still there"), "still there");
}

#[test]
fn with_ready_healthy_a_client_after_a_pause_is_answered_at_once() {
    if !asks_healthchecks() {
        return;
    }
    // The engine calls it unhealthy from the pause to the next check, and so it stays for the next helper.
    let options = ["--health-cmd", "true", "--health-interval", "4s"];
    let scene = Scene::with(Container::with("web", &options, ""), &format!("{SOON}\nready = \"healthy\""));
    let _quiet = scene.quiet();
    scene.paused(0);
    let at_once = |what: &str| {
        let begun = Instant::now();
        until(what, || scene.host.connect("web").try_ask("who").ok());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{what} after {took:?}");
        assert_eq!(scene.web.inspect("{{.State.Health.Status}}"), "unhealthy", "no case any more");
    };
    at_once("an answer after the pause");
    scene.host.end_helper(SIGKILL);
    at_once("an answer of the next helper");
}

#[test]
fn one_found_paused_is_adopted_as_it_is_and_thawed_by_its_first_client() {
    let scene = Scene::new("pause_after = \"10s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0");
    scene.web.start();
    scene.web.logged("listening");
    docker(&["pause", scene.web.name()]);
    scene.host.start();
    assert!(scene.host.event("web", "adopted").contains("paused"));
    assert_eq!(scene.recorded_state(), "paused");
    scene.host.never("web", "unpaused", Duration::from_millis(500));
    assert_eq!(scene.web.status(), "paused");
    scene.host.served_again("web");
    scene.host.event("web", "unpaused");
    assert_eq!(scene.recorded_state(), "awake");
}

#[test]
fn sigterm_leaves_it_paused_for_the_next_helper() {
    let scene = Scene::new(SOON);
    let mut quiet = scene.quiet();
    scene.paused(0);
    scene.host.end_helper(SIGTERM);
    assert_eq!(quiet.end(), End::Reset);
    assert_eq!(scene.web.status(), "paused");
    scene.host.served_again("web");
    assert!(scene.host.event("web", "adopted").contains("paused"));
}
