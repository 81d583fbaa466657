//! The container dies, vanishes, comes back, or was running before.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use crate::harness::{
    Action, Container, End, Gate, Host, Kind, NO_CONTAINER, PORT, PORT_TAKEN, Plan, behind_recorder, docker,
    free_port, until,
};

fn listen(config: &str) -> Host {
    Plan::new(config).socket("web", Kind::Tcp4).listen()
}

#[test]
fn a_container_that_dies_while_it_serves_resets_its_clients_and_is_woken_again() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", ""));
    let mut client = host.connect("web");
    let first = client.ask("who");
    docker(&["kill", web.name()]);
    assert_ne!(client.end(), End::Open);
    let line = host.event("web", "died");
    assert!(line.contains("137"), "no exit code in {line:?}");
    let second = host.served_again("web");
    assert_ne!(first.split(' ').next(), second.split(' ').next());
    assert!(host.look(|facts| facts.exits.iter().all(|(_, status)| status.success())));
}

#[test]
fn a_death_is_noticed_although_the_engine_cannot_tell_of_it_at_first() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", ""));
    let first = host.connect("web").ask("who");
    recorder.rule("GET /json", Action::Refuse(500, "too busy to look"));
    // An answer that is on its way would tell.
    until("the looks so far", || {
        recorder.calls("GET /json").iter().all(|call| call.answered.is_some()).then_some(())
    });
    docker(&["kill", web.name()]);
    until("a look that was refused twice", || {
        let calls = recorder.calls("GET /json");
        (calls.iter().filter(|call| call.status == Some(500)).count() >= 2).then_some(())
    });
    let died = host.look(|facts| facts.events("web", "died"));
    assert!(died.is_empty(), "{died:?} although nobody has told");
    recorder.rules(Vec::new());
    let mended = host.now();
    host.event("web", "died");
    let took = host.at("web", "died", 0) - mended;
    assert!(took < Duration::from_secs(5), "noticed {took:?} after the engine could tell");
    let second = host.served_again("web");
    assert_ne!(first.split(' ').next(), second.split(' ').next());
}

#[test]
fn a_container_stopped_by_hand_ends_the_helper_and_is_woken_by_the_next_client() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", ""));
    host.connect("web").ask("echo one");
    docker(&["stop", web.name()]);
    host.event("web", "died");
    assert!(host.exit().success());
    assert_eq!(host.connect("web").ask("echo two"), "two");
}

#[test]
fn a_container_removed_while_it_serves_can_be_made_again() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", ""));
    let mut client = host.connect("web");
    client.ask("echo one");
    web.remove();
    assert_ne!(client.end(), End::Open);
    assert_eq!(host.connect("web").end(), End::Reset);
    host.says(NO_CONTAINER.text());
    web.create();
    host.served_again("web");
}

#[test]
fn a_container_removed_while_it_sleeps_can_be_made_again() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", "idle_timeout = \"200ms\""));
    host.connect("web").ask("echo one");
    assert!(host.exit().success());
    web.remove();
    assert_eq!(host.connect("web").end(), End::Reset);
    assert!(host.event("web", "wake-failed").contains(NO_CONTAINER.text()));
    web.create();
    host.served_again("web");
}

#[test]
fn a_port_clash_with_another_container_is_shown_and_mended() {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:{PORT}");
    let other = Container::with("other", &["--publish", &publish], "");
    other.start();
    let web = Container::with("web", &["--publish", &publish], "");
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").end(), End::Reset);
    let line = host.event("web", "wake-failed");
    assert!(line.contains(PORT_TAKEN.text()), "{line:?}");
    docker(&["stop", other.name()]);
    host.served_again("web");
}

#[test]
fn a_port_clash_with_the_host_is_shown() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let publish = format!("{}:{PORT}", taken.local_addr().unwrap());
    let web = Container::with("web", &["--publish", &publish], "");
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").end(), End::Reset);
    assert!(host.event("web", "wake-failed").contains("address already in use"));
}

#[test]
fn a_leftover_is_adopted_and_goes_to_sleep() {
    let web = Container::new("web", "");
    web.start();
    let plan = Plan::new(&web.sidecar("web", "idle_timeout = \"700ms\"")).socket("web", Kind::Tcp4);
    let host = plan.boot();
    host.event("web", "adopted");
    host.event("web", "slept");
    assert!(host.exit().success());
    assert_eq!(web.status(), "exited");
    let (adopted, slept) = (host.at("web", "adopted", 0), host.at("web", "slept", 0));
    assert!(slept - adopted > Duration::from_millis(600), "it had {:?}", slept - adopted);
}

#[test]
fn a_leftover_that_is_used_stays() {
    let web = Container::new("web", "");
    web.start();
    let started = web.started_at();
    let plan = Plan::new(&web.sidecar("web", "idle_timeout = \"700ms\"")).socket("web", Kind::Tcp4);
    let host = plan.boot();
    host.event("web", "adopted");
    let mut client = host.connect("web");
    for _ in 0..8 {
        assert_eq!(client.ask("echo used"), "used");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(host.count("web", "slept"), 0);
    assert_eq!(web.started_at(), started);
}

#[test]
fn a_leftover_that_does_not_listen_yet_is_waited_for() {
    let web = Container::new("web", "--listen-after 2");
    web.start();
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").ask("echo at last"), "at last");
}

#[test]
fn a_paused_container_is_woken() {
    let web = Container::new("web", "");
    web.start();
    web.logged("listening");
    docker(&["pause", web.name()]);
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").ask("echo thawed"), "thawed");
    assert_eq!(web.status(), "running");
}

#[test]
fn a_byte_thaws_what_was_frozen_by_hand_although_the_engine_tells_of_that_late() {
    let web = Container::new("web", "");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", "busy_cpu = 0"));
    let mut client = host.connect("web");
    assert_eq!(client.ask("echo before"), "before");
    let (gate, looks) = (Gate::shut(), recorder.calls("GET /json").len());
    recorder.rule("GET /json", Action::GateAnswer(gate.clone()));
    docker(&["pause", web.name()]);
    recorder.asked("GET /json", looks);
    client.write_all(b"echo frozen\n").unwrap();
    client.is_taken();
    gate.open();
    assert_eq!(client.read_line().unwrap(), "frozen");
    host.event("web", "unpaused");
    recorder.rules(Vec::new());
    docker(&["pause", web.name()]);
    host.event_nth("web", "paused", 1);
    // What was answered before does not thaw it.
    host.never_nth("web", "unpaused", 1, Duration::from_secs(1));
}

#[test]
fn a_paused_leftover_is_put_to_sleep() {
    let web = Container::new("web", "");
    web.start();
    docker(&["pause", web.name()]);
    let plan = Plan::new(&web.sidecar("web", "idle_timeout = \"300ms\"")).socket("web", Kind::Tcp4);
    let host = plan.boot();
    host.event("web", "adopted");
    assert!(host.exit().success());
    assert_eq!(web.status(), "exited");
}
