//! What the next helper makes of a wake that was cut off.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

use crate::harness::{Action, Container, End, Kind, Plan, Recorder, docker, until};

/// A plan for `web` behind a recorder.
fn recorded(web: &Container, keys: &str) -> (Plan, Recorder, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", keys)).socket("web", Kind::Tcp4);
    (plan, recorder, dir)
}

#[test]
fn a_client_queued_while_a_start_was_cut_off_is_served_by_the_next_helper_at_once() {
    let web = Container::new("web", "");
    let (plan, recorder, _dir) = recorded(&web, "max_waiting = 1\nidle_timeout = \"5m\"");
    // The next helper's start takes as long: the client is let in before the container is known to run.
    recorder.rule("POST /start", Action::HoldAnswer(Duration::from_millis(1500)));
    let host = plan.listen();
    let mut first = host.connect("web");
    recorder.asked("POST /start", 0);
    let mut queued = host.connect("web");
    until("a client in the kernel's queue", || (host.queued("web") == 1).then_some(()));
    web.logged("listening");
    assert!(recorder.calls("POST /start")[0].answered.is_none(), "the start is no longer outstanding");
    host.end_helper(SIGKILL);
    assert_eq!(first.end(), End::Reset);
    let begun = Instant::now();
    assert_eq!(queued.ask("echo at once"), "at once");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "the queued client was served after {took:?}");
    assert_eq!(web.logs().matches("start ").count(), 1);
}

#[test]
fn a_container_stopped_by_hand_after_a_probe_was_cut_off_stays_stopped() {
    for signal in [SIGKILL, SIGTERM] {
        let web = Container::new("web", "--listen-after 1000");
        let (plan, recorder, _dir) = recorded(&web, "");
        let host = plan.no_restart().listen();
        let mut client = host.connect("web");
        let answered = until("the start's answer", || recorder.calls("POST /start").first()?.answered);
        until("a look at the container that runs", || {
            recorder.calls("GET /json").into_iter().find(|call| call.asked > answered)
        });
        web.logged("start ");
        host.end_helper(signal);
        assert_eq!(client.end(), End::Reset);
        let started = web.started_at();
        docker(&["stop", web.name()]);
        host.start();
        assert!(host.exit_nth(1).success(), "{signal}");
        assert_eq!(web.status(), "exited", "{signal}");
        assert_eq!(web.started_at(), started, "{signal}: nobody asked for it");
        assert_eq!(recorder.calls("POST /start").len(), 1, "{signal}");
    }
}
