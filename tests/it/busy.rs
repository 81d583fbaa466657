//! A container that works is in use, whoever is connected.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Action, Call, Container, Host, Recorder, Rule, behind_recorder, until};

const STATS: &str = "GET /stats";

struct Scene {
    host: Host,
    recorder: Recorder,
    web: Container,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(keys: &str) -> Scene {
        let web = Container::new("web", "");
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", keys));
        Scene { host, recorder, web, _dir }
    }

    /// Leaves it at work for so many seconds.
    #[track_caller]
    fn burn(&self, seconds: u32) {
        assert_eq!(self.host.connect("web").ask(&format!("burn {seconds}")), "burning");
    }

    /// Whether it still worked when its stop or pause was asked for.
    fn was_at_work(&self) -> bool {
        !self.web.logs().contains("rests")
    }

    /// Waits until it has slept, and says when that was.
    #[track_caller]
    fn slept(&self) -> Duration {
        self.host.event("web", "slept");
        self.host.at("web", "slept", 0)
    }
}

#[test]
fn who_works_after_his_client_has_left_is_kept_awake_and_sleeps_when_he_rests() {
    let scene = Scene::new("idle_timeout = \"1s\"");
    scene.burn(5);
    scene.slept();
    assert!(!scene.was_at_work(), "stopped in the middle of its work");
    assert_eq!(scene.web.status(), "exited");
    assert!(scene.host.exit().success());
}

#[test]
fn who_works_is_not_paused() {
    let scene = Scene::new("pause_after = \"1s\"\nidle_timeout = \"5m\"");
    scene.burn(5);
    scene.host.event("web", "paused");
    assert!(!scene.was_at_work(), "paused in the middle of its work");
    assert_eq!(scene.web.status(), "paused");
}

#[test]
fn what_works_less_than_the_mark_sleeps() {
    // One core at most, where the mark is at one and a half.
    let scene = Scene::new("idle_timeout = \"1s\"\nbusy_cpu = 150");
    scene.burn(60);
    scene.slept();
    assert!(scene.was_at_work());
    assert!(!scene.recorder.calls(STATS).is_empty());
}

#[test]
fn with_busy_cpu_0_nobody_asks_what_it_works() {
    let scene = Scene::new("idle_timeout = \"1s\"\nbusy_cpu = 0");
    scene.burn(60);
    scene.slept();
    assert!(scene.was_at_work());
    assert_eq!(scene.recorder.calls(STATS).len(), 0);
}

#[test]
fn the_cpu_time_is_asked_for_twice_at_the_end_of_an_idle_period_and_never_during_traffic() {
    let scene = Scene::new("idle_timeout = \"2s\"");
    let mut client = scene.host.connect("web");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        client.ask("echo still");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(scene.recorder.calls(STATS).is_empty(), "asked during traffic");
    client.ask("echo the last");
    let answered = Instant::now();
    scene.slept();
    let calls = scene.recorder.calls(STATS);
    let [first, second] = calls.as_slice() else { panic!("not two: {calls:?}") };
    for call in [first, second] {
        assert!(call.path.contains("stream=false") && call.path.contains("one-shot=true"), "{}", call.path);
        assert_eq!(call.status, Some(200));
    }
    let after = |call: &Call| call.asked - answered;
    let window = second.asked - first.asked;
    assert!(after(first) > Duration::from_millis(1500), "the first after {:?}", after(first));
    assert!(window > Duration::from_millis(380) && window < Duration::from_millis(1800), "{window:?} apart");
    let stop = scene.recorder.calls("POST /stop")[0].asked;
    assert!(second.answered.unwrap() <= stop, "stopped before the answer");
    assert!(stop - second.answered.unwrap() < Duration::from_millis(500), "the second was not the last word");
}

#[test]
fn each_period_at_work_costs_two_questions() {
    let scene = Scene::new("idle_timeout = \"2s\"");
    scene.burn(7);
    scene.slept();
    assert!(!scene.was_at_work());
    let calls = scene.recorder.calls(STATS);
    assert_eq!(calls.len() % 2, 0, "{calls:?}");
    assert!(calls.len() >= 4, "{calls:?}");
    for pair in calls.chunks(4).filter(|calls| calls.len() == 4) {
        let period = pair[3].asked - pair[1].answered.unwrap();
        assert!(period > Duration::from_millis(1900), "the idle clock did not begin anew: {period:?}");
    }
}

#[test]
fn an_engine_that_does_not_tell_is_said_once_and_it_sleeps_all_the_same() {
    let scene = Scene::new("idle_timeout = \"1s\"");
    let refuse = |call| Rule { call, action: Action::Refuse(500, "not here") };
    scene.recorder.rules(vec![refuse(STATS), refuse("POST /stop")]);
    scene.host.connect("web").ask("echo one");
    until("two stops refused", || scene.recorder.calls("POST /stop").get(1)?.answered);
    scene.recorder.rules(vec![refuse(STATS)]);
    scene.slept();
    let told = scene.host.look(|facts| facts.text().matches("busy_cpu").count());
    assert_eq!(told, 1, "said {told} times");
    assert!(scene.host.exit().success());
}

#[test]
fn one_refusal_to_tell_does_not_turn_it_off() {
    let scene = Scene::new("idle_timeout = \"3s\"");
    scene.recorder.rule(STATS, Action::Refuse(500, "try again"));
    scene.burn(15);
    until("a refusal", || scene.recorder.calls(STATS).first()?.answered);
    scene.recorder.rules(Vec::new());
    scene.host.never("web", "slept", Duration::from_secs(8));
}
