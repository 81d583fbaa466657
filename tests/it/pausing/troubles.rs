//! The helper is killed in the middle of a pause or thaw, or the engine refuses it.

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGKILL;

use super::{SOON, Scene};
use crate::harness::{Action, End, Gate, until};

/// How long a look lasts for what a call may still do that was cut off.
const A_WHILE: Duration = Duration::from_millis(1500);

/// The helper is killed while the engine has not answered this `call` yet, before or after the engine has done it.
fn killed_meanwhile(call: &'static str) {
    for has_done in [false, true] {
        let scene = Scene::new(SOON);
        let gate = Gate::shut();
        let action = if has_done { Action::GateAnswer } else { Action::GateCall };
        scene.recorder.rule(call, action(gate.clone()));
        let mut quiet = scene.quiet();
        if call == "POST /unpause" {
            scene.paused(0);
            quiet.write_all(b"who\n").unwrap();
        }
        scene.recorder.asked(call, 0);
        if has_done {
            let status = if call == "POST /unpause" { "running" } else { "paused" };
            until("the engine has done it", || (scene.web.status() == status).then_some(()));
        }
        scene.host.end_helper(SIGKILL);
        scene.recorder.rules(Vec::new());
        assert_eq!(quiet.end(), End::Reset);
        let started = scene.web.started_at();
        scene.host.served_again("web");
        // Also when the call that was cut off comes to its end at last.
        gate.open();
        let begun = Instant::now();
        while begun.elapsed() < A_WHILE {
            scene.host.served_again("web");
        }
        let mut last = scene.quiet();
        until("a pause by the next helper", || (scene.recorded_state() == "paused").then_some(()));
        scene.frozen();
        assert_eq!(last.ask("echo thawed"), "thawed");
        assert_eq!(scene.web.started_at(), started, "the container was started anew");
    }
}

#[test]
fn a_helper_killed_while_it_pauses_leaves_the_next_one_a_container_that_serves() {
    killed_meanwhile("POST /pause");
}

#[test]
fn a_helper_killed_while_it_unpauses_leaves_the_next_one_a_container_that_serves() {
    killed_meanwhile("POST /unpause");
}

#[test]
fn a_helper_killed_while_it_puts_a_frozen_container_to_sleep_leaves_that_to_the_next_one() {
    let scene = Scene::new("pause_after = \"300ms\"\nidle_timeout = \"1s\"\nbusy_cpu = 0");
    let mut quiet = scene.quiet();
    let started = scene.web.started_at();
    scene.paused(0);
    let gate = Gate::shut();
    scene.recorder.rule("POST /unpause", Action::GateCall(gate.clone()));
    scene.recorder.asked("POST /unpause", 0);
    scene.host.end_helper(SIGKILL);
    assert_eq!(quiet.end(), End::Reset);
    scene.recorder.rules(Vec::new());
    gate.open();
    scene.host.served_again("web");
    assert_ne!(scene.web.started_at(), started, "the sleep was not seen through");
    assert_eq!(scene.web.logs().matches("start ").count(), 2);
}

#[test]
fn a_pause_that_the_engine_refuses_disturbs_nobody_and_sleep_comes_all_the_same() {
    let scene = Scene::new("pause_after = \"500ms\"\nidle_timeout = \"3s\"\nbusy_cpu = 0");
    scene.recorder.rule("POST /pause", Action::Refuse(500, "cannot freeze it here"));
    let mut quiet = scene.quiet();
    let answered = |number: usize| {
        until("a refusal", || scene.recorder.calls("POST /pause").get(number)?.answered.map(drop));
    };
    answered(0);
    scene.host.says("cannot freeze it here");
    assert_eq!(quiet.ask("echo undisturbed"), "undisturbed");
    let used = scene.host.now();
    assert_eq!(scene.recorded_state(), "awake");
    // It is asked again once it has been used again.
    answered(1);
    scene.host.event("web", "slept");
    let slept = scene.host.at("web", "slept", 0) - used;
    assert!(slept > Duration::from_millis(2900) && slept < Duration::from_secs(7), "slept after {slept:?}");
    assert_eq!(scene.recorder.calls("POST /pause").len(), 2, "asked although nobody has used it since");
    assert_eq!(scene.host.count("web", "paused"), 0);
}

#[test]
fn a_thaw_that_the_engine_refuses_is_asked_for_again() {
    let scene = Scene::new(SOON);
    let mut quiet = scene.quiet();
    scene.paused(0);
    scene.recorder.rule("POST /unpause", Action::Refuse(500, "cannot thaw it now"));
    quiet.write_all(b"echo at last\n").unwrap();
    scene.recorder.asked("POST /unpause", 1);
    scene.recorder.rules(Vec::new());
    assert_eq!(quiet.read_line().unwrap(), "at last");
    scene.host.event("web", "unpaused");
    assert!(scene.host.look(|facts| facts.text()).contains("cannot thaw it now"));
}
