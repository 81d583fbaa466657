//! The engine is away and `address` is set: clients are connected straight to that.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Client, Container, Control, End, Gate, Host, Kind, Plan, Recorder, descriptors, free_port, until,
};

mod stages; // the engine goes away while asleep, waking, awake, paused, going to sleep

/// How an engine is away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Away {
    /// There is no socket.
    Gone,
    /// Nobody listens on the socket.
    Refusing,
    /// Whoever connects hears nothing.
    Hanging,
}

const ALL_WAYS: [Away; 3] = [Away::Gone, Away::Refusing, Away::Hanging];

/// A sidecar `web` on the host's network, so that its address answers exactly while its server listens, and an engine that
/// comes and goes.
struct Scene {
    host: Host,
    web: Container,
    socket: PathBuf,
    engine: Option<Recorder>,
    hanging: Option<UnixListener>,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// The engine is away from the beginning.
    fn without_engine(how: Away, keys: &str) -> Scene {
        let port = free_port();
        let options = ["--network", "host", "--stop-signal", "KILL"];
        let web = Container::with("web", &options, &format!("--port {port}"));
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let keys = format!("address = \"127.0.0.1:{port}\"\nbusy_cpu = 0\n{keys}");
        let plan = Plan::with_engine(&socket, &web.sidecar("web", &keys)).socket("web", Kind::Tcp4);
        let mut scene = Scene { host: plan.listen(), web, socket, engine: None, hanging: None, _dir: dir };
        scene.engine_goes(how);
        scene
    }

    /// The engine is there.
    fn new(keys: &str) -> Scene {
        let mut scene = Scene::without_engine(Away::Gone, keys);
        scene.engine_returns();
        scene
    }

    fn engine_goes(&mut self, how: Away) {
        drop(self.engine.take());
        match how {
            Away::Gone => {}
            Away::Refusing => drop(UnixListener::bind(&self.socket).unwrap()),
            Away::Hanging => self.hanging = Some(UnixListener::bind(&self.socket).unwrap()),
        }
    }

    fn engine_returns(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        self.hanging = None;
        self.engine = Some(Recorder::new(&self.socket));
    }

    fn calls(&self, pattern: &str) -> usize {
        self.engine.as_ref().unwrap().calls(pattern).len()
    }

    /// How often the engine's absence was told, which it was or will be at once.
    fn told(&self) -> usize {
        self.host.event("web", "engine-unreachable");
        self.host.count("web", "engine-unreachable")
    }

    #[track_caller]
    fn started_by_hand(&self) {
        self.web.start();
        self.web.logged("listening");
    }

    #[track_caller]
    fn goes_to_sleep(&self) {
        self.host.event("web", "slept");
        assert!(self.host.exit().success());
        assert_eq!(self.web.status(), "exited");
        assert_eq!(self.host.look(|facts| facts.starts.len()), 1);
    }
}

#[test]
fn without_an_engine_clients_reach_an_address_that_answers() {
    for how in ALL_WAYS {
        let scene = Scene::without_engine(how, "");
        scene.started_by_hand();
        let begun = Instant::now();
        let mut clients: Vec<Client> = (0..5).map(|_| scene.host.connect("web")).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.ask(&format!("echo {number}")), number.to_string(), "{how:?}");
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(6), "{how:?}: {took:?}");
        assert_eq!(scene.host.connect("web").ask("echo and later"), "and later", "{how:?}");
        assert_eq!(scene.told(), 1, "{how:?}");
    }
}

#[test]
fn an_engine_that_answers_again_is_noticed_however_fast_clients_come_and_go() {
    let mut scene = Scene::without_engine(Away::Gone, "idle_timeout = \"5m\"");
    scene.started_by_hand();
    scene.engine_returns();
    // What happens is still told.
    let gate = Gate::shut();
    scene.engine.as_ref().unwrap().rule("GET /json", Action::GateCall(gate.clone()));
    assert_eq!(scene.host.connect("web").ask("echo first"), "first");
    assert_eq!(scene.told(), 1);
    gate.open();
    until("the engine to be asked again", || {
        let begun = Instant::now();
        assert_eq!(scene.host.connect("web").ask("echo quick"), "quick");
        assert!(begun.elapsed() < Duration::from_secs(3), "served after {:?}", begun.elapsed());
        scene.host.look(|facts| facts.events("web", "adopted").first().cloned())
    });
}

#[test]
fn without_an_engine_clients_of_an_address_that_does_not_answer_are_reset_at_once() {
    for how in ALL_WAYS {
        let scene = Scene::without_engine(how, "");
        let mut clients: Vec<Client> = (0..5).map(|_| scene.host.connect("web")).collect();
        let begun = Instant::now();
        for client in &mut clients {
            assert_eq!(client.end(), End::Reset, "{how:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(6), "{how:?}: {:?}", begun.elapsed());
        let begun = Instant::now();
        assert_eq!(scene.host.connect("web").end(), End::Reset, "{how:?}");
        // It is known by now.
        assert!(begun.elapsed() < Duration::from_secs(3), "{how:?}: {:?}", begun.elapsed());
        assert_eq!(scene.told(), 1, "{how:?}");
    }
}

#[test]
fn without_an_address_clients_are_reset() {
    let web = Container::new("web", "");
    web.start();
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::with_engine(&dir.path().join("none.sock"), &web.sidecar("web", ""));
    let host = plan.socket("web", Kind::Tcp4).listen();
    for _ in 0..3 {
        assert_eq!(host.connect("web").end(), End::Reset);
    }
    host.event("web", "engine-unreachable");
}

#[test]
fn when_the_engine_is_back_connections_live_on_and_the_container_is_adopted_and_put_to_sleep() {
    for how in ALL_WAYS {
        let mut scene = Scene::without_engine(how, "idle_timeout = \"2s\"");
        scene.started_by_hand();
        let mut clients: Vec<Client> = (0..3).map(|_| scene.host.connect("web")).collect();
        let before: Vec<String> = clients.iter_mut().map(|client| client.ask("who")).collect();
        // Longer than idle_timeout: nothing is stopped or cut off by a helper that cannot know.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            for (client, before) in clients.iter_mut().zip(&before) {
                assert_eq!(client.ask("who"), *before, "{how:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(scene.told(), 1, "{how:?}");
        scene.engine_returns();
        scene.host.event("web", "adopted");
        for (client, before) in clients.iter_mut().zip(&before) {
            assert_eq!(client.ask("who"), *before, "{how:?}: another connection");
        }
        assert_eq!(scene.host.connect("web").ask("echo a new one"), "a new one");
        scene.goes_to_sleep();
        assert_eq!((scene.calls("POST /start"), scene.calls("POST /stop")), (0, 1));
        for client in &mut clients {
            assert_ne!(client.end(), End::Open);
        }
        // And from then on it is as it always is.
        assert_eq!(scene.host.connect("web").ask("echo woken"), "woken");
        assert_eq!(scene.calls("POST /start"), 1);
    }
}

#[test]
fn a_quiet_connection_made_meanwhile_lives_on_until_sleep() {
    let mut scene = Scene::without_engine(Away::Gone, "idle_timeout = \"3s\"");
    scene.started_by_hand();
    let mut quiet = scene.host.connect("web");
    let before = quiet.ask("who");
    scene.engine_returns();
    scene.host.event("web", "adopted");
    quiet.deadline(Duration::from_millis(1500));
    assert!(quiet.read_line().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    quiet.deadline(Duration::from_secs(10));
    assert_eq!(quiet.ask("who"), before);
    scene.goes_to_sleep();
}

#[test]
fn a_second_outage_is_told_of_again() {
    let mut scene = Scene::new("idle_timeout = \"never\"");
    let mut client = scene.host.connect("web");
    client.ask("echo one");
    for outage in 1..=2 {
        scene.engine_goes(Away::Gone);
        scene.host.event_nth("web", "engine-unreachable", outage - 1);
        assert_eq!(client.ask("echo still"), "still");
        scene.engine_returns();
        // It is back for the helper when it tells of events, and the helper looks at the container after that.
        let engine = scene.engine.as_ref().unwrap();
        let back = engine.asked("GET /events", 0).asked;
        until("a look at the container", || {
            let looks = engine.calls("GET /json");
            looks.iter().any(|look| back < look.asked && look.answered.is_some()).then_some(())
        });
        assert_eq!(client.ask("echo still"), "still");
    }
    assert_eq!(scene.told(), 2);
}

#[test]
fn an_address_that_is_rouses_own_socket_is_not_dialled() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::with_engine(&dir.path().join("none.sock"), "").socket("web", Kind::Tcp4);
    let port = plan.listener("web", 0).port();
    let host = plan.config(&format!("[sidecar.web]\naddress = \"127.0.0.1:{port}\"\n")).listen();
    let mut client = host.connect("web");
    client.deadline(Duration::from_secs(5));
    let end = client.end();
    let most = host.look(|facts| facts.pid).map_or(0, |pid| descriptors(pid).len());
    assert!(most < 100, "{most} descriptors: rouse has connected to itself");
    assert_eq!(end, End::Reset);
}

#[test]
fn with_wake_on_data_only_who_sends_is_passed_on() {
    let mut scene = Scene::without_engine(Away::Gone, "wake_on = \"data\"\nidle_timeout = \"1s\"");
    scene.started_by_hand();
    let _silent: Vec<Client> = (0..3).map(|_| scene.host.connect("web")).collect();
    let mut client = scene.host.connect("web");
    let answer = client.ask("who");
    assert_eq!(answer.split(' ').nth(1), Some("1"), "{answer:?}: the server has seen silent clients");
    scene.engine_returns();
    scene.host.event("web", "adopted");
    assert_eq!(client.ask("who"), answer);
    scene.host.event("web", "slept");
}

#[test]
fn a_container_found_awake_is_reached_soon_although_the_engine_hangs() {
    let mut scene = Scene::new("");
    scene.started_by_hand();
    scene.host.start();
    scene.host.event("web", "adopted");
    scene.engine_goes(Away::Hanging);
    scene.host.event("web", "engine-unreachable");
    let begun = Instant::now();
    assert_eq!(scene.host.connect("web").ask("echo straight"), "straight");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(scene.told(), 1);
}

#[test]
fn who_calls_without_an_engine_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[sidecar.web]\naddress = \"127.0.0.1:1\"\n";
    let plan = Plan::with_engine(&folder.path().join("none.sock"), config).socket("web", Kind::Tcp4);
    let _host = plan.control(folder.path(), "web").boot();
    let (status, body) = Control::new(folder.path(), "web").post("hold?by=test");
    assert!((500..600).contains(&status) && body.contains("none.sock"), "{status} {body}");
}
