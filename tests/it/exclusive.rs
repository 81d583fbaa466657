//! At most one of a group runs at a time, and whoever is unused makes room.

mod contention; // members of groups that wake at the same time, or at any

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};

use crate::harness::{
    Action, Client, Container, End, Host, Recorder, Town, Witness, docker, home, slack, until,
};

/// A timeout that no test waits for, and no look at the CPU time, which the engine takes its time to tell.
const LONG: &str = "busy_cpu = 0\nidle_timeout = \"5m\"\n";

/// a and b in group gpu, with `keys`.
fn a_and_b(keys: &str) -> (Container, Container, Town) {
    let (a, b) = (Container::new("a", ""), Container::new("b", ""));
    let table =
        |name, container: &Container| container.sidecar(name, &format!("exclusive = \"gpu\"\n{keys}"));
    let town = Town::new(&(table("a", &a) + &table("b", &b)));
    (a, b, town)
}

/// An answer to a client that leaves.
#[track_caller]
fn use_once(hosts: &[Host], sidecar: &str) {
    assert_eq!(home(hosts, sidecar).connect(sidecar).ask("echo once"), "once");
}

/// What the client of `b` hears while `a` is used by somebody.
#[track_caller]
fn fails_because(host: &Host, client: &mut Client, why: &str) {
    assert_eq!(client.end(), End::Reset);
    let line = host.event("b", "wake-failed");
    assert!(line.contains("its group gpu is taken by a") && line.contains(why), "{line}");
}

fn stop(container: &Container) {
    docker(&["stop", "--time", "1", container.name()]);
}

#[test]
fn an_unused_one_is_stopped_for_the_next() {
    for apart in [false, true] {
        // A pause is far away: whoever makes room is not paused first.
        let (a, b, town) = a_and_b(&format!("{LONG}pause_after = \"4m\"\n"));
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        for round in 0..3 {
            use_once(&hosts, "a");
            let before = if round == 0 { "created" } else { "exited" };
            assert_eq!([a.status(), b.status()], ["running", before]);
            use_once(&hosts, "b");
            let yielded = home(&hosts, "a").event_nth("a", "yielded", round);
            assert!(yielded.contains("b needs the group"), "{yielded}");
            assert_eq!([a.status(), b.status()], ["exited", "running"]);
        }
        for name in ["a", "b"] {
            assert_eq!(home(&hosts, name).count(name, "paused"), 0);
        }
        stop(&b);
        witness.saw_one_at_a_time();
        assert_eq!(witness.starts().len(), 6);
    }
}

#[test]
fn a_connection_makes_room_when_it_has_been_quiet_for_ten_seconds() {
    let (a, b, town) = a_and_b(LONG);
    let witness = Witness::new(&[&a, &b]);
    let hosts = town.settle(true, &["a", "b"]);
    let mut quiet = hosts[0].connect("a");
    assert_eq!(quiet.ask("echo and then nothing"), "and then nothing");
    let begun = Instant::now();
    use_once(&hosts, "b");
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(20), "made room after {took:?}");
    assert_ne!(quiet.end(), End::Open);
    stop(&b);
    witness.saw_one_at_a_time();
}

#[test]
fn a_paused_one_is_stopped_for_the_next() {
    for apart in [false, true] {
        let (a, b, town) = a_and_b(&format!("{LONG}pause_after = \"500ms\""));
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        let mut quiet = home(&hosts, "a").connect("a");
        assert_eq!(quiet.ask("echo and then nothing"), "and then nothing");
        home(&hosts, "a").event("a", "paused");
        use_once(&hosts, "b");
        home(&hosts, "a").event("a", "yielded");
        assert_eq!(a.status(), "exited");
        assert_ne!(quiet.end(), End::Open);
        stop(&b);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn a_new_one_waits_for_an_owed_answer_and_then_goes() {
    for apart in [false, true] {
        let (a, b, town) = a_and_b(LONG);
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        let mut owed = home(&hosts, "a").connect("a");
        assert_eq!(owed.ask("echo one"), "one");
        let waiting = thread::spawn(move || (owed.ask("silent 4"), Instant::now()));
        let mut next = home(&hosts, "b").connect("b");
        assert_eq!(next.ask("echo two"), "two");
        let (answer, at) = waiting.join().unwrap();
        assert_eq!(answer, "done");
        assert!(at.elapsed() < Duration::from_secs(6), "{:?} after the answer", at.elapsed());
        home(&hosts, "a").event("a", "yielded");
        stop(&b);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn a_new_one_waits_for_the_end_of_a_hold_and_then_goes() {
    for apart in [false, true] {
        let (a, b, town) = a_and_b(LONG);
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        let kept = town.control("a").hold("somebody");
        let mut next = home(&hosts, "b").connect("b");
        home(&hosts, "b").event("b", "waking");
        home(&hosts, "b").never("b", "ready", Duration::from_secs(1));
        assert_eq!([a.status(), b.status()], ["running", "created"]);
        drop(kept);
        assert_eq!(next.ask("echo two"), "two");
        stop(&b);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn one_in_use_is_left_alone_and_the_new_one_fails_with_the_reason() {
    for apart in [false, true] {
        let timeout = Duration::from_secs(2) + slack();
        let (a, b, town) = a_and_b(&format!("{LONG}wake_timeout = \"{}s\"", timeout.as_secs()));
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        let kept = town.control("a").hold("somebody");
        let (begun, of_b) = (Instant::now(), home(&hosts, "b"));
        fails_because(of_b, &mut of_b.connect("b"), "held by somebody");
        let took = begun.elapsed();
        let (soonest, latest) = (timeout - Duration::from_millis(500), timeout + Duration::from_secs(6));
        assert!(took > soonest && took < latest, "reset after {took:?}");
        drop(kept);
        assert_eq!((a.status().as_str(), b.status().as_str()), ("running", "created"));
        of_b.served_again("b");
        stop(&b);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn moving_bytes_an_owed_answer_and_work_are_use() {
    for (what, why) in [("bytes", "connections in use: 1"), ("answer", "answers owed: 1"), ("work", "busy: ")]
    {
        let keys = "idle_timeout = \"5m\"\nwake_timeout = \"6s\"";
        let (a, b, town) = a_and_b(keys);
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(true, &["a", "b"]);
        let mut client = hosts[0].connect("a");
        assert_eq!(client.ask("echo one"), "one");
        let _user = match what {
            "bytes" => Some(client),
            "answer" => {
                std::io::Write::write_all(&mut client, b"silent 60\n").unwrap();
                Some(client)
            }
            _ => {
                docker(&["exec", "--detach", a.name(), "python3", "-c", "while True: pass"]);
                drop(client);
                None
            }
        };
        fails_because(&hosts[1], &mut hosts[1].connect("b"), why);
        assert_eq!((a.status().as_str(), b.status().as_str()), ("running", "created"), "{what}");
        [&a, &b].into_iter().for_each(stop);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn one_whose_helper_was_killed_is_adopted_and_makes_room() {
    for paused in [false, true] {
        let (a, b, town) = a_and_b(LONG);
        let witness = Witness::new(&[&a, &b]);
        let hosts = [town.plan(&["a"]).no_restart().listen(), town.plan(&["b"]).listen()];
        use_once(&hosts, "a");
        hosts[0].end_helper(SIGKILL);
        if paused {
            docker(&["pause", a.name()]);
        }
        use_once(&hosts, "b");
        hosts[0].event("a", "adopted");
        hosts[0].event("a", "yielded");
        assert_eq!([a.status(), b.status()], ["exited", "running"]);
        stop(&b);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn a_start_that_outlives_its_helper_is_seen_through_before_another_one_starts() {
    let (a, b, town) = a_and_b(LONG);
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldCall(Duration::from_secs(3)));
    let witness = Witness::new(&[&a, &b]);
    let hosts =
        [town.plan_with_engine(recorder.path(), &["a"]).no_restart().listen(), town.plan(&["b"]).listen()];
    let mut first = hosts[0].connect("a");
    recorder.asked("POST /start", 0);
    hosts[0].end_helper(SIGKILL);
    assert_eq!(first.end(), End::Reset);
    use_once(&hosts, "b");
    hosts[0].event("a", "yielded");
    stop(&b);
    witness.saw_one_at_a_time();
    assert_eq!(witness.starts(), [a.name(), b.name()]);
}

#[test]
fn a_stop_that_the_engine_refuses_is_asked_for_as_often_as_somebody_needs_the_group() {
    let (a, b, town) = a_and_b(LONG);
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let hosts = [town.plan_with_engine(recorder.path(), &["a"]).listen(), town.plan(&["b"]).listen()];
    use_once(&hosts, "a");
    recorder.rule("POST /stop", Action::Refuse(500, "cannot stop it now"));
    let mut next = hosts[1].connect("b");
    recorder.asked("POST /stop", 2);
    let begun = Instant::now();
    let before = recorder.calls("POST /stop").len();
    recorder.asked("POST /stop", before + 4);
    assert!(begun.elapsed() > Duration::from_millis(700), "five stops within {:?}", begun.elapsed());
    recorder.rules(Vec::new());
    assert_eq!(next.ask("echo two"), "two");
    assert_eq!([a.status(), b.status()], ["exited", "running"]);
    let slept = hosts[0].count("a", "slept");
    assert_eq!(slept, 0, "stopped for idleness");
}

#[test]
fn one_whose_helper_hangs_fails_the_new_one_in_time() {
    let (a, b, town) = a_and_b(&format!("{LONG}wake_timeout = \"2s\""));
    let hosts = town.settle(true, &["a", "b"]);
    use_once(&hosts, "a");
    hosts[0].signal(SIGSTOP);
    fails_because(&hosts[1], &mut hosts[1].connect("b"), "it has not answered in time");
    assert_eq!((a.status().as_str(), b.status().as_str()), ("running", "created"));
    hosts[0].signal(SIGCONT);
    hosts[1].served_again("b");
}

#[test]
fn one_whose_wake_failed_makes_room_before_its_next_try() {
    let (a, b) = (Container::new("a", "--listen-after 1000"), Container::new("b", ""));
    let keys = format!("{LONG}exclusive = \"gpu\"\n");
    let never = format!("{keys}wake_timeout = \"500ms\"\nwhen_late = \"refuse\"");
    let town = Town::new(&(a.sidecar("a", &never) + &b.sidecar("b", &keys)));
    let hosts = town.settle(true, &["a", "b"]);
    // Each try doubles the time to the next one: 8 s after the fourth.
    for number in 0..4 {
        until("the next try", || {
            assert_eq!(hosts[0].connect("a").end(), End::Reset);
            hosts[0].look(|facts| facts.events("a", "wake-failed").get(number).cloned())
        });
    }
    assert_eq!(a.status(), "running");
    let begun = Instant::now();
    use_once(&hosts, "b");
    assert!(begun.elapsed() < Duration::from_secs(5), "b had to wait for {:?}", begun.elapsed());
    assert_eq!(a.status(), "exited");
}
