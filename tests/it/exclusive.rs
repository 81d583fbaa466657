//! At most one of a group runs at a time, and whoever is unused makes room.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::{
    Action, Client, Container, End, Facts, Host, Recorder, Town, Witness, docker, home, is_reset, until,
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
        let (a, b, town) = a_and_b(LONG);
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        for round in 0..3 {
            use_once(&hosts, "a");
            assert_eq!([a.status(), b.status()][0], "running");
            use_once(&hosts, "b");
            let yielded = home(&hosts, "a").event_nth("a", "yielded", round);
            assert!(yielded.contains("b needs the group"), "{yielded}");
            assert_eq!([a.status(), b.status()], ["exited", "running"]);
        }
        assert!(hosts.iter().all(|host| host.look(|facts| facts.events("a", "paused").is_empty())));
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
        thread::sleep(Duration::from_secs(1));
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
        let (a, b, town) = a_and_b(&format!("{LONG}wake_timeout = \"2s\""));
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        let kept = town.control("a").hold("somebody");
        let (begun, of_b) = (Instant::now(), home(&hosts, "b"));
        fails_because(of_b, &mut of_b.connect("b"), "held by somebody");
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(8), "reset after {took:?}");
        drop(kept);
        assert_eq!((a.status().as_str(), b.status().as_str()), ("running", "created"));
        until("an answer", || of_b.connect("b").try_ask("echo two").ok());
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
    let slept = hosts[0].look(|facts| facts.events("a", "slept").len());
    assert_eq!(slept, 0, "stopped for idleness");
}

#[test]
fn one_whose_helper_hangs_fails_the_new_one_in_time() {
    let (a, b, town) = a_and_b(&format!("{LONG}wake_timeout = \"2s\""));
    let hosts = town.settle(true, &["a", "b"]);
    use_once(&hosts, "a");
    kill(Pid::from_raw(hosts[0].pid()), SIGSTOP).unwrap();
    fails_because(&hosts[1], &mut hosts[1].connect("b"), "it has not answered in time");
    assert_eq!((a.status().as_str(), b.status().as_str()), ("running", "created"));
    kill(Pid::from_raw(hosts[0].pid()), SIGCONT).unwrap();
    until("an answer", || hosts[1].connect("b").try_ask("echo two").ok());
}

#[test]
fn of_two_that_wake_at_once_one_follows_the_other() {
    for apart in [false, true] {
        let (a, b, town) = a_and_b(&format!("{LONG}wake_timeout = \"20s\""));
        let witness = Witness::new(&[&a, &b]);
        let hosts = town.settle(apart, &["a", "b"]);
        for round in 0..8 {
            let clients = ["a", "b"].map(|name| home(&hosts, name).connect(name));
            let answers = clients.map(|mut client| thread::spawn(move || client.try_ask("echo in turn")));
            for answer in answers {
                assert_eq!(answer.join().unwrap().unwrap(), "in turn", "round {round}");
            }
        }
        [&a, &b].into_iter().for_each(stop);
        witness.saw_one_at_a_time();
    }
}

#[test]
fn groups_that_require_each_others_members_switch_together() {
    for apart in [false, true] {
        let all = ["app-a", "app-b", "model-a", "model-b"].map(|name| Container::new(name, ""));
        let [app_a, app_b, model_a, model_b] = &all;
        let app = |name, container: &Container, model| {
            container.sidecar(name, &format!("{LONG}exclusive = \"apps\"\nrequires = [\"{model}\"]"))
        };
        let model =
            |name, container: &Container| container.sidecar(name, &format!("{LONG}exclusive = \"gpu\""));
        let town = Town::new(
            &[
                app("app-a", app_a, "model-a"),
                app("app-b", app_b, "model-b"),
                model("model-a", model_a),
                model("model-b", model_b),
            ]
            .concat(),
        );
        let (apps, models) = (Witness::new(&[app_a, app_b]), Witness::new(&[model_a, model_b]));
        let hosts = town.settle(apart, &["app-a", "app-b", "model-a", "model-b"]);
        for round in 0..2 {
            for (this, other) in [("a", "b"), ("b", "a")] {
                use_once(&hosts, &format!("app-{this}"));
                let up = all.each_ref().map(|container| container.status() == "running");
                assert_eq!(
                    up,
                    if this == "a" { [true, false, true, false] } else { [false, true, false, true] }
                );
                if (this, round) != ("a", 0) {
                    let yielded = home(&hosts, "model-a").look(|facts| facts.text());
                    assert!(
                        apart || yielded.contains(&format!("model-{this} needs the group")),
                        "{other}: {yielded}"
                    );
                }
            }
        }
        all.iter().for_each(stop);
        apps.saw_one_at_a_time();
        models.saw_one_at_a_time();
        assert_eq!((apps.starts().len(), models.starts().len()), (4, 4));
    }
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

/// Numbers that nobody foresees, the same in every run.
fn dice() -> impl FnMut(usize) -> usize {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % sides
    }
}

/// Asks one line, then more lines for `time`: whether all were answered, else whether the end was a reset.
fn talk(host: &Host, name: &str, time: Duration) -> Result<(), bool> {
    let mut client = host.connect(name);
    client.deadline(Duration::from_secs(60));
    let begun = Instant::now();
    loop {
        match client.try_ask("echo churned") {
            Ok(line) => assert_eq!(line, "churned"),
            Err(error) => return Err(is_reset(&error)),
        }
        if begun.elapsed() >= time {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Three of one group, two of them in one helper; clients for 30 s, and perhaps somebody who kills the helpers.
fn churn(kills: bool) {
    let all = ["a", "b", "c"].map(|name| Container::new(name, ""));
    let keys = "busy_cpu = 0\nidle_timeout = \"300ms\"\nwake_timeout = \"3s\"\nexclusive = \"gpu\"";
    let tables = ["a", "b", "c"].iter().zip(&all).map(|(name, container)| container.sidecar(name, keys));
    let town = Town::new(&tables.collect::<String>());
    let witness = Witness::new(&all.each_ref());
    let hosts = [town.plan(&["a", "b"]).listen(), town.plan(&["c"]).listen()];
    let mut roll = dice();
    let talks: Vec<_> = (0..72)
        .map(|number| (["a", "b", "c"][roll(3)], roll(30_000), if number % 6 == 0 { roll(5000) } else { 0 }))
        .collect();
    let (mut answered, mut reset) = (0, 0);
    thread::scope(|scope| {
        let clients: Vec<_> = talks
            .into_iter()
            .map(|(name, after, time)| {
                let host = home(&hosts, name);
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(after as u64));
                    let begun = Instant::now();
                    let ended = talk(host, name, Duration::from_millis(time as u64));
                    (name, after, ended, begun.elapsed())
                })
            })
            .collect();
        for turn in 0..if kills { 12 } else { 0 } {
            thread::sleep(Duration::from_millis(500 + roll(3000) as u64));
            hosts[turn % 2].kill_helper();
        }
        for client in clients {
            let (name, after, ended, took) = client.join().unwrap();
            match ended {
                Ok(()) => answered += 1,
                Err(true) => reset += 1,
                Err(false) => panic!("{name} at {after} ms was neither answered nor reset within {took:?}"),
            }
            assert!(took < Duration::from_secs(30), "{name} at {after} ms took {took:?}");
        }
    });
    for host in &hosts {
        host.wait("the end of its last helper", |facts| {
            let over = facts.pid.is_none() && facts.exits.last().is_none_or(|(_, status)| status.success());
            over.then_some(())
        });
    }
    eprintln!("answered {answered}, reset {reset}, starts {}", witness.starts().len());
    assert!(answered >= 20, "answered {answered}, reset {reset}");
    let resets: Vec<_> = hosts.iter().flat_map(|host| host.look(reasons)).collect();
    assert!(kills || reset == 0 || !resets.is_empty(), "{reset} clients were reset and nobody was told why");
    assert!(resets.iter().all(|line| line.contains("its group gpu is taken by ")), "{resets:?}");
    witness.saw_one_at_a_time();
    assert_eq!(all.each_ref().map(|container| container.status() == "running"), [false; 3]);
}

fn reasons(facts: &Facts) -> Vec<String> {
    let events = ["a", "b", "c"].into_iter().flat_map(|name| facts.events(name, "wake-failed"));
    events.map(|(_, line)| line).collect()
}

#[test]
fn whenever_clients_come_each_is_answered_or_reset_and_never_do_two_run() {
    churn(false);
}

#[test]
fn whenever_helpers_are_killed_never_do_two_run_and_all_sleep_in_the_end() {
    churn(true);
}
