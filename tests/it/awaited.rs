//! Whoever waits for something is neither left with a frozen container nor cut off by sleep.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Container, End, Gate, Host, Kind, Network, Plan, Recorder, docker, engine_vanishes_in, until,
};

/// A container with a second server that listens on its second port only `later`, and a host with a socket for each.
fn with_a_later_port(later: u32, keys: &str) -> (Container, Host) {
    let servers = format!("python3 /servers.py & sleep {later}; exec python3 /servers.py --port 8001");
    let web = Container::running(
        "web",
        &["--volume", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro")],
        &["bash", "-c", &servers],
    );
    let plan = Plan::new("").socket("web", Kind::Tcp4).socket("web", Kind::Tcp4);
    let (one, two) = (plan.listener("web", 0).port(), plan.listener("web", 1).port());
    let ports = format!("port = {{ {one} = 8000, {two} = 8001 }}");
    let name = web.name();
    let table = format!(
        "[sidecar.web]\ncontainer = \"{name}\"\n{ports}\nwake_timeout = \"20s\"\nbusy_cpu = 0\n{keys}\n"
    );
    (web, plan.config(&table).listen())
}

#[test]
fn who_waits_for_its_port_is_not_left_with_a_frozen_container() {
    let (web, host) = with_a_later_port(4, "pause_after = \"2s\"");
    host.connect("web").ask("echo one");
    let mut second = host.connect_nth("web", 1);
    second.deadline(Duration::from_secs(15));
    let answer = second.try_ask("echo two");
    assert!(answer.is_ok(), "{answer:?}; container {}", web.status());
}

#[test]
fn who_waits_for_its_port_is_not_cut_off_by_sleep() {
    let (web, host) = with_a_later_port(5, "idle_timeout = \"2s\"\nstop_timeout = \"1s\"");
    host.connect("web").ask("echo one");
    let mut second = host.connect_nth("web", 1);
    second.deadline(Duration::from_secs(15));
    let answer = second.try_ask("echo two");
    assert!(answer.is_ok(), "{answer:?}; container {}", web.status());
}

#[test]
fn who_rests_in_the_middle_of_an_answer_gets_all_of_it() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "pause_after = \"1s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut client = host.connect("web");
    client.write_all(b"source 100000000\n").unwrap();
    let mut some = [0; 1000];
    client.read_exact(&mut some).unwrap();
    thread::sleep(Duration::from_secs(3));
    client.deadline(Duration::from_secs(8));
    let mut rest = Vec::new();
    let ended = client.read_to_end(&mut rest);
    assert!(ended.is_ok(), "{ended:?} after {} bytes of 100000000; container {}", rest.len(), web.status());
}

#[test]
fn whoever_comes_when_it_is_full_is_served_in_the_end() {
    let web = Container::new("web", "");
    let host =
        Plan::new(&web.sidecar(
            "web",
            "max_connections = 1\npause_after = \"500ms\"\nidle_timeout = \"3s\"\nbusy_cpu = 0",
        ))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut quiet = host.connect("web");
    quiet.ask("echo one");
    host.event("web", "paused");
    let mut second = host.connect("web");
    second.deadline(Duration::from_secs(10));
    let answer = second.try_ask("echo two");
    assert!(answer.is_ok(), "{answer:?}; container {}", web.status());
}

#[test]
fn a_stop_that_the_engine_never_had_is_not_repeated_under_a_client() {
    let web = Container::new("web", "");
    let (dir, _host, mut client, _) = engine_vanishes_in("POST /stop", &web, "idle_timeout = \"500ms\"");
    let begun = Instant::now();
    let mut engine = None;
    while begun.elapsed() < Duration::from_secs(5) {
        assert_eq!(client.ask("echo in use"), "in use");
        if begun.elapsed() > Duration::from_secs(2) && engine.is_none() {
            engine = Some(Recorder::new(&dir.path().join("engine.sock")));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_engine_that_goes_during_a_pause_costs_no_client() {
    let web = Container::new("web", "");
    let (_dir, host, mut quiet, _) = engine_vanishes_in("POST /pause", &web, "pause_after = \"500ms\"");
    assert_eq!(quiet.ask("echo two"), "two");
    assert_eq!(host.connect("web").try_ask("echo new").ok().as_deref(), Some("new"));
}

/// A sidecar that is awake, and a gate before what the engine tells of its container from now on. In its network it is alone, so
/// that nobody else gets its address.
fn with_a_late_look() -> (Network, Container, tempfile::TempDir, Recorder, Gate, Host) {
    let network = Network::new("alone");
    let web = Container::with("web", &["--network", network.name()], "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let host = Plan::with_engine(recorder.path(), &web.sidecar("web", "busy_cpu = 0"))
        .env("ROUSE_LOG", "debug")
        .socket("web", Kind::Tcp4)
        .listen();
    host.connect("web").ask("echo one");
    let gate = Gate::shut();
    recorder.rule("GET /json", Action::GateAnswer(gate.clone()));
    (network, web, dir, recorder, gate, host)
}

/// Waits until the helper has found that it cannot reach the container.
fn is_not_reached(host: &Host) {
    host.says("for a client: ");
}

#[test]
fn who_comes_before_its_death_is_known_is_served_by_the_next_run() {
    let (_network, web, _dir, _recorder, gate, host) = with_a_late_look();
    let before = web.started_at();
    web.end_by_itself();
    until("the container's end", || (web.status() == "exited").then_some(()));
    let mut client = host.connect("web");
    is_not_reached(&host);
    gate.open();
    assert_eq!(client.ask("echo two"), "two");
    assert_ne!(web.started_at(), before);
}

#[test]
fn who_comes_while_it_is_restarted_is_served_by_the_new_run() {
    let (_network, web, _dir, _recorder, gate, host) = with_a_late_look();
    let before = web.started_at();
    docker(&["stop", "--time", "1", web.name()]);
    let mut client = host.connect("web");
    is_not_reached(&host);
    web.start();
    gate.open();
    assert_eq!(client.ask("echo two"), "two");
    assert_ne!(web.started_at(), before);
    assert_eq!(host.count("web", "waking"), 1, "it was woken, though it ran");
}

#[test]
fn who_cannot_be_connected_to_a_container_that_runs_on_is_reset_after_a_look() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let plan = Plan::with_engine(recorder.path(), "").socket("web", Kind::Tcp4).socket("web", Kind::Tcp4);
    let (one, two) = (plan.listener("web", 0).port(), plan.listener("web", 1).port());
    // Nothing listens on the second one.
    let name = web.name();
    let table = format!(
        "[sidecar.web]\ncontainer = \"{name}\"\nport = {{ {one} = 8000, {two} = 9 }}\nwake_timeout = \"5s\"\nbusy_cpu = 0\n"
    );
    let host = plan.config(&table).listen();
    host.connect("web").ask("echo one");
    let looks = recorder.calls("GET /json").len();
    let mut second = host.connect_nth("web", 1);
    assert_eq!(second.end(), End::Reset);
    assert!(recorder.calls("GET /json").len() > looks, "it was not looked at");
    assert_eq!(host.connect("web").ask("echo two"), "two");
    assert_eq!(host.count("web", "waking"), 1);
}
