//! What a sidecar requires is woken before it and kept awake with it.

mod hands; // what happens to one that is required by hand, and what by itself

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

use crate::harness::{Call, Client, Container, End, Kind, Plan, Recorder, Town, docker, home};

/// What another test is about would get in the way: the engine takes its time to tell the CPU time.
const RESTLESS: &str = "busy_cpu = 0\n";
/// A timeout that no test waits for.
const LONG: &str = "busy_cpu = 0\nidle_timeout = \"5m\"\n";

fn requires(names: &str) -> String {
    format!("requires = [{names}]\n")
}

/// web, which is awake for long, requires db, with `keys`.
fn web_and_db(keys: &str) -> (Container, Container, Town) {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let config = web.sidecar("web", &format!("{LONG}{}", requires("\"db\"")))
        + &db.sidecar("db", &format!("{RESTLESS}{keys}"));
    (web, db, Town::new(&config))
}

/// Asks the client over and over for `time`: nothing is ever missing.
#[track_caller]
fn keep_asking(client: &mut Client, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        assert_eq!(client.ask("echo on"), "on");
        thread::sleep(Duration::from_millis(50));
    }
}

fn started(recorder: &Recorder, container: &Container) -> Call {
    let path = format!("POST /containers/{}/start", container.inspect("{{.Id}}"));
    recorder.asked(&path, 0)
}

#[test]
fn two_that_nothing_orders_start_at_once_and_the_one_that_requires_them_when_both_are_ready() {
    let slow = Duration::from_secs(3);
    for apart in [false, true] {
        let (db, queue) =
            (Container::new("db", "--listen-after 3"), Container::new("queue", "--listen-after 3"));
        let web = Container::new("web", "");
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("engine.sock"));
        let config = web.sidecar("web", &format!("{LONG}{}", requires("\"db\", \"queue\"")))
            + &db.sidecar("db", LONG)
            + &queue.sidecar("queue", LONG);
        let town = Town::new(&config);
        let groups: &[&[&str]] =
            if apart { &[&["web"], &["db"], &["queue"]] } else { &[&["web", "db", "queue"]] };
        let hosts: Vec<_> =
            groups.iter().map(|names| town.plan_with_engine(recorder.path(), names).listen()).collect();
        assert_eq!(home(&hosts, "web").connect("web").ask("echo one"), "one");
        let [web, db, queue] = [&web, &db, &queue].map(|container| started(&recorder, container).asked);
        let (first, last) = (db.min(queue), db.max(queue));
        assert!(last - first < slow, "one after the other: {:?} apart", last - first);
        assert!(web - last >= slow, "web was started {:?} after the last", web - last);
    }
}

#[test]
fn it_is_kept_awake_for_as_long_as_whoever_requires_it_and_its_own_timeout_longer() {
    for apart in [false, true] {
        let (web, db) = (Container::new("web", ""), Container::new("db", ""));
        let config = web.sidecar("web", &format!("{RESTLESS}idle_timeout = \"1s\"\n{}", requires("\"db\"")))
            + &db.sidecar("db", &format!("{RESTLESS}idle_timeout = \"700ms\""));
        let town = Town::new(&config);
        let hosts = town.settle(apart, &["web", "db"]);
        let (of_web, of_db) = (home(&hosts, "web"), home(&hosts, "db"));
        keep_asking(&mut of_web.connect("web"), Duration::from_secs(3));
        assert_eq!(of_db.count("db", "slept"), 0);
        of_db.event("db", "slept");
        // Each host has its own clock, and that of web began first.
        let of_db_now = of_db.now();
        let ahead = of_web.now() - of_db_now;
        let web_slept = of_web.at("web", "slept", 0);
        let after = of_db.at("db", "slept", 0) + ahead - web_slept;
        assert!(after > Duration::from_millis(600), "db slept {after:?} after web");
        assert!(after < Duration::from_secs(8), "db slept {after:?} after web");
        assert!(hosts.iter().all(|host| host.exit().success()));
        assert_eq!([web.status(), db.status()], ["exited", "exited"]);
    }
}

#[test]
fn a_chain_and_a_diamond_wake_in_order_each_once_and_all_sleep_in_the_end() {
    for apart in [false, true] {
        let all = ["a", "b", "c", "d", "e"].map(|name| Container::new(name, ""));
        let [a, b, c, d, e] = &all;
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("engine.sock"));
        let table = |container: &Container, name: &str, names: &str| {
            container.sidecar(name, &format!("{RESTLESS}idle_timeout = \"500ms\"\n{}", requires(names)))
        };
        // a → (b, c) → d → e
        let town = Town::new(
            &[
                table(a, "a", "\"b\", \"c\""),
                table(b, "b", "\"d\""),
                table(c, "c", "\"d\""),
                table(d, "d", "\"e\""),
                table(e, "e", ""),
            ]
            .concat(),
        );
        let groups: &[&[&str]] =
            if apart { &[&["a"], &["b"], &["c"], &["d"], &["e"]] } else { &[&["a", "b", "c", "d", "e"]] };
        let hosts: Vec<_> =
            groups.iter().map(|names| town.plan_with_engine(recorder.path(), names).listen()).collect();
        keep_asking(&mut home(&hosts, "a").connect("a"), Duration::from_secs(2));
        let [a, b, c, d, e] = all.each_ref().map(|container| started(&recorder, container));
        let [b_up, c_up, d_up, e_up] = [&b, &c, &d, &e].map(|call| call.answered.unwrap());
        assert!(e_up < d.asked && d_up < b.asked.min(c.asked) && b_up.max(c_up) < a.asked);
        for host in &hosts {
            assert!(host.exit().success());
        }
        assert_eq!(all.each_ref().map(Container::status), ["exited"; 5]);
        assert_eq!(recorder.calls("POST /start").len(), 5, "somebody was woken twice");
        assert_eq!(recorder.calls("POST /stop").len(), 5);
    }
}

#[test]
fn one_that_cannot_be_woken_fails_whoever_requires_it_by_name_and_lets_go_of_the_others() {
    for apart in [false, true] {
        let (db, queue) = (Container::new("db", "--die-after 0.2"), Container::new("queue", ""));
        let web = Container::new("web", "");
        let config = web.sidecar("web", &format!("{LONG}{}", requires("\"queue\", \"db\"")))
            + &db.sidecar("db", LONG)
            + &queue.sidecar("queue", &format!("{RESTLESS}idle_timeout = \"500ms\""));
        let town = Town::new(&config);
        let hosts = town.settle(apart, &["web", "db", "queue"]);
        let (of_web, of_queue) = (home(&hosts, "web"), home(&hosts, "queue"));
        assert_eq!(of_web.connect("web").end(), End::Reset);
        let why = of_web.event("web", "wake-failed");
        assert!(why.contains("it requires db") && why.contains("ended before it was ready"), "{why}");
        assert_eq!(web.status(), "created", "it was started without what it requires");
        of_queue.event("queue", "slept");
        assert!(hosts.iter().all(|host| host.exit().success()));
    }
}

#[test]
fn one_that_is_not_turned_on_is_named_with_the_cure() {
    let (_web, _db, town) = web_and_db("");
    let host = town.plan(&["web"]).listen();
    assert_eq!(host.connect("web").end(), End::Reset);
    let why = host.event("web", "wake-failed");
    assert!(
        why.contains("it requires db") && why.contains("systemctl enable --now rouse@db.socket"),
        "{why}"
    );
}

#[test]
fn a_helper_that_ends_while_its_sidecar_is_required_is_started_again_and_nobody_notices() {
    for signal in [SIGKILL, SIGTERM] {
        let (_web, db, town) = web_and_db("idle_timeout = \"4s\"");
        let hosts = town.settle(true, &["web", "db"]);
        let (of_web, of_db) = (home(&hosts, "web"), home(&hosts, "db"));
        let mut client = of_web.connect("web");
        assert_eq!(client.ask("echo one"), "one");
        let started = db.started_at();
        of_db.end_helper(signal);
        keep_asking(&mut client, Duration::from_secs(9));
        of_db.event("db", "adopted");
        assert_eq!((db.status().as_str(), db.started_at()), ("running", started), "{signal}");
        assert_eq!(of_db.count("db", "slept"), 0, "{signal}");
        assert_eq!(of_web.look(|facts| facts.starts.len()), 1);
    }
}

#[test]
fn the_hold_ends_with_the_helper_of_whoever_requires_it() {
    for signal in [SIGKILL, SIGTERM] {
        let (web, db, town) = web_and_db("idle_timeout = \"1s\"");
        let hosts = [town.plan(&["web"]).no_restart().listen(), town.plan(&["db"]).listen()];
        assert_eq!(hosts[0].connect("web").ask("echo one"), "one");
        hosts[0].end_helper(signal);
        let ended = Instant::now();
        hosts[1].event("db", "slept");
        let after = ended.elapsed();
        assert!(
            after > Duration::from_millis(900) && after < Duration::from_secs(8),
            "slept after {after:?}"
        );
        assert!(hosts[1].exit().success());
        assert_eq!([web.status(), db.status()], ["running", "exited"], "{signal}");
    }
}

#[test]
fn whoever_requires_it_holds_it_again_once_adopted() {
    let (web, db, town) = web_and_db("idle_timeout = \"3s\"");
    let hosts = town.settle(true, &["web", "db"]);
    assert_eq!(hosts[0].connect("web").ask("echo one"), "one");
    let started = [&web, &db].map(|container| container.started_at());
    hosts[0].end_helper(SIGKILL);
    hosts[0].event("web", "adopted");
    hosts[1].never("db", "slept", Duration::from_secs(6));
    assert_eq!([&web, &db].map(|container| container.started_at()), started);
    assert_eq!([web.status(), db.status()], ["running", "running"]);
}

#[test]
fn an_adopted_one_has_what_it_requires_woken_and_waits_for_nothing() {
    for apart in [false, true] {
        let (web, db) = (Container::new("web", ""), Container::new("db", "--listen-after 3"));
        let config = web.sidecar("web", &format!("{LONG}{}", requires("\"db\"")))
            + &db.sidecar("db", &format!("{RESTLESS}idle_timeout = \"500ms\""));
        let town = Town::new(&config);
        web.start();
        web.logged("listening");
        let hosts = town.settle(apart, &["web", "db"]);
        home(&hosts, "web").start();
        assert_eq!(home(&hosts, "web").connect("web").ask("echo at once"), "at once");
        assert_eq!(home(&hosts, "db").count("db", "ready"), 0);
        home(&hosts, "db").event("db", "ready");
        home(&hosts, "db").never("db", "slept", Duration::from_secs(2));
    }
}

#[test]
fn an_adopted_one_is_served_although_what_it_requires_cannot_be_had() {
    let (web, _db, town) = web_and_db("");
    web.start();
    let host = town.plan(&["web"]).boot();
    assert_eq!(host.connect("web").ask("echo one"), "one");
    host.says("systemctl enable --now rouse@db.socket");
    assert_eq!(host.connect("web").ask("echo two"), "two");
}

#[test]
fn a_required_one_that_crashes_is_woken_again() {
    for apart in [false, true] {
        let (_web, db, town) = web_and_db("idle_timeout = \"500ms\"");
        let hosts = town.settle(apart, &["web", "db"]);
        let of_db = home(&hosts, "db");
        let mut client = home(&hosts, "web").connect("web");
        assert_eq!(client.ask("echo one"), "one");
        of_db.connect("db").try_ask("crash").unwrap_err();
        of_db.event("db", "died");
        of_db.event_nth("db", "ready", 1);
        assert_eq!(db.status(), "running");
        of_db.never("db", "slept", Duration::from_secs(2));
        assert_eq!(client.ask("echo undisturbed"), "undisturbed");
    }
}

#[test]
fn a_required_one_that_was_stopped_by_hand_stays_so_until_somebody_connects() {
    for apart in [false, true] {
        let (_web, db, town) = web_and_db("idle_timeout = \"500ms\"");
        let hosts = town.settle(apart, &["web", "db"]);
        let of_db = home(&hosts, "db");
        let mut client = home(&hosts, "web").connect("web");
        assert_eq!(client.ask("echo one"), "one");
        docker(&["stop", db.name()]);
        of_db.event("db", "died");
        keep_asking(&mut client, Duration::from_secs(5));
        assert_eq!(db.status(), "exited", "rouse worked against somebody's hand");
        assert_eq!(of_db.connect("db").ask("echo again"), "again");
        // Still required: it stays.
        of_db.never("db", "slept", Duration::from_secs(2));
    }
}

#[test]
fn a_required_one_that_was_stopped_by_hand_is_woken_with_the_next_wake_of_whoever_requires_it() {
    for apart in [false, true] {
        let (web, db) = (Container::new("web", ""), Container::new("db", ""));
        let config = web.sidecar("web", &format!("{RESTLESS}idle_timeout = \"2s\"\n{}", requires("\"db\"")))
            + &db.sidecar("db", LONG);
        let town = Town::new(&config);
        let hosts = town.settle(apart, &["web", "db"]);
        let of_web = home(&hosts, "web");
        assert_eq!(of_web.connect("web").ask("echo one"), "one");
        docker(&["stop", db.name()]);
        of_web.event("web", "slept");
        assert_eq!(db.status(), "exited");
        assert_eq!(of_web.connect("web").ask("echo two"), "two");
        assert_eq!(db.status(), "running");
    }
}

#[test]
fn a_required_one_is_not_paused() {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let config = web.sidecar("web", &format!("{RESTLESS}idle_timeout = \"3s\"\n{}", requires("\"db\"")))
        + &db.sidecar("db", &format!("{LONG}pause_after = \"300ms\""));
    let host = Plan::new(&config).socket("web", Kind::Tcp4).socket("db", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").ask("echo one"), "one");
    host.event("db", "paused");
    let (slept, paused) = (host.at("web", "slept", 0), host.at("db", "paused", 0));
    assert!(paused > slept, "paused while it was required: {paused:?}, before {slept:?}");
}

#[test]
fn a_paused_one_is_woken_by_whoever_requires_it() {
    for apart in [false, true] {
        let (_web, db, town) = web_and_db("pause_after = \"500ms\"\nidle_timeout = \"5m\"");
        let hosts = town.settle(apart, &["web", "db"]);
        let of_db = home(&hosts, "db");
        assert_eq!(of_db.connect("db").ask("echo one"), "one");
        of_db.event("db", "paused");
        assert_eq!(home(&hosts, "web").connect("web").ask("echo two"), "two");
        assert_eq!(db.status(), "running");
    }
}

#[test]
fn wake_timeout_begins_when_what_is_required_is_there() {
    let (web, db) = (Container::new("web", ""), Container::new("db", "--listen-after 7"));
    let keys = format!("{LONG}wake_timeout = \"5s\"\nwhen_late = \"refuse\"\n{}", requires("\"db\""));
    let host = Plan::new(&(web.sidecar("web", &keys) + &db.sidecar("db", LONG)))
        .socket("web", Kind::Tcp4)
        .socket("db", Kind::Tcp4)
        .listen();
    let begun = Instant::now();
    assert_eq!(host.connect("web").ask("echo at last"), "at last");
    assert!(begun.elapsed() > Duration::from_secs(7), "db was ready too soon to show anything");
}

#[test]
fn whenever_clients_come_along_a_chain_all_are_answered_and_all_sleep_in_the_end() {
    let all = ["a", "b", "c"].map(|name| Container::new(name, ""));
    let [a, b, c] = &all;
    let table = |container: &Container, name: &str, names: &str| {
        container.sidecar(name, &format!("{RESTLESS}idle_timeout = \"200ms\"\n{}", requires(names)))
    };
    let town = Town::new(&(table(a, "a", "\"b\"") + &table(b, "b", "\"c\"") + &table(c, "c", "")));
    let hosts = [town.plan(&["a", "b"]).listen(), town.plan(&["c"]).listen()];
    for burst in 0..12_u64 {
        let slept = hosts[0].count("a", "slept");
        thread::scope(|scope| {
            for number in burst * 5..burst * 5 + 5 {
                let name = ["a", "a", "b", "c"][number as usize % 4];
                let host = home(&hosts, name);
                scope.spawn(move || {
                    // At any moment of the sleep before them.
                    thread::sleep(Duration::from_millis(number * number * 7919 % 500));
                    assert_eq!(host.connect(name).ask("echo churned"), "churned", "{name}, number {number}");
                });
            }
        });
        // Every other burst begins when the sleep has, the others also before it.
        if burst % 2 == 0 {
            hosts[0].event_nth("a", "slept", slept);
        }
    }
    for host in &hosts {
        host.wait("the end of its last helper", |facts| facts.pid.is_none().then_some(()));
        assert!(host.look(|facts| facts.exits.iter().all(|(_, status)| status.success())));
    }
    assert_eq!(all.each_ref().map(Container::status), ["exited"; 3]);
}
