use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;

use crate::harness::{Action, Container, Control, Host, Kind, Plan, Recorder, Town, docker, until};

fn paused(web: &Container) {
    until("a frozen container", || (web.status() == "paused").then_some(()));
}

#[test]
fn t1_unpaused_by_hand_is_left_alone() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "pause_after = \"3s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    host.event("web", "paused");
    docker(&["unpause", web.name()]);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(web.status(), "running", "frozen again 1.5 s after an unpause by hand, pause_after is 3 s");
}

#[test]
fn t2_unpaused_by_hand_while_no_helper_is_there() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "pause_after = \"2s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    host.event("web", "paused");
    paused(&web);
    thread::sleep(Duration::from_millis(300));
    host.end_helper(SIGTERM);
    docker(&["unpause", web.name()]);
    assert_eq!(web.status(), "running");
    host.start();
    host.event("web", "adopted");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(web.status(), "running", "frozen by the next helper at its start");
}

#[test]
fn t3_a_crash_looping_leftover_is_put_to_sleep() {
    let web = Container::with("web", &["--restart", "always"], "--die-after 2");
    web.start();
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"3s\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .boot();
    host.event("web", "adopted");
    let slept = host.wait_for(Duration::from_secs(12), |f| f.events("web", "slept").first().cloned());
    assert!(
        slept.is_some(),
        "not asleep 12 s after adoption, unused; idle_timeout is 3 s; restarts {}",
        web.inspect("{{.RestartCount}}")
    );
}

#[test]
fn t4_a_stop_that_the_engine_never_got_is_not_repeated_under_a_client() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    engine.rule("POST /stop", Action::HoldCall(Duration::from_secs(60)));
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "idle_timeout = \"500ms\"\nbusy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    engine.asked("POST /stop", 0);
    drop(engine);
    host.event("web", "engine-unreachable");
    let begun = Instant::now();
    let mut engine = None;
    while begun.elapsed() < Duration::from_secs(5) {
        assert_eq!(client.ask("echo in use"), "in use");
        if begun.elapsed() > Duration::from_secs(2) && engine.is_none() {
            engine = Some(Recorder::new(&socket));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn t5_a_reader_who_rests_in_the_middle_of_an_answer_gets_all_of_it() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "pause_after = \"1s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0"))
        .socket("web", Kind::Tcp4)
        .listen();
    let mut client = host.connect("web");
    client.write_all(b"source 100000000\n").unwrap();
    let mut some = [0; 1000];
    client.read_exact(&mut some).unwrap();
    thread::sleep(Duration::from_secs(3));
    eprintln!("status while the reader rests: {}", web.status());
    client.deadline(Duration::from_secs(8));
    let mut rest = Vec::new();
    let ended = client.read_to_end(&mut rest);
    assert!(ended.is_ok(), "{ended:?} after {} bytes of 100000000; container {}", rest.len(), web.status());
}

#[test]
fn t6_a_new_connection_beyond_the_most_and_a_frozen_container() {
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
fn t7_a_crash_after_any_signal_is_a_crash() {
    let (web, db) = (Container::new("web", ""), Container::new("db", ""));
    let long = "busy_cpu = 0\nidle_timeout = \"5m\"\n";
    let config = web.sidecar("web", &format!("{long}requires = [\"db\"]")) + &db.sidecar("db", long);
    let town = Town::new(&config);
    let hosts = town.settle(false, &["web", "db"]);
    let mut client = hosts[0].connect("web");
    client.ask("echo one");
    let before = db.started_at();
    docker(&["kill", "--signal", "WINCH", db.name()]);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(db.status(), "running");
    db.end_by_itself();
    hosts[0].event("db", "died");
    thread::sleep(Duration::from_secs(6));
    client.ask("echo still in use");
    assert_eq!(db.status(), "running", "web is awake and requires it");
    assert_ne!(db.started_at(), before);
}

#[test]
fn t12_clients_obey_wake_timeout_while_a_requirement_is_being_started() {
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
    assert_ne!(
        end,
        crate::harness::End::Open,
        "still waiting after {:?}, wake_timeout is 2 s",
        begun.elapsed()
    );
}

#[allow(unused)]
fn unused(_: &Host, _: Control) {}

#[test]
fn t13_who_waits_for_his_port_is_not_frozen_out() {
    let web = Container::running(
        "web",
        &["--volume", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro")],
        &["bash", "-c", "python3 /servers.py & sleep 4; exec python3 /servers.py --port 8001"],
    );
    let plan = Plan::new("").socket("web", Kind::Tcp4).socket("web", Kind::Tcp4);
    let (one, two) = (plan.listener("web", 0).port(), plan.listener("web", 1).port());
    let table = format!(
        "[sidecar.web]\ncontainer = \"{}\"\nport = {{ {one} = 8000, {two} = 8001 }}\nwake_timeout = \"20s\"\npause_after = \"2s\"\nidle_timeout = \"5m\"\nbusy_cpu = 0\n",
        web.name()
    );
    let host = plan.config(&table).listen();
    host.connect("web").ask("echo one");
    let mut second = host.connect_nth("web", 1);
    second.deadline(Duration::from_secs(12));
    let answer = second.try_ask("echo two");
    assert!(answer.is_ok(), "{answer:?}; container {}", web.status());
}

#[test]
fn t13b_who_waits_for_his_port_is_not_put_to_sleep_under() {
    let web = Container::running(
        "web",
        &["--volume", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro")],
        &["bash", "-c", "python3 /servers.py & sleep 5; exec python3 /servers.py --port 8001"],
    );
    let plan = Plan::new("").socket("web", Kind::Tcp4).socket("web", Kind::Tcp4);
    let (one, two) = (plan.listener("web", 0).port(), plan.listener("web", 1).port());
    let table = format!(
        "[sidecar.web]\ncontainer = \"{}\"\nport = {{ {one} = 8000, {two} = 8001 }}\nwake_timeout = \"20s\"\nidle_timeout = \"2s\"\nbusy_cpu = 0\nstop_timeout = \"1s\"\n",
        web.name()
    );
    let host = plan.config(&table).listen();
    host.connect("web").ask("echo one");
    let mut second = host.connect_nth("web", 1);
    second.deadline(Duration::from_secs(15));
    let answer = second.try_ask("echo two");
    assert!(answer.is_ok(), "{answer:?}; container {}", web.status());
}

#[test]
fn t10_one_refusal_of_the_stats_does_not_turn_busy_off() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("GET /stats", Action::Refuse(500, "try again"));
    let plan =
        Plan::with_engine(recorder.path(), &web.sidecar("web", "idle_timeout = \"3s\"\nbusy_cpu = 10"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    assert_eq!(host.connect("web").ask("burn 15"), "burning");
    until("a refusal", || recorder.calls("GET /stats").first()?.answered);
    recorder.rules(Vec::new());
    let slept = host.wait_for(Duration::from_secs(8), |f| f.events("web", "slept").first().cloned());
    assert!(slept.is_none(), "{slept:?} while it works");
}

#[test]
fn t8_a_slow_stop_by_hand_is_by_hand() {
    let web = Container::new("web", "");
    let db = Container::running(
        "db",
        &["--volume", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers.py:/servers.py:ro")],
        &["bash", "-c", "python3 /servers.py & trap 'sleep 63; exit 0' TERM; while :; do sleep 0.2; done"],
    );
    let long = "busy_cpu = 0\nidle_timeout = \"20m\"\n";
    let config = web.sidecar("web", &format!("{long}requires = [\"db\"]")) + &db.sidecar("db", long);
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
fn t16_another_container_set_after_a_failed_wake_leaves_the_first_one_up() {
    let (old, new) = (Container::new("old", "--listen-after 1000"), Container::new("new", ""));
    let keys = "wake_timeout = \"1s\"\nwhen_late = \"refuse\"\nidle_timeout = \"2s\"\nbusy_cpu = 0";
    let host = Plan::new(&old.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    host.connect("web").end();
    host.event("web", "wake-failed");
    let text = std::fs::read_to_string(&host.config_path).unwrap().replace(old.name(), new.name());
    std::fs::write(&host.config_path, text).unwrap();
    host.signal(nix::sys::signal::Signal::SIGHUP);
    until("an answer", || host.connect("web").try_ask("echo new").ok());
    host.event("web", "slept");
    host.exit();
    assert_eq!((old.status(), new.status()), ("running".to_owned(), "exited".to_owned()));
    host.wait("a warning", |facts| {
        facts.lines.iter().any(|(_, line)| line.contains("not this sidecar's any more")).then_some(())
    });
}

#[test]
fn t21_a_start_that_took_effect_is_not_repeated_after_a_stop_by_hand() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    recorder.rule("POST /start", Action::HoldAnswer(Duration::from_millis(1500)));
    let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", "busy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    web.logged("listening");
    host.end_helper(SIGTERM);
    client.end();
    recorder.rules(Vec::new());
    docker(&["stop", "--time", "1", web.name()]);
    let started = web.started_at();
    host.start();
    thread::sleep(Duration::from_secs(2));
    assert_eq!((web.status(), web.started_at()), ("exited".to_owned(), started), "nobody asked for it");
}

#[test]
fn t36_a_client_is_not_reset_for_an_engine_that_went_in_a_pause() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    engine.rule("POST /pause", Action::HoldCall(Duration::from_secs(60)));
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "pause_after = \"500ms\"\nbusy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut quiet = host.connect("web");
    quiet.ask("echo one");
    engine.asked("POST /pause", 0);
    drop(engine);
    host.event("web", "engine-unreachable");
    assert_eq!(quiet.ask("echo two"), "two");
    assert_eq!(host.connect("web").try_ask("echo new").ok().as_deref(), Some("new"));
}

#[test]
fn t36b_a_client_is_served_where_the_engine_went_while_it_served() {
    let web = Container::new("web", "");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Recorder::new(&socket);
    let plan = Plan::with_engine(&socket, &web.sidecar("web", "busy_cpu = 0"));
    let host = plan.socket("web", Kind::Tcp4).listen();
    let mut quiet = host.connect("web");
    quiet.ask("echo one");
    drop(engine);
    host.event("web", "engine-unreachable");
    assert_eq!(host.connect("web").try_ask("echo new").ok().as_deref(), Some("new"));
}
