//! The engine restarts, hangs or vanishes while containers run on or die with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};

use crate::harness::{
    Action, Client, Container, Control, End, Engine, Host, Kind, Plan, Recorder, engine_vanishes_in, until,
};

/// Answers each line with itself, in place of a container that only sleeps.
fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(&mut stream));
        }
    });
    address
}

fn echo(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// A sidecar in an engine of its own.
fn on(engine: &Engine, keys: &str) -> Host {
    engine.create("web");
    let table = format!("[sidecar.web]\ncontainer = \"web\"\naddress = \"{}\"\n{keys}\n", echo_server());
    Plan::with_engine(&engine.socket(), &table).socket("web", Kind::Tcp4).listen()
}

#[track_caller]
fn lives_on(client: &mut Client) {
    assert_eq!(client.ask("lives on"), "lives on");
}

/// A new client, and how soon it is served.
#[track_caller]
fn is_served_at_once(host: &Host) {
    let begun = Instant::now();
    lives_on(&mut host.connect("web"));
    let took = begun.elapsed();
    // An engine that hangs is given 10 s.
    assert!(took < Duration::from_secs(5), "served after {took:?}, by way of the engine");
}

#[test]
fn an_engine_with_live_restore_restarts_unnoticed_by_clients_and_sleep_comes_afterwards() {
    let Some(mut engine) = Engine::new(&["--live-restore"]) else { return };
    let host = on(&engine, "idle_timeout = \"2s\"");
    let mut client = host.connect("web");
    lives_on(&mut client);
    for _ in 0..2 {
        engine.stop();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2500) {
            lives_on(&mut client);
            is_served_at_once(&host);
            thread::sleep(Duration::from_millis(100));
        }
        engine.start();
        assert_eq!(engine.status("web"), "running");
        lives_on(&mut client);
    }
    assert_eq!(
        (host.count("web", "died"), host.count("web", "slept"), host.count("web", "wake-failed")),
        (0, 0, 0)
    );
    host.event("web", "slept");
    assert_eq!(engine.status("web"), "exited");
    assert!(host.exit().success());
}

#[test]
fn an_engine_that_is_killed_and_comes_back_with_live_restore_is_asked_anew() {
    let Some(mut engine) = Engine::new(&["--live-restore"]) else { return };
    let host = on(&engine, "");
    let mut client = host.connect("web");
    lives_on(&mut client);
    engine.signal(SIGKILL);
    host.event("web", "engine-unreachable");
    lives_on(&mut client);
    is_served_at_once(&host);
    engine.wait();
    engine.start();
    lives_on(&mut client);
    // It is followed again.
    engine.docker(&["pause", "web"]);
    assert!(host.event("web", "paused").contains("by hand"));
    lives_on(&mut client);
    assert_eq!(engine.status("web"), "running");
}

#[test]
fn an_engine_without_live_restore_takes_its_containers_along_and_the_next_client_wakes_them() {
    let Some(mut engine) = Engine::new(&[]) else { return };
    let host = on(&engine, "");
    let mut client = host.connect("web");
    lives_on(&mut client);
    engine.stop();
    engine.start();
    host.event("web", "died");
    assert_ne!(client.end(), End::Open);
    assert_eq!(engine.status("web"), "exited");
    // Until rouse has heard that the engine is back, clients are connected straight to the address.
    until("a client wakes it", || {
        host.served_again("web");
        (engine.status("web") == "running").then_some(())
    });
}

#[test]
fn while_the_engine_hangs_clients_are_served_and_nothing_is_stopped() {
    let Some(engine) = Engine::new(&[]) else { return };
    let host = on(&engine, "idle_timeout = \"2s\"");
    let mut client = host.connect("web");
    lives_on(&mut client);
    engine.signal(SIGSTOP);
    let begun = Instant::now();
    // Longer than the patience with any of its answers.
    while begun.elapsed() < Duration::from_secs(14) {
        lives_on(&mut client);
        is_served_at_once(&host);
        thread::sleep(Duration::from_millis(300));
    }
    engine.signal(SIGCONT);
    let back = host.now();
    lives_on(&mut client);
    assert_eq!((host.count("web", "died"), host.count("web", "slept")), (0, 0));
    host.event("web", "slept");
    let slept = host.at("web", "slept", 0);
    assert!(slept > back + Duration::from_millis(1800), "slept {:?} after its last use", slept - back);
    assert!(host.exit().success());
}

#[track_caller]
fn is_kept_awake_by_who_comes_while_the_engine_hangs(keys: &str) {
    let Some(engine) = Engine::new(&[]) else { return };
    let host = on(&engine, &format!("idle_timeout = \"2s\"\n{keys}"));
    let mut client = host.connect("web");
    lives_on(&mut client);
    // Once that is told, nothing is asked of the engine until something is due.
    engine.docker(&["pause", "web"]);
    engine.docker(&["unpause", "web"]);
    host.event("web", "unpaused");
    engine.signal(SIGSTOP);
    // Sleep becomes due meanwhile.
    thread::sleep(Duration::from_secs(4));
    is_served_at_once(&host);
    lives_on(&mut client);
    engine.signal(SIGCONT);
    let back = host.now();
    host.event("web", "slept");
    let slept = host.at("web", "slept", 0);
    assert!(slept > back + Duration::from_millis(1800), "slept {:?} after its last use", slept - back);
}

#[test]
fn who_comes_while_the_engine_hangs_and_sleep_is_due_keeps_it_awake() {
    is_kept_awake_by_who_comes_while_the_engine_hangs("");
}

#[test]
fn who_comes_while_the_engine_hangs_keeps_it_awake_also_where_the_cpu_is_not_looked_at() {
    is_kept_awake_by_who_comes_while_the_engine_hangs("busy_cpu = 0");
}

#[test]
fn who_comes_while_the_engine_hangs_and_a_pause_is_due_is_served_at_once() {
    is_kept_awake_by_who_comes_while_the_engine_hangs("busy_cpu = 0\npause_after = \"1s\"");
}

#[test]
fn an_engine_that_vanishes_in_the_middle_of_an_idle_stop_is_asked_again_when_it_is_back() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    engine.rule("POST /stop", Action::HoldCall(Duration::from_secs(60)));
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "idle_timeout = \"500ms\"\nbusy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    host.connect("web").ask("echo one");
    engine.asked("POST /stop", 0);
    drop(engine);
    host.event("web", "engine-unreachable");
    assert_eq!(web.status(), "running");
    thread::sleep(Duration::from_secs(2));
    let engine = Recorder::new(&socket);
    engine.asked("POST /stop", 0);
    until("a stopped container", || (web.status() == "exited").then_some(()));
    assert!(host.exit().success());
    assert_eq!(engine.calls("POST /start").len(), 0);
    assert_eq!(host.connect("web").ask("echo two"), "two");
}

#[test]
fn who_comes_after_the_engine_has_vanished_in_a_stop_is_served_by_what_still_runs() {
    let web = Container::new("web", "");
    let (dir, host, _client, first) = engine_vanishes_in("POST /stop", &web, "idle_timeout = \"500ms\"");
    let second = host.connect("web").ask("who");
    assert_eq!(first.split(' ').next(), second.split(' ').next());
    let engine = Recorder::new(&dir.path().join("engine.sock"));
    host.event("web", "slept");
    assert_eq!((engine.calls("POST /stop").len(), engine.calls("POST /start").len()), (1, 0));
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_hold_outlives_an_outage_and_keeps_it_awake_afterwards() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "idle_timeout = \"500ms\"\nbusy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).control(dir.path(), "web").listen();
    let kept = Control::new(dir.path(), "web").hold("somebody");
    drop(engine);
    host.event("web", "engine-unreachable");
    thread::sleep(Duration::from_secs(2));
    let engine = Recorder::new(&socket);
    engine.asked("GET /json", 0);
    host.never("web", "slept", Duration::from_secs(2));
    drop(kept);
    host.event("web", "slept");
}

#[test]
fn an_outage_is_told_once_and_not_at_each_try() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    let plan = Plan::with_engine(&socket, &web.sidecar("web", ""));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    drop(engine);
    host.event("web", "engine-unreachable");
    host.never_nth("web", "engine-unreachable", 1, Duration::from_secs(5));
    assert_eq!(client.ask("echo two"), "two");
}

#[test]
fn nobody_who_wants_it_asleep_waits_for_an_engine_that_is_away() {
    let Some(mut engine) = Engine::new(&["--live-restore"]) else { return };
    engine.create("web");
    let folder = tempfile::tempdir().unwrap();
    let table = format!("[sidecar.web]\ncontainer = \"web\"\naddress = \"{}\"\n", echo_server());
    let plan = Plan::with_engine(&engine.socket(), &table).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").listen();
    let control = Control::new(folder.path(), "web");
    lives_on(&mut host.connect("web"));
    engine.stop();
    for sleep in ["sleep", "sleep?force", "yield?to=other"] {
        let begun = Instant::now();
        let (status, body) = control.post(sleep);
        assert_eq!(status, 503, "{sleep}: {body}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{sleep} took {:?}", begun.elapsed());
    }
    engine.start();
    until("a sleep", || (control.post("sleep").0 == 200).then_some(()));
    assert_eq!(engine.status("web"), "exited");
}

#[test]
fn who_is_let_through_without_the_engine_is_counted() {
    let Some(mut engine) = Engine::new(&["--live-restore"]) else { return };
    engine.create("web");
    engine.stop();
    let folder = tempfile::tempdir().unwrap();
    let table = format!("[sidecar.web]\ncontainer = \"web\"\naddress = \"{}\"\n", echo_server());
    let plan = Plan::with_engine(&engine.socket(), &table).socket("web", Kind::Tcp4);
    let host = plan.control(folder.path(), "web").listen();
    let mut client = host.connect("web");
    lives_on(&mut client);
    let shown = Control::new(folder.path(), "web").show();
    assert_eq!((&shown["connections"], &shown["totals"]["bytes_up"]), (&1.into(), &9.into()), "{shown}");
}
