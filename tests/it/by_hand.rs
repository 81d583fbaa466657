//! What somebody does to a container by hand is followed and never undone.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Action, Client, Container, End, Gate, Host, Kind, Network, Plan, Recorder, docker, docker_anyway,
    is_podman, skip, until,
};

/// How long a look lasts for what must not happen.
const A_WHILE: Duration = Duration::from_secs(3);

/// `web` behind a recorder, in a helper that stays: `other` is awake in it and never idle.
struct Scene {
    host: Host,
    recorder: Recorder,
    web: Container,
    _other: Container,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(server: &str, keys: &str) -> Scene {
        Scene::with(Container::new("web", server), keys)
    }

    fn with(web: Container, keys: &str) -> Scene {
        let other = Container::new("other", "");
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("engine.sock"));
        let config = web.sidecar("web", &format!("{keys}\nbusy_cpu = 0"))
            + &other.sidecar("other", "idle_timeout = \"never\"");
        let plan = Plan::with_engine(recorder.path(), &config).socket("web", Kind::Tcp4);
        let host = plan.socket("other", Kind::Tcp4).listen();
        assert_eq!(host.connect("other").ask("echo stays"), "stays");
        Scene { host, recorder, web, _other: other, _dir: dir }
    }

    /// What rouse has asked for that changes the container: start, stop, pause, unpause, and whatever else is a POST.
    fn deeds(&self) -> Vec<String> {
        let id = self.web.inspect("{{.Id}}");
        let calls = self.recorder.all().into_iter();
        let own = |path: &str| path.contains(&id) || path.contains(self.web.name());
        calls.filter(|call| call.method != "GET" && own(&call.path)).map(|call| call.path).collect()
    }

    /// `act` is done by hand, and rouse does nothing about it for a while.
    #[track_caller]
    fn is_left_alone(&self, act: impl FnOnce()) {
        let before = self.deeds();
        act();
        thread::sleep(A_WHILE);
        let after = self.deeds();
        assert_eq!(before, after, "nobody has asked for that");
    }

    /// The state file says `state` soon.
    #[track_caller]
    fn soon_is(&self, state: &str) {
        let begun = Instant::now();
        let wanted = format!("\"state\":\"{state}\"");
        let file = self.host.state().join("web.json");
        until(&format!("{wanted} in the state file"), || {
            std::fs::read_to_string(&file).ok().filter(|text| text.contains(&wanted))
        });
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{state} only after {took:?}");
    }

    fn who(&self) -> String {
        let who = self.host.connect("web").ask("who");
        who.split(' ').next().unwrap().to_owned()
    }

    #[track_caller]
    fn is_one_helper(&self) {
        assert_eq!(self.host.look(|facts| (facts.starts.len(), facts.exits.len())), (1, 0));
    }
}

#[track_caller]
fn lives_on(client: &mut Client) {
    assert_eq!(client.ask("echo lives on"), "lives on");
}

#[test]
fn started_by_hand_it_is_adopted_gets_an_idle_clock_and_is_put_to_sleep() {
    let scene = Scene::new("", "idle_timeout = \"1500ms\"");
    scene.web.start();
    let started = scene.host.now();
    scene.host.event("web", "adopted");
    scene.soon_is("awake");
    scene.host.event("web", "slept");
    let (adopted, slept) = (scene.host.at("web", "adopted", 0), scene.host.at("web", "slept", 0));
    assert!(
        adopted.saturating_sub(started) < Duration::from_secs(2),
        "adopted at {adopted:?}, not {started:?}"
    );
    assert!(slept - adopted > Duration::from_millis(1400), "{:?} of 1.5 s", slept - adopted);
    assert!(slept - adopted < Duration::from_secs(5), "{:?} of 1.5 s", slept - adopted);
    assert_eq!(scene.web.status(), "exited");
    assert!(scene.recorder.calls("POST /start").len() == 1, "only the other one was started");
    assert_eq!(scene.host.connect("web").ask("echo woken"), "woken");
    scene.is_one_helper();
}

#[test]
fn a_leftover_is_probed_before_its_first_client_and_logged_as_adopted() {
    let web = Container::new("web", "--ready-after 2");
    web.start();
    let plan = Plan::new(&web.sidecar("web", "ready = \"http-ok:/ready\"")).socket("web", Kind::Tcp4);
    let host = plan.boot();
    host.event("web", "adopted");
    let who = host.connect("web").ask("who");
    let ended = format!("connection {} ended", who.split(' ').nth(1).unwrap());
    let logs = web.logged(&ended);
    let was_ready = logs.find("GET /ready -> 200");
    assert!(was_ready.is_some() && was_ready < logs.find(&ended), "served before it was ready:\n{logs}");
    assert_eq!(logs.matches("start ").count(), 1);
}

#[test]
fn paused_by_hand_it_stays_so_until_a_byte_comes() {
    let scene = Scene::new("", "");
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    scene.is_left_alone(|| {
        docker(&["pause", scene.web.name()]);
        scene.soon_is("paused");
    });
    assert!(scene.host.event("web", "paused").contains("by hand"));
    assert_eq!(scene.web.status(), "paused");
    lives_on(&mut client);
    scene.soon_is("awake");
    assert_eq!(scene.web.status(), "running");
    scene.is_one_helper();
}

#[test]
fn paused_by_hand_it_stays_so_until_a_connection_comes() {
    let scene = Scene::new("", "");
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    docker(&["pause", scene.web.name()]);
    scene.soon_is("paused");
    let begun = Instant::now();
    assert_eq!(scene.host.connect("web").ask("echo thawed"), "thawed");
    assert!(begun.elapsed() < Duration::from_secs(2));
    lives_on(&mut client);
}

#[test]
fn paused_by_hand_the_status_line_says_so() {
    let scene = Scene::new("", "");
    let _client = scene.host.connect("web");
    lives_on(&mut scene.host.connect("web"));
    docker(&["pause", scene.web.name()]);
    scene.host.wait("web: paused in STATUS", |facts| {
        facts.noted("STATUS=").last().filter(|(_, note)| note.contains("web: paused")).cloned()
    });
}

#[test]
fn unpaused_by_hand_it_is_served_on() {
    let scene = Scene::new("", "");
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    docker(&["pause", scene.web.name()]);
    scene.soon_is("paused");
    scene.is_left_alone(|| {
        docker(&["unpause", scene.web.name()]);
        scene.soon_is("awake");
    });
    assert!(scene.host.event("web", "unpaused").contains("by hand"));
    lives_on(&mut client);
    assert!(scene.recorder.calls("POST /unpause").is_empty(), "it was not rouse that thawed it");
}

#[test]
fn paused_and_unpaused_by_hand_many_times_nothing_is_lost() {
    let scene = Scene::new("", "");
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    for _ in 0..10 {
        docker(&["pause", scene.web.name()]);
        docker(&["unpause", scene.web.name()]);
        lives_on(&mut client);
        lives_on(&mut scene.host.connect("web"));
    }
    scene.soon_is("awake");
    assert_eq!(scene.web.status(), "running");
}

#[test]
fn paused_by_hand_with_nobody_connected_it_is_put_to_sleep_when_idle() {
    let scene = Scene::new("", "idle_timeout = \"1s\"");
    assert_eq!(scene.host.connect("web").ask("echo one"), "one");
    docker(&["pause", scene.web.name()]);
    scene.host.event("web", "slept");
    assert_eq!(scene.web.status(), "exited");
    assert_eq!(scene.host.connect("web").ask("echo two"), "two");
}

fn is_down_until_somebody_connects(act: &str) {
    let scene = Scene::new("", "");
    let first = scene.who();
    let mut open = scene.host.connect("web");
    lives_on(&mut open);
    scene.is_left_alone(|| {
        docker(&[act, scene.web.name()]);
        scene.soon_is("asleep");
    });
    assert_ne!(open.end(), End::Open);
    scene.host.event("web", "died");
    assert_eq!(scene.web.status(), "exited");
    assert_ne!(scene.who(), first);
    scene.is_one_helper();
}

#[test]
fn stopped_by_hand_it_stays_down_until_somebody_connects() {
    is_down_until_somebody_connects("stop");
}

#[test]
fn killed_by_hand_it_stays_down_until_somebody_connects() {
    is_down_until_somebody_connects("kill");
}

#[test]
fn restarted_by_hand_again_and_again_it_is_followed_and_left_alone() {
    let scene = Scene::new("", "");
    let mut last = scene.who();
    for _ in 0..3 {
        let mut open = scene.host.connect("web");
        lives_on(&mut open);
        let before = scene.deeds();
        docker(&["restart", scene.web.name()]);
        assert_ne!(open.end(), End::Open);
        let this = scene.who();
        assert_ne!(this, last, "served by the run before");
        last = this;
        let after = scene.deeds();
        assert_eq!(before, after, "the restart was asked for by hand alone");
    }
    scene.is_left_alone(|| drop(docker(&["restart", scene.web.name()])));
    assert_ne!(scene.who(), last);
    scene.is_one_helper();
}

#[test]
fn restarted_by_hand_under_quick_connections_it_serves_the_last_run_in_the_end() {
    let scene = Scene::new("", "");
    scene.who();
    thread::scope(|scope| {
        let restarts = scope.spawn(|| {
            for _ in 0..4 {
                let restart = ["restart", "--time", "1", scene.web.name()];
                // Podman's is a stop and a start, and fails where a client has it started in between.
                if is_podman() {
                    docker_anyway(&restart)
                } else {
                    docker(&restart)
                };
            }
        });
        while !restarts.is_finished() {
            // Whoever meets the end of a run is reset or ended; nobody hangs.
            let mut client = scene.host.connect("web");
            let begun = Instant::now();
            let answer = client.try_ask("echo quick");
            assert!(begun.elapsed() < Duration::from_secs(10), "{answer:?} after {:?}", begun.elapsed());
            if let Ok(answer) = answer {
                assert_eq!(answer, "quick");
            }
        }
    });
    let who = until("an answer, or a container without a network", || {
        // Podman may clean up after a run when the next one is up, which loses its network then.
        let is_lost = is_podman() && scene.web.is_unreachable();
        if is_lost { Some(None) } else { scene.host.connect("web").try_ask("who").ok().map(Some) }
    });
    let Some(who) = who else {
        return until("why nobody can be served", || {
            let _ = scene.host.connect("web").try_ask("who");
            let failed = scene.host.look(|facts| facts.events("web", "wake-failed"));
            failed.iter().any(|(_, line)| line.contains("it has no address")).then_some(())
        });
    };
    let running = scene
        .web
        .logs()
        .lines()
        .filter_map(|line| line.strip_prefix("start "))
        .next_back()
        .unwrap()
        .to_owned();
    assert!(who.starts_with(&running), "{who:?}, not {running}");
    assert!(scene.recorder.calls("POST /stop").is_empty());
    scene.is_one_helper();
}

#[test]
fn restarted_by_hand_an_end_that_follows_is_its_own() {
    if is_podman() {
        return skip("Podman may tell of an end when the next run is up already");
    }
    let scene = Scene::new("", "");
    scene.who();
    // The look that the end makes necessary sees the next run.
    let gate = Gate::shut();
    scene.recorder.rule("GET /json", Action::GateCall(gate.clone()));
    docker(&["restart", "--time", "1", scene.web.name()]);
    gate.open();
    scene.recorder.rules(Vec::new());
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    assert!(client.try_ask("crash").is_err());
    scene.host.event("web", "died");
    let file = scene.host.state().join("web.json");
    until("the failure in the state file", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("its container has ended: exit code 7").then_some(())
    });
}

#[test]
fn moved_to_another_network_by_hand_it_is_served_there() {
    let [before, after] = ["before", "after"].map(Network::new);
    let scene = Scene::with(Container::with("web", &["--network", before.name()], ""), "");
    let first = scene.host.connect("web").ask("who");
    let mut open = scene.host.connect("web");
    lives_on(&mut open);
    docker(&["network", "connect", after.name(), scene.web.name()]);
    lives_on(&mut open);
    let said = docker_anyway(&["network", "disconnect", before.name(), scene.web.name()]);
    if is_podman() && said.contains("aardvark") {
        return skip("Podman takes no container out of a network without aardvark-dns");
    }
    let second = scene.host.connect("web").ask("who");
    assert_eq!(first.split(' ').next(), second.split(' ').next(), "the same run");
    assert_ne!(first.split(' ').nth(2), second.split(' ').nth(2), "at another address");
    assert_ne!(open.end(), End::Open);
    assert_eq!(scene.recorder.calls("POST /start").len(), 2, "one for each sidecar");
    scene.is_one_helper();
}

#[test]
fn renamed_its_connections_live_on_and_it_is_put_to_sleep_when_idle() {
    let scene = Scene::new("", "idle_timeout = \"2s\"");
    let first = scene.who();
    let mut open = scene.host.connect("web");
    lives_on(&mut open);
    let id = scene.web.inspect("{{.Id}}");
    let renamed = format!("{}-old", scene.web.name());
    docker(&["rename", scene.web.name(), &renamed]);
    lives_on(&mut open);
    assert_eq!(scene.who(), first, "a new connection goes to the only one there is");
    scene.host.event("web", "slept");
    assert_ne!(open.end(), End::Open);
    assert_eq!(docker(&["inspect", "--format", "{{.State.Status}}", &id]), "exited");
    docker(&["rename", &renamed, scene.web.name()]);
    assert_ne!(scene.who(), first);
}

#[test]
fn renamed_with_its_name_given_to_another_new_connections_go_to_that_one() {
    let scene = Scene::new("", "");
    let first = scene.who();
    let mut open = scene.host.connect("web");
    lives_on(&mut open);
    let renamed = format!("{}-old", scene.web.name());
    docker(&["rename", scene.web.name(), &renamed]);
    let removed = Removed(renamed.clone());
    scene.web.create();
    scene.web.start();
    scene.web.logged("listening");
    let newcomer = until("the newcomer", || Some(scene.who()).filter(|who| *who != first));
    assert!(scene.web.logs().contains(&newcomer), "{newcomer}");
    scene.soon_is("awake");
    assert_eq!(
        docker(&["inspect", "--format", "{{.State.Status}}", &renamed]),
        "running",
        "nobody asked for its end"
    );
    drop(removed);
}

/// A container under a name that no `Container` has any more.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

#[test]
fn removed_and_made_anew_by_hand_the_newcomer_is_served() {
    // Where nobody else takes addresses or leaves them.
    let network = Network::new("own");
    let own = ["--network", network.name()];
    let scene = Scene::with(Container::with("web", &own, ""), "");
    let first = scene.host.connect("web").ask("who");
    let mut open = scene.host.connect("web");
    lives_on(&mut open);
    scene.web.remove();
    assert_ne!(open.end(), End::Open);
    scene.soon_is("asleep");
    // Somebody else has its address now.
    let squatter = Container::with("squatter", &own, "");
    squatter.start();
    scene.web.create();
    scene.is_left_alone(|| {});
    let second = scene.host.connect("web").ask("who");
    let (run, place) = (
        |who: &str| who.split(' ').next().unwrap().to_owned(),
        |who: &str| who.split(' ').nth(2).unwrap().to_owned(),
    );
    assert_ne!(run(&first), run(&second));
    assert_ne!(place(&first), place(&second));
    assert!(scene.web.logs().contains(&run(&second)));
    scene.is_one_helper();
}

#[test]
fn removed_made_anew_and_started_by_hand_in_one_go_the_newcomer_is_served_without_a_start() {
    let scene = Scene::new("", "");
    let first = scene.who();
    let starts = scene.recorder.calls("POST /start").len();
    scene.web.remove();
    scene.web.create();
    scene.web.start();
    scene.soon_is("awake");
    let second = scene.host.served_again("web");
    assert!(!second.starts_with(&first), "{second:?}");
    assert_eq!(scene.recorder.calls("POST /start").len(), starts);
    assert!(scene.recorder.calls("POST /stop").is_empty());
}

#[test]
fn unpaused_by_hand_it_is_not_paused_again_before_it_is_used() {
    let scene = Scene::new("", "pause_after = \"300ms\"");
    let mut client = scene.host.connect("web");
    lives_on(&mut client);
    scene.host.event("web", "paused");
    docker(&["unpause", scene.web.name()]);
    scene.host.event("web", "unpaused");
    let again =
        scene.host.wait_for(Duration::from_secs(2), |facts| facts.events("web", "paused").get(1).cloned());
    assert!(again.is_none(), "{again:?}");
    lives_on(&mut client);
    scene.host.event_nth("web", "paused", 1);
}
