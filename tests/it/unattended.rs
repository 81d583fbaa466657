//! What is done to a container by hand while no helper is there stands when the next one comes.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::SIGTERM;

use crate::harness::{Action, Container, Kind, Plan, Recorder, docker};

#[test]
fn unpaused_by_hand_it_runs_on() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "pause_after = \"2s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    host.event("web", "paused");
    host.end_helper(SIGTERM);
    docker(&["unpause", web.name()]);
    assert_eq!(web.status(), "running");
    host.start();
    host.event("web", "adopted");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(web.status(), "running", "frozen by the next helper at its start");
}

#[test]
fn stopped_by_hand_after_a_cut_off_start_it_stays_stopped() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldAnswer(Duration::from_millis(1500)));
    let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", "busy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    web.logged("listening");
    host.end_helper(SIGTERM);
    client.end();
    recorder.rules(Vec::new());
    docker(&["stop", "--time", "1", web.name()]);
    let started = web.started_at();
    host.start();
    thread::sleep(Duration::from_secs(2));
    assert_eq!((web.status(), web.started_at()), ("exited".to_owned(), started), "nobody asked for it");
}
