//! Many clients, many sidecars, full tables.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Client, Container, End, Kind, Plan, processor_time, until};

#[test]
fn two_hundred_clients_during_one_wake_are_all_served() {
    let slow = Container::new("slow", "--listen-after 1.5");
    let host = Plan::new(&slow.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let mut clients: Vec<Client> = (0..200).map(|_| host.connect("web")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(format!("echo {number}\n").as_bytes()).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read_line().unwrap(), number.to_string());
    }
    assert_eq!(host.look(|facts| (facts.starts.len(), facts.events("web", "waking").len())), (1, 1));
}

#[test]
fn two_hundred_clients_in_parallel_threads_are_all_served() {
    let slow = Container::new("slow", "--listen-after 0.7");
    let host = Plan::new(&slow.sidecar("web", "max_waiting = 50")).socket("web", Kind::Tcp4).listen();
    thread::scope(|scope| {
        for number in 0..200 {
            let host = &host;
            scope.spawn(move || {
                let mut client = host.connect("web");
                assert_eq!(client.ask(&format!("echo {number}")), number.to_string());
                client.finish();
                assert_eq!(client.end(), End::Clean);
            });
        }
    });
}

#[test]
fn four_sidecars_live_in_one_helper_each_its_own_life() {
    let names = ["kicad-mcp", "freecad-mcp", "blender-worker", "ollama"];
    let containers = names.map(|name| Container::new(name, ""));
    let config: String = names
        .iter()
        .zip(&containers)
        .map(|(name, container)| {
            container.sidecar(name, "ready = \"http:/\"\nwhen_late = \"refuse\"\nidle_timeout = \"600ms\"")
        })
        .collect();
    let host = names.iter().fold(Plan::new(&config), |plan, name| plan.socket(name, Kind::Tcp4)).listen();
    thread::scope(|scope| {
        for (name, container) in names.iter().zip(&containers) {
            let host = &host;
            scope.spawn(move || {
                let identity = host.connect(name).ask("who");
                let identity = identity.split(' ').next().unwrap();
                container.logged(&format!("start {identity}"));
            });
        }
    });
    for name in names {
        host.event(name, "slept");
    }
    assert!(host.exit().success());
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
    assert!(containers.iter().all(|container| container.status() == "exited"));
}

#[test]
fn one_sidecar_wakes_while_the_others_of_its_helper_sleep() {
    let (a, b) = (Container::new("a", ""), Container::new("b", ""));
    let config = a.sidecar("a", "") + &b.sidecar("b", "");
    let host = Plan::new(&config).socket("a", Kind::Tcp4).socket("b", Kind::Tcp4).listen();
    assert_eq!(host.connect("a").ask("echo a"), "a");
    assert_eq!((a.status(), b.status()), ("running".into(), "created".into()));
    assert_eq!(host.connect("b").ask("echo b"), "b");
}

#[test]
fn a_sidecar_that_cannot_wake_takes_no_other_down() {
    let (dying, web) = (Container::new("dying", "--die-after 0.1"), Container::new("web", ""));
    let config = dying.sidecar("dying", "") + &web.sidecar("web", "idle_timeout = \"5s\"");
    let host = Plan::new(&config).socket("dying", Kind::Tcp4).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    for _ in 0..3 {
        assert_eq!(host.connect("dying").end(), End::Reset);
        assert_eq!(client.ask("echo undisturbed"), "undisturbed");
    }
    host.event("dying", "wake-failed");
    drop(client);
    host.event("web", "slept");
    assert!(host.exit().success());
}

#[test]
fn above_max_waiting_clients_wait_in_the_kernels_queue() {
    let slow = Container::new("slow", "--listen-after 2");
    let host = Plan::new(&slow.sidecar("web", "max_waiting = 3")).socket("web", Kind::Tcp4).listen();
    let mut clients: Vec<Client> = (0..10).map(|_| host.connect("web")).collect();
    until("three accepted, seven queued", || (host.queued("web") == 7).then_some(()));
    assert_eq!(host.count("web", "ready"), 0, "only while it wakes");
    for client in &mut clients {
        assert_eq!(client.ask("echo served"), "served");
    }
}

#[test]
fn above_max_connections_clients_wait_in_the_kernels_queue() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "max_connections = 2")).socket("web", Kind::Tcp4).listen();
    let mut clients: Vec<Client> = (0..5).map(|_| host.connect("web")).collect();
    assert_eq!(clients[0].ask("echo one"), "one");
    assert_eq!(clients[1].ask("echo two"), "two");
    assert_eq!(host.queued("web"), 3);
    while !clients.is_empty() {
        let mut leaving = clients.remove(0);
        assert_eq!(leaving.ask("echo in turn"), "in turn");
    }
    until("an empty queue", || (host.queued("web") == 0).then_some(()));
}

#[test]
fn a_full_file_table_pauses_accepting_and_loses_nobody() {
    let web = Container::new("web", "");
    let plan = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4);
    let host = plan.open_files(40).listen();
    let mut first = host.connect("web");
    assert_eq!(first.ask("echo awake"), "awake");
    let mut clients: Vec<Client> = (0..40).map(|_| host.connect("web")).collect();
    for client in &mut clients {
        client.write_all(b"echo held\n").unwrap();
    }
    until("a queue that stands still", || (host.queued("web") >= 10).then_some(()));
    let (begun, used) = (Instant::now(), processor_time(host.pid()));
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(first.ask("echo still served"), "still served");
        thread::sleep(Duration::from_millis(50));
    }
    let used = processor_time(host.pid()) - used;
    assert!(used < Duration::from_millis(400), "{used:?} of processor time in a second of waiting");
    drop(first);
    for mut client in clients {
        assert_eq!(client.read_line().unwrap(), "held");
    }
    assert_eq!(host.connect("web").ask("echo recovered"), "recovered");
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}
