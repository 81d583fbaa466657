//! From the first client to its first byte: readiness, death, lateness.

use std::time::{Duration, Instant};

use crate::harness::{
    Action, Container, End, Host, Kind, Plan, Recorder, asks_healthchecks, is_reset, slack,
};

/// A late wake would let its clients through all the same, and nobody would see that readiness was never found.
const STRICT: &str = "wake_timeout = \"10s\"\nwhen_late = \"refuse\"";

fn listen(config: &str) -> Host {
    Plan::new(config).socket("web", Kind::Tcp4).listen()
}

/// A sidecar whose readiness is `ready`, and no other way in.
fn ready_by(container: &Container, ready: &str) -> Host {
    listen(&container.sidecar("web", &format!("ready = \"{ready}\"\n{STRICT}")))
}

#[test]
fn the_first_client_is_answered_and_the_journal_tells_of_it() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(web.status(), "created");
    assert_eq!(host.connect("web").ask("echo good morning"), "good morning");
    assert_eq!(web.status(), "running");
    host.event("web", "waking");
    host.event("web", "ready");
}

#[test]
fn nginx_answers_its_first_request() {
    let config = "daemon off; error_log /dev/stderr; events {} http { access_log off; server { \
                  listen 8000; location / { return 200 nginx; } } }";
    let nginx = format!("echo '{config}' > /n.conf && exec nginx -c /n.conf");
    let web = Container::running("nginx", &[], &["sh", "-c", &nginx]);
    let host = ready_by(&web, "http-ok:/");
    let mut client = host.connect("web");
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("nginx"), "{answer}");
}

#[test]
fn redis_answers_its_first_command() {
    let redis =
        Container::running("redis", &[], &["redis-server", "--port", "8000", "--protected-mode", "no"]);
    let host = listen(&redis.sidecar("web", ""));
    let mut client = host.connect("web");
    assert_eq!(client.ask("PING"), "+PONG\r");
    assert_eq!(client.ask("SET rouse awake"), "+OK\r");
}

#[test]
fn a_server_that_listens_only_after_seconds_is_waited_for() {
    let slow = Container::new("slow", "--listen-after 2.5");
    let host = listen(&slow.sidecar("web", ""));
    assert_eq!(host.connect("web").ask("echo at last"), "at last");
}

#[test]
fn with_tcp_the_first_connection_is_the_first_clients() {
    let web = Container::new("web", "--listen-after 0.5");
    let host = listen(&web.sidecar("web", "ready = \"tcp\""));
    let count = |answer: String| answer.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    assert_eq!(count(host.connect("web").ask("who")), 1, "the container was connected to and dropped before");
    assert_eq!(count(host.connect("web").ask("who")), 2);
}

#[test]
fn a_server_that_speaks_first_is_heard_by_its_first_client() {
    let web = Container::new("web", "--greet --listen-after 0.3");
    let host = listen(&web.sidecar("web", ""));
    assert_eq!(host.connect("web").read_line().unwrap(), "hello");
}

#[test]
fn any_http_answer_is_ready() {
    let web = Container::new("web", "");
    let host = ready_by(&web, "http:/status/500");
    assert_eq!(host.connect("web").ask("echo ready"), "ready");
    web.logged("GET /status/500 -> 500");
}

#[test]
fn http_ok_waits_for_2xx() {
    let web = Container::new("web", "--ready-after 1.2");
    let host = ready_by(&web, "http-ok:/ready");
    assert_eq!(host.connect("web").ask("echo ready"), "ready");
    let logs = web.logged("GET /ready -> 200");
    assert!(logs.find("-> 503").is_some_and(|refused| refused < logs.find("-> 200").unwrap()), "{logs}");
}

#[test]
fn http_ok_takes_3xx_and_refuses_4xx() {
    let web = Container::new("web", "");
    let host = ready_by(&web, "http-ok:/status/302");
    assert_eq!(host.connect("web").ask("echo moved"), "moved");
    let other = Container::new("other", "");
    let keys = "ready = \"http-ok:/status/404\"\nwake_timeout = \"800ms\"\nwhen_late = \"refuse\"";
    let host = listen(&other.sidecar("web", keys));
    assert_eq!(host.connect("web").end(), End::Reset);
}

#[test]
fn an_http_answer_without_a_body_is_ready_at_the_first_probe() {
    for ready in ["http:/status/204", "http-ok:/status/204"] {
        for round in 0..3 {
            let web = Container::new("web", "");
            let host = ready_by(&web, ready);
            let answer = host.connect("web").ask("who");
            let number = answer.split(' ').nth(1).unwrap();
            assert_eq!(
                number, "2",
                "{ready}, round {round}: one connection is the probe's, the next the client's"
            );
        }
    }
}

#[test]
fn healthy_waits_for_the_containers_own_healthcheck() {
    if !asks_healthchecks() {
        return;
    }
    let check = "test -f /tmp/well || { touch /tmp/well; exit 1; }";
    let options = ["--health-cmd", check, "--health-interval", "400ms", "--health-retries", "10"];
    let web = Container::with("web", &options, "");
    let host = ready_by(&web, "healthy");
    let begun = host.now();
    assert_eq!(host.connect("web").ask("echo well"), "well");
    assert!(host.now() - begun > Duration::from_millis(700), "served before the second check");
    assert_eq!(web.inspect("{{.State.Health.Status}}"), "healthy");
}

#[test]
fn healthy_without_a_healthcheck_is_said_and_not_waited_for() {
    let web = Container::new("web", "");
    let host = listen(&web.sidecar("web", "ready = \"healthy\""));
    let mut client = host.connect("web");
    client.deadline(Duration::from_secs(10));
    let _ = client.try_ask("echo one");
    host.says("has no HEALTHCHECK");
}

#[test]
fn death_at_start_ends_the_wait_at_once_with_its_code_and_last_words() {
    let dying = Container::new("dying", "--die-after 0.4");
    let host = listen(&dying.sidecar("web", ""));
    let begun = host.now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let took = host.now() - begun;
    assert!(took < Duration::from_secs(3), "the client waited {took:?} for a dead container");
    let line = host.event("web", "wake-failed");
    assert!(line.contains('3'), "no exit code in {line:?}");
    host.says("cannot open the model file");
}

#[test]
fn a_late_container_is_dialled_all_the_same() {
    // It answers 503 for ever, so it is never ready, but it can be used.
    let web = Container::new("web", "--ready-after 1000");
    let seconds = 1 + slack().as_secs();
    let keys = format!("ready = \"http-ok:/ready\"\nwake_timeout = \"{seconds}s\"");
    let host = listen(&web.sidecar("web", &keys));
    assert_eq!(host.connect("web").ask("echo late"), "late");
    host.event("web", "late");
    assert_eq!(host.connect("web").ask("echo later"), "later");
}

#[test]
fn a_late_container_that_listens_nowhere_resets_each_client_after_one_dial() {
    let web = Container::new("web", "--listen-after 1000");
    let millis = 700 + slack().as_millis();
    let host = listen(&web.sidecar("web", &format!("wake_timeout = \"{millis}ms\"")));
    assert_eq!(host.connect("web").end(), End::Reset);
    host.event("web", "late");
}

#[test]
fn a_late_container_is_refused_where_that_is_wanted() {
    let web = Container::new("web", "--ready-after 1000");
    let timeout = Duration::from_secs(1) + slack();
    let late = format!("wake_timeout = \"{}s\"\nwhen_late = \"refuse\"", timeout.as_secs());
    let host = listen(&web.sidecar("web", &format!("ready = \"http-ok:/ready\"\n{late}")));
    let begun = host.now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let took = host.now() - begun;
    let (soonest, latest) = (timeout - Duration::from_millis(100), timeout + Duration::from_secs(2));
    assert!(took > soonest && took < latest, "reset after {took:?}");
    host.event("web", "wake-failed");
}

#[test]
fn a_client_that_comes_before_a_slow_start_is_answered_has_a_wake_timeout_of_its_own() {
    for when_late in ["refuse", "proceed"] {
        let web = Container::new("web", "");
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(&dir.path().join("engine.sock"));
        let timeout = Duration::from_secs(3) + slack();
        recorder.rule("POST /start", Action::HoldCall(timeout + Duration::from_secs(1)));
        let keys = format!("wake_timeout = \"{}s\"\nwhen_late = \"{when_late}\"", timeout.as_secs());
        let plan = Plan::with_engine(recorder.path(), &web.sidecar("web", &keys));
        let host = plan.socket("web", Kind::Tcp4).listen();
        let begun = Instant::now();
        assert_eq!(host.connect("web").end(), End::Reset);
        let waited = begun.elapsed();
        assert!(
            waited < timeout + Duration::from_millis(800),
            "{when_late}: the first client waited {waited:?}"
        );
        // Whoever comes while the first is turned away is turned away with him.
        host.event("web", "wake-failed");
        assert_eq!(host.connect("web").ask("echo in time"), "in time", "{when_late}");
        assert!(recorder.calls("POST /start")[0].answered.is_some_and(|answered| answered > begun + waited));
        let late = host.look(|facts| facts.events("web", "late"));
        assert!(late.is_empty(), "{when_late}: {late:?}");
    }
}

#[test]
fn the_wake_completes_although_its_only_client_has_left() {
    let web = Container::new("web", "--listen-after 1");
    let host = listen(&web.sidecar("web", "idle_timeout = \"500ms\""));
    let client = host.connect("web");
    host.event("web", "waking");
    drop(client);
    host.event("web", "ready");
    host.event("web", "slept");
    assert!(host.exit().success());
    assert_eq!(web.status(), "exited");
}

#[test]
fn a_client_that_leaves_while_it_waits_takes_nobody_with_it() {
    let web = Container::new("web", "--listen-after 1");
    let host = listen(&web.sidecar("web", ""));
    let (reset, clean, mut stays) = (host.connect("web"), host.connect("web"), host.connect("web"));
    host.event("web", "waking");
    reset.reset();
    drop(clean);
    assert_eq!(stays.ask("echo still here"), "still here");
}

#[test]
fn all_who_wait_are_reset_when_the_wake_fails_the_kernels_queue_too() {
    let dying = Container::new("dying", "--die-after 1");
    let host = listen(&dying.sidecar("web", "max_waiting = 3"));
    let mut clients: Vec<_> = (0..12).map(|_| host.connect("web")).collect();
    for client in &mut clients {
        assert_eq!(client.end(), End::Reset);
    }
    host.event("web", "wake-failed");
    assert_eq!(host.queued("web"), 0);
    assert!(is_reset(&host.connect("web").try_ask("echo inside the window").unwrap_err()));
    assert!(host.exit().success(), "a failed wake is not a failed helper");
}
