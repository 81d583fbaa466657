//! Whatever rouse does, it makes the calls that docs/security.md lists, and gets by with these alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::harness::{
    Container, End, Network, Proxy, Recorder, Town, descriptors, docker, documented, engine_version,
    free_port, output, until,
};

/// Leads sidecars through everything that a sidecar can go through, with this for an engine.
fn full_run(engine: &Path) {
    let network = Network::new("own");
    let port = free_port();
    let checked = ["--health-cmd", "true", "--health-interval", "300ms"];
    let containers = [
        ("app", Container::with("app", &["--network", network.name()], "")),
        ("db", Container::with("db", &checked, "")),
        ("cache", Container::new("cache", "--announce-after 1")),
        ("one", Container::new("one", "")),
        ("other", Container::new("other", "")),
        ("host", Container::with("host", &["--network", "host"], &format!("--port {port}"))),
        ("broken", Container::running("broken", &[], &["sh", "-c", "exit 3"])),
    ];
    let of = |name: &str| &containers.iter().find(|(known, _)| *known == name).unwrap().1;
    let lodger =
        Container::with("lodger", &["--network", &format!("container:{}", of("db").name())], "--port 9000");
    let keys = [
        ("app", "requires = ['db', 'cache']\nready = 'http:/ready'\npause_after = '1s'\nidle_timeout = '4s'"),
        ("db", "ready = 'healthy'\nidle_timeout = '1s'\nbusy_cpu = 0"),
        ("cache", "ready = 'log:^open for business'\nidle_timeout = '1s'\nbusy_cpu = 0"),
        ("one", "exclusive = 'gpu'\nbusy_cpu = 0"),
        ("other", "exclusive = 'gpu'\nbusy_cpu = 0"),
        ("broken", "busy_cpu = 0"),
    ];
    let mut config: String = keys.iter().map(|(name, keys)| of(name).sidecar(name, keys)).collect();
    for (name, container, port) in [("host", of("host"), port), ("lodger", &lodger, 9000)] {
        config +=
            &format!("[sidecar.{name}]\ncontainer = '{}'\nport = {port}\nbusy_cpu = 0\n", container.name());
    }
    let town = Town::new(&config);
    let names = ["app", "db", "cache", "one", "other", "host", "broken", "lodger"];
    let hosts = town.plan_with_engine(engine, &names).listen();
    let run = |words: &[&str]| {
        let done = output(&mut town.rouse_with_engine(engine, words));
        (done.status.code().unwrap(), String::from_utf8_lossy(&done.stderr).into_owned())
    };

    // A client wakes it and those that it requires; paused while he is silent, thawed by his next byte, asleep at last.
    let mut client = hosts.connect("app");
    assert_eq!(client.ask("echo up"), "up");
    assert_eq!([of("db").status(), of("cache").status()], ["running", "running"]);
    hosts.event("app", "paused");
    assert_eq!(client.ask("echo again"), "again");
    hosts.event("app", "unpaused");
    // In the container that it requires.
    assert_eq!(hosts.connect("lodger").ask("echo lodging"), "lodging");
    assert_eq!(run(&["sleep", "lodger"]).0, 0);
    for name in ["app", "db", "cache"] {
        hosts.event(name, "slept");
    }
    assert_ne!(client.end(), End::Open);

    assert_eq!(hosts.connect("host").ask("echo on the host"), "on the host");
    assert_eq!(hosts.connect("one").ask("echo first"), "first");
    assert_eq!(hosts.connect("other").ask("echo second"), "second");
    hosts.event("one", "yielded");
    assert_eq!(hosts.connect("broken").end(), End::Reset);
    assert!(hosts.event("broken", "wake-failed").contains("exit code 3"));

    // By hand, and by crash.
    docker(&["pause", of("other").name()]);
    hosts.event("other", "paused");
    assert_eq!(run(&["sleep", "other", "--force"]), (0, String::new()));
    docker(&["stop", "--time", "1", of("host").name()]);
    hosts.event("host", "died");
    of("one").start();
    hosts.start();
    hosts.event("one", "adopted");

    // The commands, with a helper and for a sidecar that has none.
    for (words, code) in [
        (vec!["status"], 0),
        (vec!["is-running", "one"], 0),
        (vec!["is-running", "app"], 3),
        (vec!["hold", "one", "--for", "1s"], 0),
        (vec!["wake", "db"], 0),
        (vec!["sleep", "db"], 0),
    ] {
        let (was, said) = run(&words);
        assert_eq!(was, code, "{words:?}: {said}");
    }
    let off = Town::new(&of("app").sidecar("app", ""));
    docker(&["start", of("app").name()]);
    docker(&["pause", of("app").name()]);
    assert!(output(&mut off.rouse_with_engine(engine, &["sleep", "app"])).status.success());
    assert_eq!(of("app").status(), "exited");
    let checked = output(&mut town.rouse_with_engine(engine, &["check"]));
    let said =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(!said.contains("the engine refused"), "{said}");
    add(engine, &["new", "--container", of("one").name(), "--port", "8000", "--dry-run"], "rouse.d/new.toml");
    add(engine, &["nobody"], "has no container");
}

/// `rouse add`, on a machine whose configuration names this engine.
#[track_caller]
fn add(engine: &Path, words: &[&str], expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/rouse");
    std::fs::create_dir_all(&folder).unwrap();
    let helper = format!("[helper]\nengine = \"unix://{}\"\n", engine.display());
    std::fs::write(folder.join("rouse.toml"), helper).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
    let done = output(command.args(["add", "--root"]).arg(root.path()).args(words));
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(said.contains(expected), "{said}");
}

#[track_caller]
fn made(recorder: &Recorder) -> BTreeSet<String> {
    recorder.all().iter().map(|call| call.listed()).collect()
}

#[test]
fn a_full_run_makes_all_documented_calls_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    full_run(recorder.path());
    assert_eq!(made(&recorder), documented());
}

#[test]
fn a_full_run_gets_by_with_what_the_filter_lets_through() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let Some(proxy) = Proxy::new(recorder.path(), None) else { return };
    assert_eq!(proxy.ask("GET /_ping HTTP/1.1", ""), 200);
    let before = descriptors(proxy.pid()).len();
    full_run(&proxy.socket());
    assert_eq!(made(&recorder), documented());
    let refused: Vec<_> = recorder.all().into_iter().filter(|call| call.status == Some(403)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    // Its helpers are gone, and so are their subscriptions.
    until("the end of all connections", || (descriptors(proxy.pid()).len() <= before).then_some(()));
}

/// What the engine would do, by its answer: it does not know the container, or has made nothing of a bad request.
#[test]
fn the_filter_refuses_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let Some(proxy) = Proxy::new(recorder.path(), None) else { return };
    let version = engine_version();
    let start = format!("POST /v{version}/containers/nobody/start HTTP/1.1");
    assert_eq!(proxy.ask("GET /_ping HTTP/1.1", ""), 200);
    assert_eq!(proxy.ask(&start, ""), 404, "nobody is not there, says the engine");
    let asked = recorder.all().len();
    for call in [
        "POST /containers/create",
        "POST /containers/nobody/exec",
        "POST /exec/0/start",
        "POST /containers/nobody/attach",
        "POST /containers/nobody/update",
        "POST /containers/nobody/kill",
        "POST /containers/nobody/restart",
        "PUT /containers/nobody/archive?path=/",
        "GET /containers/nobody/archive?path=/etc",
        "GET /containers/nobody/export",
        "DELETE /containers/nobody",
        "POST /containers/prune",
        "POST /images/create?fromImage=x",
        "GET /images/json",
        "POST /build",
        "POST /volumes/create",
        "POST /networks/create",
        "GET /info",
        "GET /version",
        "POST /session",
        "POST /grpc",
        "POST /containers/nobody/../create/start",
        "POST /containers/../containers/create",
        "POST /containers/..%2f..%2fcontainers%2fcreate/start",
        "POST //containers/nobody/start",
        "POST /containers/nobody/start/",
        "POST /containers/nobody/start#",
        "GET /containers/nobody/start",
        "POST /containers/nobody/json",
        "HEAD /containers/nobody/json",
    ] {
        let (method, path) = call.split_once(' ').unwrap();
        for version in ["", "/v1.41", "/v1.51", "//v1.41", "http://engine/v1.41"] {
            let refused = proxy.ask(&format!("{method} {version}{path} HTTP/1.1"), "");
            // haproxy itself takes a fragment for a bad request, where it does so.
            assert!([400, 403].contains(&refused), "{method} {version}{path}: {refused}");
        }
    }
    for head in [
        format!("{start}\r\nContent-Length: 8"),
        format!("{start}\r\nContent-Length: 0\r\nContent-Length: 8"),
        format!("{start}\r\nTransfer-Encoding: chunked"),
        format!("{start}\r\nConnection: upgrade\r\nUpgrade: tcp"),
        "POST /v1.23/containers/nobody/start HTTP/1.1".to_owned(),
        "POST /containers/nobody/start HTTP/1.1".to_owned(),
        "CONNECT engine:80 HTTP/1.1".to_owned(),
    ] {
        let refused = proxy.ask(&head, "{\"a\":1}\n");
        assert!([400, 403].contains(&refused), "{head}: {refused}");
    }
    assert_eq!(recorder.all().len(), asked, "the engine was asked: {:?}", recorder.all());
}

#[test]
fn the_filter_lets_named_containers_through_and_no_others() {
    let (web, stranger) = (Container::new("web", ""), Container::new("stranger", ""));
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&dir.path().join("engine.sock"));
    let known = [web.name().to_owned(), web.inspect("{{.Id}}")];
    let Some(proxy) = Proxy::new(recorder.path(), Some(&known)) else { return };
    let config = web.sidecar("web", "busy_cpu = 0") + &stranger.sidecar("stranger", "busy_cpu = 0");
    let town = Town::new(&config);
    let host = town.plan_with_engine(&proxy.socket(), &["web", "stranger"]).listen();
    assert_eq!(host.connect("web").ask("echo known"), "known");
    assert_eq!(host.connect("stranger").end(), End::Reset);
    let failed = host.event("stranger", "wake-failed");
    assert!(failed.contains("(403): the filter before the engine does not know this container"), "{failed}");
    assert_eq!(stranger.status(), "created");
}
