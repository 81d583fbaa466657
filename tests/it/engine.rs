//! The calls to the engine: version, order, every refusal shown.

use std::time::Duration;

use crate::harness::{
    Action, Call, Container, End, Host, Kind, NO_COMMAND, NO_CONTAINER, Network, PORT, Plan, Recorder, Rule,
    behind_recorder, docker, engine_version, is_podman, is_reset, skip, until,
};

/// The version of each call's path: none for a ping.
fn versions(recorder: &Recorder) -> Vec<String> {
    let calls = recorder.all();
    let version =
        |call: &Call| call.path.strip_prefix("/v").and_then(|rest| Some(rest.split_once('/')?.0.to_owned()));
    calls
        .iter()
        .filter(|call| !call.path.ends_with("/_ping"))
        .map(|call| version(call).unwrap_or_default())
        .collect()
}

#[test]
fn the_version_is_the_engines_own() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").ask("echo one"), "one");
    assert!(!recorder.all().is_empty());
    assert!(recorder.all().iter().any(|call| call.path.ends_with("/_ping")), "nobody asked for the version");
    for version in versions(&recorder) {
        assert_eq!(version, engine_version());
    }
}

#[test]
fn an_engine_far_newer_than_rouse_is_asked_in_a_version_that_rouse_knows() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let announce = |version| Rule { call: "GET /", action: Action::Announce(version) };
    let all = |version| ["POST /", "HEAD /"].map(|call| Rule { call, action: Action::Announce(version) });
    recorder.rules([announce("1.51")].into_iter().chain(all("1.51")).collect());
    let host = Plan::with_engine(recorder.path(), &web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").ask("echo one"), "one");
    for version in versions(&recorder) {
        assert_eq!(version, "1.51");
    }
}

#[test]
fn an_answer_to_the_start_is_waited_for_however_late_it_is() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldAnswer(Duration::from_secs(3)));
    let config =
        web.sidecar("web", "wake_timeout = \"500ms\"\nwhen_late = \"refuse\"\nidle_timeout = \"300ms\"");
    let host = Plan::with_engine(recorder.path(), &config).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    let begun = host.now();
    assert_eq!(client.end(), End::Reset);
    let waited = host.now() - begun;
    assert!(waited < Duration::from_secs(2), "reset only after {waited:?}: clients obey wake_timeout");
    let start = until("the start's answer", || {
        recorder.calls("POST /start").into_iter().find(|c| c.answered.is_some())
    });
    assert!(!start.cut_off);
    let meanwhile = recorder.all().into_iter().filter(|call| {
        call.method == "POST" && call.asked > start.asked && call.asked < start.answered.unwrap()
    });
    assert_eq!(meanwhile.count(), 0, "something was asked of the container while its start was outstanding");
}

#[test]
fn start_and_stop_never_overlap() {
    let web = Container::new("web", "--term-takes 0.6");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"200ms\""));
    for round in 0..3 {
        assert_eq!(host.connect("web").ask("echo one"), "one");
        recorder.asked("POST /stop", round);
        // This client comes while the stop is under way.
    }
    assert_eq!(host.connect("web").ask("echo last"), "last");
    let stops = recorder.calls("POST /stop");
    for start in recorder.calls("POST /start") {
        for stop in &stops {
            let apart =
                stop.answered.is_some_and(|end| end < start.asked) || start.answered.unwrap() < stop.asked;
            assert!(apart, "a start while a stop was outstanding");
        }
    }
}

#[test]
fn a_container_that_somebody_else_has_just_started_is_served() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    let name = web.name().to_owned();
    recorder.rule("POST /start", Action::Before(Box::new(move || drop(docker(&["start", &name])))));
    assert_eq!(host.connect("web").ask("echo already"), "already");
    assert_eq!(recorder.calls("POST /start")[0].status, Some(304));
}

#[test]
fn a_container_that_somebody_else_has_just_stopped_is_asleep() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "idle_timeout = \"200ms\""));
    let name = web.name().to_owned();
    recorder.rule("POST /stop", Action::Before(Box::new(move || drop(docker(&["stop", &name])))));
    assert_eq!(host.connect("web").ask("echo one"), "one");
    assert!(host.exit().success());
    assert_eq!(host.connect("web").ask("echo two"), "two");
}

/// The first client is reset, and the journal has `words`.
#[track_caller]
fn fails(host: &Host, words: &[&str]) {
    assert_eq!(host.connect("web").end(), End::Reset);
    host.event("web", "wake-failed");
    for word in words {
        host.says(word);
    }
    let status = host.look(|facts| facts.exits.first().copied());
    assert!(status.is_none_or(|(_, status)| status.success()), "a failed wake is not a failed helper");
}

#[test]
fn a_missing_container_is_named() {
    let config = format!("[sidecar.web]\ncontainer = \"rouse-it-missing\"\nport = {PORT}\n");
    let (_dir, recorder, host) = behind_recorder(&config);
    fails(&host, &["rouse-it-missing", NO_CONTAINER.text()]);
    assert!(recorder.all().iter().any(|call| call.status == Some(NO_CONTAINER.status())));
}

#[test]
fn a_name_that_begins_a_strangers_id_is_no_name_of_its() {
    for runs in [false, true] {
        let stranger = Container::new("stranger", "");
        if runs {
            stranger.start();
        }
        // The engine takes any beginning that only one container has; six digits are no other's.
        let name = &stranger.inspect("{{.Id}}")[..6];
        let before = (stranger.status(), stranger.started_at());
        let config = format!("[sidecar.{name}]\nport = {PORT}\nidle_timeout = \"300ms\"\n");
        let host = Plan::new(&config).socket(name, Kind::Tcp4).listen();
        assert_eq!(host.connect(name).end(), End::Reset);
        assert!(host.event(name, "wake-failed").contains("No such container"));
        assert!(host.exit().success());
        assert_eq!((stranger.status(), stranger.started_at()), before);
    }
}

#[test]
fn a_missing_network_is_not_taken_for_a_missing_container() {
    if is_podman() {
        return skip("Podman removes no network that a container is in");
    }
    let network = Network::new("gone");
    let web = Container::with("web", &["--network", network.name()], "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    docker(&["network", "rm", network.name()]);
    fails(&host, &["network", "not found"]);
    assert_eq!(recorder.calls("POST /start")[0].status, Some(404));
    assert!(!host.look(|facts| facts.text()).contains(NO_CONTAINER.text()));
}

#[test]
fn a_conflict_is_shown_in_the_engines_words() {
    if is_podman() {
        return skip("Podman starts the container too whose network another one shares");
    }
    let other = Container::new("other", "");
    let network = format!("container:{}", other.name());
    let web = Container::with("web", &["--network", &network], "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    // Docker 20.10: "cannot join network of …"; 28: "cannot join network namespace of …".
    fails(&host, &["of a non running container"]);
    assert_eq!(recorder.calls("POST /start")[0].status, Some(409));
}

#[test]
fn a_bad_command_is_shown_in_the_engines_words() {
    let web = Container::running("web", &[], &["/no/such/program"]);
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    fails(&host, &["/no/such/program", NO_COMMAND.text()]);
    assert_eq!(recorder.calls("POST /start")[0].status, Some(NO_COMMAND.status()));
}

#[test]
fn a_broken_engine_is_shown_in_its_own_words_and_not_asked_at_once_again() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    recorder.rule("POST /start", Action::Refuse(500, "the storage driver has lost its mind"));
    fails(&host, &["the storage driver has lost its mind"]);
    let asked = recorder.all().len();
    // Within the first second clients are reset at once, and the engine is left in peace.
    for _ in 0..5 {
        assert!(is_reset(&host.connect("web").try_ask("echo again").unwrap_err()));
    }
    assert_eq!(recorder.calls("POST /start").len(), 1);
    assert!(recorder.all().len() <= asked + 1, "the engine was asked inside the window");
    recorder.rules(Vec::new());
    until("an answer after the window", || host.connect("web").try_ask("echo mended").ok());
}

#[test]
fn attempts_are_spaced_out_further_and_further() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    recorder.rule("POST /start", Action::Refuse(500, "no"));
    until("three attempts", || {
        host.connect("web").end();
        std::thread::sleep(Duration::from_millis(20));
        Some(()).filter(|()| recorder.calls("POST /start").len() >= 3)
    });
    let starts = recorder.calls("POST /start");
    let gaps = [starts[1].asked - starts[0].asked, starts[2].asked - starts[1].asked];
    assert!(gaps[0] >= Duration::from_millis(900), "the second attempt came after {:?}", gaps[0]);
    assert!(gaps[1] >= Duration::from_millis(1800), "the third attempt came {:?} after the second", gaps[1]);
    assert!(host.look(|facts| facts.starts.len()) <= 3, "helpers come and go instead of waiting");
}
