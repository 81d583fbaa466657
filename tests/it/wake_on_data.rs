//! With `wake_on = "data"` a client that sends nothing wakes nothing, and disturbs nobody.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Client, Container, End, Host, Kind, Plan, Recorder, behind_recorder, docker, private_memory,
    until,
};

/// What clients must do, and what would get in the way of a test about that.
const DATA: &str = "wake_on = \"data\"\nbusy_cpu = 0";
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A sidecar `web` behind a recorder.
struct Scene {
    host: Host,
    recorder: Recorder,
    web: Container,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(keys: &str) -> Scene {
        let web = Container::with("web", &["--stop-signal", "KILL"], "");
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", &format!("{DATA}\n{keys}")));
        Scene { host, recorder, web, _dir }
    }

    #[track_caller]
    fn has_woken_nothing(&self) {
        assert!(self.recorder.calls("POST /").is_empty(), "{:?}", self.recorder.calls("POST /"));
        assert_eq!(self.web.status(), "created");
    }

    /// Waits until nobody is left in the kernel's queue: the helper has let all of them in.
    #[track_caller]
    fn all_let_in(&self) {
        until("an empty queue", || (self.host.queued("web") == 0).then_some(()));
    }

    /// No helper has ended, and none does for a while.
    #[track_caller]
    fn helper_stays(&self, time: Duration) {
        let ended = self.host.wait_for(time, |facts| facts.exits.first().copied());
        assert!(ended.is_none(), "{ended:?}");
    }
}

fn silent(host: &Host, count: usize) -> Vec<Client> {
    (0..count).map(|_| host.connect("web")).collect()
}

#[test]
fn a_silent_client_wakes_nothing_and_is_closed_in_order_after_30_s() {
    let scene = Scene::new("");
    let begun = Instant::now();
    let mut client = scene.host.connect("web");
    client.deadline(PATIENCE + Duration::from_secs(10));
    assert_eq!(client.end(), End::Clean);
    let took = begun.elapsed();
    assert!(took > PATIENCE - Duration::from_secs(1) && took < PATIENCE + Duration::from_secs(5), "{took:?}");
    // The helper was there all the time, and goes once nobody is left.
    assert!(scene.host.exit().success());
    assert_eq!(scene.host.look(|facts| facts.starts.len()), 1);
    scene.has_woken_nothing();
}

#[test]
fn while_silent_clients_stand_there_the_helper_stays_and_once_they_are_gone_it_exits() {
    let scene = Scene::new("");
    let clients = silent(&scene.host, 3);
    scene.helper_stays(Duration::from_secs(4));
    let left = scene.host.now();
    for (number, client) in clients.into_iter().enumerate() {
        if number == 1 { client.reset() } else { drop(client) }
    }
    assert!(scene.host.exit().success());
    let took = scene.host.look(|facts| facts.exits[0].0) - left;
    assert!(took < Duration::from_secs(5), "{took:?} after the last one");
    assert_eq!(scene.host.look(|facts| facts.starts.len()), 1);
    scene.has_woken_nothing();
}

#[test]
fn scanners_and_health_checks_wake_nothing() {
    let scene = Scene::new("");
    for _ in 0..30 {
        drop(scene.host.connect("web"));
        scene.host.connect("web").reset();
        let mut half = scene.host.connect("web");
        half.finish();
        half.deadline(Duration::from_secs(10));
        assert_eq!(half.end(), End::Clean, "an end without a byte is answered by an end");
    }
    scene.all_let_in();
    until("a helper that has gone", || {
        scene.host.look(|facts| (facts.starts.len() == facts.exits.len()).then_some(()))
    });
    assert!(scene.host.look(|facts| facts.exits.iter().all(|(_, status)| status.success())));
    scene.has_woken_nothing();
}

#[test]
fn who_sends_is_served_and_its_first_bytes_arrive_whole() {
    let scene = Scene::new("");
    let mut late = scene.host.connect("web");
    let mut quiet = silent(&scene.host, 5);
    // More than any buffer holds, sent while the container is asleep, by one that ends at once.
    let mut writer = scene.host.connect("web");
    writer.deadline(PATIENCE);
    writer.write_all(b"until-eof\n").unwrap();
    let noise: Vec<u8> =
        (0..3_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    writer.write_all(&noise).unwrap();
    writer.finish();
    let answer = writer.rest();
    assert_eq!(answer.split(' ').next(), Some("3000000"), "{answer:?}");
    let digest = sha256(&noise);
    assert_eq!(answer.trim().split(' ').nth(1), Some(digest.as_str()));
    // One that has been silent until now is served like any other.
    assert_eq!(late.ask("echo at last"), "at last");
    assert_eq!(quiet[4].ask("echo me too"), "me too");
    assert_eq!(scene.recorder.calls("POST /start").len(), 1);
}

fn sha256(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let sum = crate::harness::output(std::process::Command::new("sha256sum").arg(file.path()));
    String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap().to_owned()
}

#[test]
fn silent_clients_beside_it_are_no_connections_of_the_container() {
    let scene = Scene::new("max_connections = 3");
    let mut quiet = silent(&scene.host, 2);
    let mut busy: Vec<Client> = (0..2).map(|_| scene.host.connect("web")).collect();
    for client in &mut busy {
        client.ask("echo one");
    }
    let mut more = silent(&scene.host, 20);
    let answer = quiet[0].ask("who");
    assert_eq!(answer.split(' ').nth(1), Some("3"), "{answer:?}: the container has seen silent clients");
    assert_eq!(busy[0].ask("echo undisturbed"), "undisturbed");
    drop(busy);
    assert_eq!(more[19].ask("echo a free place"), "a free place");
}

#[test]
fn silent_clients_and_health_checks_do_not_keep_it_awake() {
    let scene = Scene::new("idle_timeout = \"700ms\"\nidle = \"connections\"");
    assert_eq!(scene.host.connect("web").ask("echo one"), "one");
    let standing = scene.host.connect("web");
    let slept = until("sleep", || {
        drop(scene.host.connect("web"));
        thread::sleep(Duration::from_millis(50));
        scene.host.look(|facts| facts.events("web", "slept").first().cloned())
    });
    assert!(slept.0 < Duration::from_secs(15), "{slept:?}");
    // Who stands there may still wake it.
    scene.helper_stays(Duration::from_secs(2));
    let mut standing = standing;
    assert_eq!(standing.ask("echo two"), "two");
    assert_eq!(scene.recorder.calls("POST /start").len(), 2);
    assert_eq!(scene.host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn a_silent_client_does_not_unpause_and_one_that_sends_does() {
    let scene = Scene::new("pause_after = \"400ms\"\nidle_timeout = \"never\"");
    let mut first = scene.host.connect("web");
    first.ask("echo one");
    scene.host.event("web", "paused");
    let mut quiet = silent(&scene.host, 3);
    for _ in 0..20 {
        drop(scene.host.connect("web"));
        scene.host.connect("web").reset();
    }
    scene.all_let_in();
    scene.host.never("web", "unpaused", Duration::from_secs(2));
    assert!(scene.recorder.calls("POST /unpause").is_empty());
    assert_eq!(scene.web.status(), "paused");
    assert_eq!(quiet[1].ask("echo two"), "two");
    assert_eq!(scene.recorder.calls("POST /unpause").len(), 1);
    scene.host.event_nth("web", "paused", 1);
    assert_eq!(first.ask("echo three"), "three");
}

#[test]
fn a_paused_container_with_silent_clients_goes_to_sleep() {
    let scene = Scene::new("pause_after = \"300ms\"\nidle_timeout = \"1500ms\"");
    scene.host.connect("web").ask("echo one");
    scene.host.event("web", "paused");
    let _quiet = silent(&scene.host, 3);
    scene.host.event("web", "slept");
    scene.helper_stays(Duration::from_secs(2));
    assert_eq!(scene.host.count("web", "unpaused"), 0);
}

#[test]
fn a_thousand_silent_clients_cost_little_and_hide_nobody() {
    let scene = Scene::new("");
    let one = scene.host.connect("web");
    let pid = scene.host.pid();
    scene.host.note("READY=1");
    scene.all_let_in();
    let before = private_memory(pid);
    let mut quiet = silent(&scene.host, 1000);
    scene.all_let_in();
    let grown = private_memory(pid).saturating_sub(before);
    println!("1000 silent clients: {} KiB", grown / 1024);
    assert!(grown < 2 << 20, "{grown} bytes for 1000 silent clients");
    let begun = Instant::now();
    let mut client = scene.host.connect("web");
    assert_eq!(client.ask("echo through the crowd"), "through the crowd");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(quiet[700].ask("echo one of them"), "one of them");
    let mut times: Vec<Duration> = (0..51)
        .map(|_| {
            let begun = Instant::now();
            client.ask("echo beside them");
            begun.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[25] < Duration::from_millis(500), "{times:?}");
    assert_eq!(scene.host.pid(), pid);
    drop(one);
}

#[test]
fn silent_clients_before_a_sleeping_sidecar_keep_a_helper_whose_others_go_to_sleep() {
    let (web, other) = (Container::new("web", ""), Container::with("other", &["--stop-signal", "KILL"], ""));
    let config = web.sidecar("web", DATA) + &other.sidecar("other", "idle_timeout = \"500ms\"\nbusy_cpu = 0");
    let host = Plan::new(&config).socket("web", Kind::Tcp4).socket("other", Kind::Tcp4).listen();
    host.connect("other").ask("echo awake");
    let mut quiet = silent(&host, 2);
    host.event("other", "slept");
    let ended = host.wait_for(Duration::from_secs(3), |facts| facts.exits.first().copied());
    assert!(ended.is_none(), "{ended:?} with silent clients before web");
    assert_eq!(quiet.pop().unwrap().ask("echo still here"), "still here");
    assert_eq!(web.status(), "running");
}

#[test]
fn who_sends_during_a_failed_wakes_window_is_reset_and_who_is_silent_stays() {
    let web = Container::new("web", "--die-after 0.2");
    let host = Plan::new(&web.sidecar("web", DATA)).socket("web", Kind::Tcp4).listen();
    let mut quiet = host.connect("web");
    let mut client = host.connect("web");
    client.write_all(b"echo one\n").unwrap();
    assert_eq!(client.end(), End::Reset);
    host.event("web", "wake-failed");
    quiet.deadline(Duration::from_millis(500));
    assert_eq!(quiet.end(), End::Open);
    quiet.deadline(Duration::from_secs(10));
    quiet.write_all(b"echo two\n").unwrap();
    assert_eq!(quiet.end(), End::Reset);
}

#[test]
fn who_sends_during_a_start_or_a_stop_is_served() {
    let scene = Scene::new("idle_timeout = \"500ms\"");
    let mut early = scene.host.connect("web");
    scene.recorder.rule("POST /start", Action::HoldCall(Duration::from_secs(1)));
    let mut client = scene.host.connect("web");
    client.write_all(b"echo one\n").unwrap();
    scene.recorder.asked("POST /start", 0);
    early.write_all(b"echo two\n").unwrap();
    assert_eq!((client.read_line().unwrap().as_str(), early.read_line().unwrap().as_str()), ("one", "two"));
    scene.recorder.rule("POST /stop", Action::HoldCall(Duration::from_secs(1)));
    let mut silent = scene.host.connect("web");
    scene.recorder.asked("POST /stop", 0);
    silent.write_all(b"echo three\n").unwrap();
    assert_eq!(silent.read_line().unwrap(), "three");
    assert_eq!(scene.recorder.calls("POST /start").len(), 2);
}

#[test]
fn a_container_started_by_hand_is_not_disturbed_by_who_is_silent() {
    let scene = Scene::new("ready = \"http:/\"");
    scene.web.start();
    scene.web.logged("listening");
    let mut quiet = silent(&scene.host, 3);
    scene.host.event("web", "adopted");
    scene.helper_stays(Duration::from_secs(1));
    assert_eq!(scene.web.logs().matches("GET ").count(), 0, "nobody has asked for it");
    assert_eq!(quiet[0].ask("echo found"), "found");
    docker(&["kill", scene.web.name()]);
    scene.host.event("web", "died");
    assert_eq!(quiet[1].ask("echo woken"), "woken");
}

#[test]
fn unix_clients_are_no_different() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", DATA)).socket("web", Kind::Unix).listen();
    let (quiet, mut client) = (host.connect("web"), host.connect("web"));
    host.never("web", "waking", Duration::from_secs(1));
    assert_eq!(client.ask("echo one"), "one");
    drop(quiet);
}
