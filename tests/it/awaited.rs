//! Whoever waits for something is neither left with a frozen container nor cut off by sleep.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Container, Host, Kind, Plan, Recorder, engine_vanishes_in};

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
