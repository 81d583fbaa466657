//! Containers that run without a helper are given one by `rouse adopt`; nothing else is touched.

use std::os::unix::net::UnixListener;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Container, Gate, Recorder, SERVERS, Town, docker, home, is_podman, output, skip,
};

/// What it has printed, and its exit code.
fn adopt(town: &Town) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = output(&mut town.rouse(&["adopt"]));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

const SOON: &str = "busy_cpu = 0\nidle_timeout = \"500ms\"\n";
const LONG: &str = "busy_cpu = 0\nidle_timeout = \"20m\"\n";

#[test]
fn what_was_started_by_hand_is_adopted_and_sleeps_when_it_is_idle_and_the_others_are_left_alone() {
    let [web, frozen, db, off] = ["web", "frozen", "db", "off"].map(|name| Container::new(name, ""));
    let town = Town::new(
        &(web.sidecar("web", SOON)
            + &frozen.sidecar("frozen", SOON)
            + &db.sidecar("db", SOON)
            + &off.sidecar("off", SOON)),
    );
    let hosts = town.settle(true, &["web", "frozen", "db"]);
    [&web, &frozen, &off].into_iter().for_each(Container::start);
    docker(&["pause", frozen.name()]);
    let (code, said, complaints) = adopt(&town);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    let expected = [("frozen", frozen.name()), ("web", web.name())]
        .map(|(name, its)| format!("{name}: container {its} was up without a helper, and has one now"));
    assert_eq!(lines, expected);
    for name in ["web", "frozen"] {
        home(&hosts, name).event(name, "adopted");
        home(&hosts, name).event(name, "slept");
    }
    assert_eq!([web.status(), frozen.status(), off.status()], ["exited", "exited", "running"]);
    assert_eq!(home(&hosts, "db").look(|facts| facts.starts.len()), 0, "it is asleep");
}

#[test]
fn what_is_just_being_stopped_by_hand_stays_down() {
    if is_podman() {
        return skip("Podman does not list a container that is being stopped as running");
    }
    let server = "trap 'echo asked; until [ -e /tmp/end ]; do sleep 0.1; done; exit 0' TERM; python3 /servers.py & \
                  while :; do sleep 0.1; done";
    let web = Container::running("web", &["--volume", SERVERS], &["bash", "-c", server]);
    let town = Town::new(&web.sidecar("web", LONG));
    let hosts = town.settle(true, &["web"]);
    web.start();
    web.logged("listening");
    let started = web.started_at();
    thread::scope(|scope| {
        scope.spawn(|| docker(&["stop", "--time", "60", web.name()]));
        web.logged("asked");
        assert_eq!(adopt(&town).0, Some(0));
        home(&hosts, "web").event("web", "adopted");
        docker(&["exec", web.name(), "touch", "/tmp/end"]);
    });
    home(&hosts, "web").event("web", "died");
    home(&hosts, "web").wait("its helper's end", |facts| (!facts.exits.is_empty()).then_some(()));
    assert_eq!((web.status(), web.started_at()), ("exited".to_owned(), started));
}

#[test]
fn an_engine_is_asked_once_for_all_that_have_no_helper_and_not_at_all_where_none_is_missing() {
    let [web, db] = ["web", "db"].map(|name| Container::new(name, ""));
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let keys = format!("{LONG}engine = \"unix://{}\"\n", recorder.path().display());
    let town = Town::new(&(web.sidecar("web", &keys) + &db.sidecar("db", &keys)));
    let hosts = town.settle(true, &["web", "db"]);
    assert_eq!(adopt(&town), (Some(0), String::new(), String::new()));
    let asked: Vec<_> = recorder.all().into_iter().map(|call| call.path).collect();
    assert!(
        asked.len() == 2 && asked[0] == "/_ping" && asked[1].ends_with("/containers/json?all=true"),
        "{asked:?}"
    );
    assert!(hosts.iter().all(|host| host.look(|facts| facts.starts.is_empty())), "a helper was started");

    let _clients: Vec<_> = ["web", "db"]
        .map(|name| {
            let mut client = home(&hosts, name).connect(name);
            client.ask("who");
            client
        })
        .into();
    assert_eq!(adopt(&town), (Some(0), String::new(), String::new()));
    assert_eq!(recorder.calls("GET /containers/json").len(), 1);
}

#[test]
fn what_is_wrong_with_one_is_said_and_the_others_are_adopted() {
    let [web, lost, more] = ["web", "lost", "more"].map(|name| Container::new(name, ""));
    let nowhere = format!("{LONG}engine = \"unix:///nowhere/engine.sock\"\n");
    let town = Town::new(
        &(web.sidecar("web", LONG)
            + &lost.sidecar("lost", &nowhere)
            + &more.sidecar("more", &nowhere)
            + "[sidecar.broken]\nport = 0\n"),
    );
    let hosts = town.settle(true, &["web", "lost", "more", "broken"]);
    web.start();
    let (code, said, complaints) = adopt(&town);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("web: ") && said.lines().count() == 1, "{said}");
    home(&hosts, "web").event("web", "adopted");
    let of = |what: &str| complaints.lines().filter(|line| line.contains(what)).count();
    assert_eq!([of("/nowhere/engine.sock"), of("rouse check")], [1, 1], "{complaints}");
}

#[test]
fn an_engine_or_a_helper_that_hangs_keeps_nobody_waiting() {
    let [web, slow, dumb] = ["web", "slow", "dumb"].map(|name| Container::new(name, ""));
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let gate = Gate::shut();
    recorder.rule("GET /containers/json", Action::GateCall(gate.clone()));
    let hanging = format!("{LONG}engine = \"unix://{}\"\n", recorder.path().display());
    let town = Town::new(
        &(web.sidecar("web", LONG) + &slow.sidecar("slow", &hanging) + &dumb.sidecar("dumb", LONG)),
    );
    let hosts = town.settle(true, &["web", "slow"]);
    // It listens, and nobody is behind it.
    let _dumb = UnixListener::bind(town.control_folder().join("dumb.sock")).unwrap();
    [&web, &slow, &dumb].into_iter().for_each(Container::start);
    let begun = Instant::now();
    let (code, said, complaints) = adopt(&town);
    let took = begun.elapsed();
    gate.open();
    assert_eq!(code, Some(1));
    assert!(said.starts_with("web: ") && said.lines().count() == 1, "{said}");
    home(&hosts, "web").event("web", "adopted");
    let engine = recorder.path().display().to_string();
    assert!(complaints.contains(&engine) && complaints.contains("dumb: its helper"), "{complaints}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
