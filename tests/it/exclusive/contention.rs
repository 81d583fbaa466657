//! Members of groups that wake at the same time, or at any.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGKILL;

use super::{LONG, a_and_b, stop, use_once};
use crate::harness::{Container, Dice, Facts, Host, Town, Witness, home, is_reset};

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

/// app-a and app-b in one group require model-a and model-b of another one.
fn apps_and_models(all: &[Container; 4]) -> Town {
    let [app_a, app_b, model_a, model_b] = all;
    let app = |name, container: &Container, model| {
        container.sidecar(name, &format!("{LONG}exclusive = \"apps\"\nrequires = [\"{model}\"]"))
    };
    let model = |name, container: &Container| container.sidecar(name, &format!("{LONG}exclusive = \"gpu\""));
    let tables = [
        app("app-a", app_a, "model-a"),
        app("app-b", app_b, "model-b"),
        model("model-a", model_a),
        model("model-b", model_b),
    ];
    Town::new(&tables.concat())
}

const APPS_AND_MODELS: [&str; 4] = ["app-a", "app-b", "model-a", "model-b"];

#[test]
fn groups_whose_members_require_each_other_switch_together() {
    for apart in [false, true] {
        let all = APPS_AND_MODELS.map(|name| Container::new(name, ""));
        let town = apps_and_models(&all);
        let [app_a, app_b, model_a, model_b] = &all;
        let (apps, models) = (Witness::new(&[app_a, app_b]), Witness::new(&[model_a, model_b]));
        let hosts = town.settle(apart, &APPS_AND_MODELS);
        for this in ["a", "b", "a", "b"] {
            use_once(&hosts, &format!("app-{this}"));
            let up = all.each_ref().map(|container| container.status() == "running");
            assert_eq!(up, [this == "a", this == "b", this == "a", this == "b"]);
        }
        let yielded = home(&hosts, "model-a").event("model-a", "yielded");
        assert!(yielded.contains("model-b needs the group"), "{yielded}");
        all.iter().for_each(stop);
        apps.saw_one_at_a_time();
        models.saw_one_at_a_time();
        assert_eq!((apps.starts().len(), models.starts().len()), (4, 4));
    }
}

#[test]
fn groups_whose_members_require_each_other_never_wait_for_each_other_for_ever() {
    for apart in [false, true] {
        let all = APPS_AND_MODELS.map(|name| Container::new(name, ""));
        let town = apps_and_models(&all);
        let [app_a, app_b, model_a, model_b] = &all;
        let (apps, models) = (Witness::new(&[app_a, app_b]), Witness::new(&[model_a, model_b]));
        let hosts = town.settle(apart, &APPS_AND_MODELS);
        for round in 0..4 {
            let clients = ["app-a", "app-b"].map(|name| home(&hosts, name).connect(name));
            let answers = clients.map(|mut client| thread::spawn(move || client.try_ask("echo in turn")));
            for answer in answers {
                assert_eq!(answer.join().unwrap().unwrap(), "in turn", "round {round}");
            }
        }
        all.iter().for_each(stop);
        apps.saw_one_at_a_time();
        models.saw_one_at_a_time();
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
    let mut dice = Dice::new(0);
    let talks: Vec<_> = (0..72)
        .map(|number| {
            (
                ["a", "b", "c"][dice.roll(3)],
                dice.roll(30_000),
                if number % 6 == 0 { dice.roll(5000) } else { 0 },
            )
        })
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
            thread::sleep(Duration::from_millis(500 + dice.roll(3000) as u64));
            hosts[turn % 2].signal(SIGKILL);
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
