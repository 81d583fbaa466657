//! When a changed configuration takes effect, and what that disturbs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGHUP;

use crate::harness::{Client, Container, End, Host, Kind, Plan, until};

/// How long a look lasts for what must not happen.
const A_WHILE: Duration = Duration::from_millis(2500);

fn serve(container: &Container, keys: &str) -> Host {
    Plan::new(&container.sidecar("web", keys)).socket("web", Kind::Tcp4).listen()
}

/// Replaces the table of `web`, and tells the helper if one runs: the next one reads the file anyway.
#[track_caller]
fn reload(host: &Host, table: &str) {
    let file = fs::read_to_string(&host.config_path).unwrap();
    let head: String = file.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&host.config_path, head + table).unwrap();
    host.signal(SIGHUP);
}

fn run_of(client: &mut Client) -> String {
    client.ask("who").split(' ').next().unwrap().to_owned()
}

#[test]
fn a_shorter_idle_timeout_holds_for_who_is_awake_with_an_open_connection() {
    let web = Container::new("web", "");
    let host = serve(&web, "");
    let mut client = host.connect("web");
    client.ask("echo one");
    let begun = Instant::now();
    reload(&host, &web.sidecar("web", "idle_timeout = \"1s\""));
    host.event("web", "slept");
    assert!(begun.elapsed() < Duration::from_secs(5), "slept only after {:?}", begun.elapsed());
    assert_ne!(client.end(), End::Open);
    assert!(host.exit().success());
}

#[test]
fn a_longer_idle_timeout_holds_for_who_is_awake() {
    let web = Container::new("web", "");
    let host = serve(&web, "idle_timeout = \"1s\"\nbusy_cpu = 0");
    let mut client = host.connect("web");
    client.ask("echo one");
    reload(&host, &web.sidecar("web", "idle_timeout = \"1h\""));
    host.never("web", "slept", A_WHILE);
    assert_eq!(client.ask("echo two"), "two");
    reload(&host, &web.sidecar("web", "idle_timeout = \"300ms\""));
    host.event("web", "slept");
}

#[test]
fn connections_become_use_by_a_reload_and_cease_to_be() {
    let web = Container::new("web", "");
    let short = "idle_timeout = \"1s\"\nbusy_cpu = 0";
    let host = serve(&web, short);
    let mut client = host.connect("web");
    client.ask("echo one");
    reload(&host, &web.sidecar("web", &format!("{short}\nidle = \"connections\"")));
    host.never("web", "slept", A_WHILE);
    reload(&host, &web.sidecar("web", short));
    host.event("web", "slept");
    assert_ne!(client.end(), End::Open);
}

#[test]
fn a_pause_that_is_switched_on_comes_and_one_that_is_switched_off_does_not() {
    let web = Container::new("web", "");
    let host = serve(&web, "");
    let mut client = host.connect("web");
    client.ask("echo one");
    reload(&host, &web.sidecar("web", "pause_after = \"500ms\""));
    host.event("web", "paused");
    assert_eq!(web.status(), "paused");
    reload(&host, &web.sidecar("web", ""));
    // That alone thaws nothing.
    host.never("web", "unpaused", A_WHILE);
    assert_eq!(client.ask("echo two"), "two");
    host.never_nth("web", "paused", 1, A_WHILE);
}

#[test]
fn another_port_holds_from_the_next_wake_on() {
    let web = Container::new("web", "--port 8001");
    let table = web.sidecar("web", "idle_timeout = \"700ms\"").replace("port = 8000", "port = 8001");
    let host = Plan::new(&table).socket("web", Kind::Tcp4).listen();
    let mut client = host.connect("web");
    client.ask("echo one");
    reload(&host, &table.replace("port = 8001", "port = 8002"));
    for _ in 0..5 {
        assert_eq!(host.connect("web").ask("echo by the old port"), "by the old port");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.ask("echo two"), "two");
    host.event("web", "slept");
    reload(
        &host,
        &table.replace("port = 8001", "port = 8002\nwake_timeout = \"1s\"\nwhen_late = \"refuse\""),
    );
    assert_eq!(host.connect("web").end(), End::Reset);
    host.says(":8002");
}

#[test]
fn another_container_holds_from_the_next_wake_on_also_under_clients_without_end() {
    let (old, new, stays) =
        (Container::new("old", ""), Container::new("new", ""), Container::new("stays", ""));
    let table = |web: &Container| {
        web.sidecar("web", "idle_timeout = \"100ms\"\nbusy_cpu = 0")
            + &stays.sidecar("stays", "idle_timeout = \"never\"")
    };
    let plan = Plan::new(&table(&old)).socket("web", Kind::Tcp4).socket("stays", Kind::Tcp4);
    let host = plan.listen();
    assert_eq!(host.connect("stays").ask("echo stays"), "stays");
    let mut open = host.connect("web");
    let first = run_of(&mut open);
    assert!(old.logs().contains(&first));
    reload(&host, &table(&new));
    assert_eq!(run_of(&mut open), first, "who is connected stays where he is");
    // Each comes while the container is put to sleep or asleep: the life is never at rest.
    let begun = Instant::now();
    loop {
        let run = run_of(&mut host.connect("web"));
        if new.logs().contains(&run) {
            break;
        }
        assert!(old.logs().contains(&run));
        assert!(begun.elapsed() < Duration::from_secs(20), "the old container is woken again and again");
        // Until the next stop is under way.
        let slept = host.count("web", "slept");
        host.wait("one more sleep", |facts| {
            let stopping = facts.notes.last().is_some_and(|(_, note)| note.contains("going to sleep"));
            (stopping || facts.events("web", "slept").len() > slept).then_some(())
        });
    }
    until("the old one asleep", || (old.status() == "exited").then_some(()));
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn an_error_leaves_the_old_settings_in_force_and_is_told_with_its_place() {
    let web = Container::new("web", "");
    let host = serve(&web, "idle_timeout = \"1500ms\"\nbusy_cpu = 0");
    let mut client = host.connect("web");
    client.ask("echo one");
    let broken = [
        (web.sidecar("web", "idle_timeout = \"10 eons\""), "rouse.toml:6:16: "),
        (web.sidecar("web", "prot = 1"), "rouse.toml:6:1: "),
        ("[sidecar.web".to_owned(), "rouse.toml:3:"),
        ("[defaults]\nidle = 3\n".to_owned() + &web.sidecar("web", ""), "rouse.toml:4:8: "),
    ];
    for (number, (table, place)) in broken.iter().enumerate() {
        reload(&host, table);
        let line = host.event_nth("web", "config-rejected", number);
        assert!(line.contains("the settings in force stay"), "{line:?}");
        host.wait(place, |facts| facts.lines.iter().any(|(_, line)| line.contains(place)).then_some(()));
        assert_eq!(client.ask("echo undisturbed"), "undisturbed");
    }
    let left = host.now();
    host.event("web", "slept");
    let slept = host.at("web", "slept", 0) - left;
    // By default it would be five minutes.
    assert!(slept < Duration::from_secs(30), "slept after {slept:?}, not by the old 1.5 s");
}

#[test]
fn a_mended_error_takes_effect() {
    let web = Container::new("web", "");
    let host = serve(&web, "");
    let mut client = host.connect("web");
    client.ask("echo one");
    reload(&host, &web.sidecar("web", "idle_timeout = \"10 eons\""));
    host.says("10 eons");
    reload(&host, &web.sidecar("web", "idle_timeout = \"500ms\""));
    host.event("web", "slept");
}

#[test]
fn a_reload_in_the_middle_of_a_wake_disturbs_nobody_and_holds_afterwards() {
    let web = Container::new("web", "--listen-after 2");
    let host = serve(&web, "");
    let mut clients: Vec<_> = (0..3).map(|_| host.connect("web")).collect();
    web.logged("start ");
    reload(&host, &web.sidecar("web", "idle_timeout = \"600ms\""));
    for client in &mut clients {
        assert_eq!(client.ask("echo woken"), "woken");
    }
    host.event("web", "slept");
    assert_eq!(host.count("web", "waking"), 1);
}

#[test]
fn many_reloads_in_a_row_lose_nothing() {
    let web = Container::new("web", "");
    let host = serve(&web, "idle_timeout = \"5s\"");
    let mut client = host.connect("web");
    let run = run_of(&mut client);
    let mut sum = host.connect("web");
    std::io::Write::write_all(&mut sum, b"source 200000000\n").unwrap();
    thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            for number in 0..300 {
                let keys =
                    format!("idle_timeout = \"{}s\"\npause_after = \"{}s\"", 5 + number % 7, 4 + number % 5);
                reload(&host, &web.sidecar("web", &keys));
                thread::sleep(Duration::from_millis(5));
            }
        });
        let reader = scope.spawn(move || {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut sum, &mut bytes).map(|_| bytes)
        });
        while !reloads.is_finished() {
            assert_eq!(client.ask("echo on and on"), "on and on");
            assert_eq!(run_of(&mut host.connect("web")), run);
        }
        assert_eq!(reader.join().unwrap().unwrap().len(), 200_000_064);
    });
    assert_eq!(host.look(|facts| (facts.starts.len(), facts.exits.len())), (1, 0));
    assert_eq!(host.count("web", "waking"), 1);
}

#[test]
fn a_reload_takes_effect_for_a_leftover_that_is_idle() {
    let web = Container::new("web", "");
    web.start();
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"1h\"")).socket("web", Kind::Tcp4).boot();
    host.event("web", "adopted");
    reload(&host, &web.sidecar("web", "idle_timeout = \"500ms\""));
    host.event("web", "slept");
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_sidecar_that_rests_takes_another_container_and_adopts_it() {
    let (old, new, stays) =
        (Container::new("old", ""), Container::new("new", ""), Container::new("stays", ""));
    let table =
        |web: &Container| web.sidecar("web", "") + &stays.sidecar("stays", "idle_timeout = \"never\"");
    let plan = Plan::new(&table(&old)).socket("web", Kind::Tcp4).socket("stays", Kind::Tcp4);
    let host = plan.listen();
    assert_eq!(host.connect("stays").ask("echo stays"), "stays");
    new.start();
    reload(&host, &table(&new));
    assert!(host.event("web", "adopted").contains(new.name()));
    let run = run_of(&mut host.connect("web"));
    assert!(new.logs().contains(&run));
    assert_eq!(old.status(), "created");
}

#[test]
fn a_container_that_is_no_longer_its_own_is_left_as_it_is_with_a_warning() {
    let (old, new) = (Container::new("old", "--listen-after 1000"), Container::new("new", ""));
    let keys = "wake_timeout = \"1s\"\nwhen_late = \"refuse\"\nidle_timeout = \"2s\"\nbusy_cpu = 0";
    let host = Plan::new(&old.sidecar("web", keys)).socket("web", Kind::Tcp4).listen();
    host.connect("web").end();
    host.event("web", "wake-failed");
    let text = std::fs::read_to_string(&host.config_path).unwrap().replace(old.name(), new.name());
    std::fs::write(&host.config_path, text).unwrap();
    host.signal(SIGHUP);
    until("an answer", || host.connect("web").try_ask("echo new").ok());
    host.event("web", "slept");
    host.exit();
    assert_eq!((old.status(), new.status()), ("running".to_owned(), "exited".to_owned()));
    host.wait("a warning", |facts| {
        facts.lines.iter().any(|(_, line)| line.contains("not this sidecar's any more")).then_some(())
    });
}
