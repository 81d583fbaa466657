//! What happens to one that is required by somebody's hand and what happens by itself; and a start without an end.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Action, Container, End, Kind, Plan, Recorder, Town, docker, is_podman, skip, until};

#[test]
fn a_signal_for_something_else_makes_no_hand_of_a_crash() {
    if is_podman() {
        return skip("Podman does not say which signal was sent");
    }
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let long = "busy_cpu = 0\nidle_timeout = \"5m\"\n";
    let config = web.sidecar("web", &format!("{long}requires = [\"db\"]")) + &db.sidecar("db", long);
    let town = Town::new(&config);
    let hosts = town.settle(false, &["web", "db"]);
    let mut client = hosts[0].connect("web");
    client.ask("echo one");
    let before = db.started_at();
    docker(&["kill", "--signal", "WINCH", db.name()]);
    db.end_by_itself();
    hosts[0].event("db", "died");
    until("it is woken again", || (db.status() == "running" && db.started_at() != before).then_some(()));
    client.ask("echo still in use");
}

#[test]
fn one_that_is_slow_to_stop_by_hand_stays_stopped() {
    let web = Container::new("web", "");
    let db = Container::running(
        "db",
        &["--volume", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro")],
        &["bash", "-c", "python3 /servers.py & trap 'sleep 4; exit 0' TERM; while :; do sleep 0.2; done"],
    );
    let keys = "busy_cpu = 0\nidle_timeout = \"20m\"\n";
    let config = web.sidecar("web", &format!("{keys}requires = [\"db\"]")) + &db.sidecar("db", keys);
    let town = Town::new(&config);
    let hosts = town.settle(false, &["web", "db"]);
    let mut client = hosts[0].connect("web");
    client.ask("echo one");
    docker(&["stop", "--time", "100", db.name()]);
    hosts[0].event("db", "died");
    thread::sleep(Duration::from_secs(5));
    assert_eq!(db.status(), "exited", "stopped by hand: only a new connection wakes it");
}

#[test]
fn a_start_that_takes_too_long_keeps_the_clients_of_neither_waiting() {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let keys = "busy_cpu = 0\nwake_timeout = \"2s\"\n";
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldCall(Duration::from_secs(25)));
    let config = web.sidecar("web", &format!("{keys}requires = [\"db\"]")) + &db.sidecar("db", keys);
    let plan = Plan::with_engine(recorder.path(), &config).socket("web", Kind::Tcp4).socket("db", Kind::Tcp4);
    let host = plan.listen();
    let mut client = host.connect("web");
    client.deadline(Duration::from_secs(12));
    let begun = Instant::now();
    let end = client.end();
    recorder.rules(Vec::new());
    assert_ne!(end, End::Open, "still waiting after {:?}, wake_timeout is 2 s", begun.elapsed());
}
