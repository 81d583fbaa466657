//! What `ready` takes for an answer: lines of this run's log, the container's own checks, paced probes; what is warned about.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Container, End, Facts, Host, Kind, NO_LOG, PORT, Plan, Recorder, asks_healthchecks, behind_recorder,
    docker, free_port, slack, until,
};

/// The line that `servers.py` logs with --announce-after, and nothing else does.
const LINE: &str = "open for business";
/// A late wake would let its clients through all the same, and nobody would see that readiness was never found.
const BY_LINE: &str = "ready = \"log:^open for (business|nobody)$\"\nwake_timeout = \"15s\"\nwhen_late = \"refuse\"\nbusy_cpu = 0";

fn listen(config: &str) -> Host {
    Plan::new(config).socket("web", Kind::Tcp4).listen()
}

/// How often the log has the line, in all runs.
fn lines(web: &Container) -> usize {
    web.logs().matches(LINE).count()
}

/// A client is served, and the line was there before; it comes more than a second after the server listens.
#[track_caller]
fn is_served_after_the_line(web: &Container, host: &Host, before: usize) {
    assert_eq!(host.connect("web").ask("echo open"), "open");
    assert_eq!(lines(web), before + 1, "served without the line");
}

#[test]
fn a_line_on_either_stream_with_or_without_a_terminal_is_waited_for() {
    for (options, stream) in
        [(&[][..], "stdout"), (&[], "stderr"), (&["--tty"], "stdout"), (&["--tty"], "stderr")]
    {
        let web = Container::with("web", options, &format!("--announce-after 1.3 --announce-on {stream}"));
        let host = listen(&web.sidecar("web", BY_LINE));
        is_served_after_the_line(&web, &host, 0);
    }
}

#[test]
fn a_line_of_an_earlier_run_does_not_count() {
    let web = Container::with("web", &["--stop-signal", "KILL"], "--announce-after 1.2");
    let host = listen(&web.sidecar("web", &format!("{BY_LINE}\nidle_timeout = \"200ms\"")));
    is_served_after_the_line(&web, &host, 0);
    host.event("web", "slept");
    is_served_after_the_line(&web, &host, 1);
    host.event_nth("web", "slept", 1);
    // As close together as an engine makes it.
    web.start();
    until("the third line", || (lines(&web) == 3).then_some(()));
    docker(&["restart", "--time", "0", web.name()]);
    is_served_after_the_line(&web, &host, 3);
}

#[test]
fn a_line_that_comes_at_once_is_found_in_each_run() {
    let line = format!("echo {LINE}; exec redis-server --port 8000 --protected-mode no");
    let web = Container::running("web", &["--stop-signal", "KILL"], &["sh", "-c", &line]);
    // It is written before the server listens: each client is dialled until it does.
    let host = listen(&web.sidecar("web", &format!("{BY_LINE}\nidle_timeout = \"100ms\"")));
    for run in 0..5 {
        let begun = Instant::now();
        drop(host.connect("web"));
        host.event_nth("web", "ready", run);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(6), "run {run}: found after {took:?}");
        host.event_nth("web", "slept", run);
    }
}

#[test]
fn a_container_started_by_hand_is_waited_for_until_its_line() {
    let web = Container::new("web", "--announce-after 2");
    web.start();
    let host = Plan::new(&web.sidecar("web", BY_LINE)).socket("web", Kind::Tcp4).boot();
    host.event("web", "adopted");
    is_served_after_the_line(&web, &host, 0);
    // Whoever finds the line written long ago need not wait for another one.
    host.end_helper(nix::sys::signal::Signal::SIGKILL);
    let begun = Instant::now();
    assert_eq!(host.connect("web").ask("echo next helper"), "next helper");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(lines(&web), 1);
}

#[test]
fn a_log_that_cannot_be_read_fails_the_wake_with_the_engines_words() {
    let web = Container::with("web", &["--log-driver", "none"], "");
    let host = listen(&web.sidecar("web", BY_LINE));
    let begun = Instant::now();
    assert_eq!(host.connect("web").end(), End::Reset);
    let line = host.event("web", "wake-failed");
    assert!(line.contains(NO_LOG.text()), "{line:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "waited for what cannot come: {:?}", begun.elapsed());
}

#[test]
fn a_line_that_never_comes_ends_as_when_late_has_it_and_the_regex_is_named() {
    for (when_late, event) in [("proceed", "late"), ("refuse", "wake-failed")] {
        let web = Container::new("web", "");
        let seconds = 3 + slack().as_secs();
        let late = format!("wake_timeout = \"{seconds}s\"\nwhen_late = \"{when_late}\"");
        let keys = format!("ready = \"log:no such [l]ine\"\n{late}");
        let host = listen(&web.sidecar("web", &keys));
        let mut client = host.connect("web");
        match when_late {
            "proceed" => assert_eq!(client.ask("echo late"), "late"),
            _ => assert_eq!(client.end(), End::Reset),
        }
        let line = host.event("web", event);
        assert!(line.contains("no such [l]ine"), "{line:?}");
    }
}

#[test]
fn an_engine_that_goes_away_while_a_line_is_waited_for_loses_neither_line_nor_client() {
    // The line comes while the engine is away, or when it is back.
    for announced_after in ["2", "5"] {
        let web = Container::new("web", &format!("--announce-after {announced_after}"));
        let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", BY_LINE));
        let mut client = host.connect("web");
        recorder.asked("GET /logs", 0);
        let socket = recorder.path().to_owned();
        drop(recorder);
        if announced_after == "2" {
            web.logged(LINE);
        }
        let recorder = Recorder::new(&socket);
        assert_eq!(client.ask("echo in the end"), "in the end", "after {announced_after} s");
        assert_eq!(lines(&web), 1);
        assert!(!recorder.calls("GET /logs").is_empty());
        assert!(recorder.calls("POST /start").is_empty());
        assert_eq!(host.count("web", "wake-failed"), 0);
    }
}

/// A container whose HEALTHCHECK passes once `/tmp/well` is there.
fn checked() -> Container {
    let check = ["--health-cmd", "test -f /tmp/well", "--health-interval", "300ms", "--health-retries", "50"];
    Container::with("web", &check, "")
}

#[test]
fn healthy_is_heard_of_and_not_asked_for() {
    if !asks_healthchecks() {
        return;
    }
    let web = checked();
    let keys = "ready = \"healthy\"\nwhen_late = \"refuse\"\nbusy_cpu = 0";
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", keys));
    let mut client = host.connect("web");
    web.logged("listening");
    client.deadline(Duration::from_millis(2500));
    client.try_ask("echo unwell").unwrap_err();
    let looks = recorder.calls("GET /json").len();
    assert!(looks <= 5, "{looks} looks while there was nothing to see");
    docker(&["exec", web.name(), "touch", "/tmp/well"]);
    client.deadline(Duration::from_secs(10));
    assert_eq!(client.read_line().unwrap(), "unwell");
    assert_eq!(web.inspect("{{.State.Health.Status}}"), "healthy");
}

#[test]
fn a_container_found_while_it_is_still_starting_is_waited_for_until_it_is_healthy() {
    if !asks_healthchecks() {
        return;
    }
    let web = checked();
    web.start();
    web.logged("listening");
    let keys = "ready = \"healthy\"\nwhen_late = \"refuse\"";
    let host = Plan::new(&web.sidecar("web", keys)).socket("web", Kind::Tcp4).boot();
    host.event("web", "adopted");
    let (mut first, mut second) = (host.connect("web"), host.connect("web"));
    first.deadline(Duration::from_secs(2));
    first.try_ask("echo unwell").unwrap_err();
    docker(&["exec", web.name(), "touch", "/tmp/well"]);
    first.deadline(Duration::from_secs(10));
    assert_eq!(first.read_line().unwrap(), "unwell");
    assert_eq!(second.ask("echo well"), "well");
    assert_eq!(web.inspect("{{.State.Health.Status}}"), "healthy");
}

/// Answers each request with a 503 until `enough` have come, and gives when each came.
fn refuse_probes(listener: TcpListener, enough: usize) -> Vec<Instant> {
    let mut times = Vec::new();
    for stream in listener.incoming().map(Result::unwrap) {
        times.push(Instant::now());
        let status = if times.len() < enough { 503 } else { 200 };
        answer_probe(stream, status);
        if times.len() == enough {
            break;
        }
    }
    times
}

fn answer_probe(mut stream: TcpStream, status: u16) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 && line.trim() != "" {
        line.clear();
    }
    write!(stream, "HTTP/1.1 {status} Text\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

#[test]
fn probes_begin_with_the_starts_answer_and_are_spaced_out_to_a_tenth_of_a_second() {
    let web = Container::running("web", &["--stop-signal", "KILL"], &["sleep", "1000"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let keys = format!("address = \"{address}\"\nready = \"http-ok:/\"\nbusy_cpu = 0");
    let (_dir, recorder, host) = behind_recorder(&web.sidecar("web", &keys));
    let probes = thread::spawn(move || refuse_probes(listener, 17));
    let _client = host.connect("web");
    let times = probes.join().unwrap();
    let started = recorder.calls("POST /start")[0].answered.unwrap();
    assert!(times[0] > started, "probed before the start was answered");
    // To look at the container first takes as long as the engine does.
    let looks = recorder.calls("GET /json").into_iter().filter_map(|call| call.answered);
    let first = times[0] - looks.filter(|at| *at < times[0]).fold(started, Instant::max);
    assert!(first < Duration::from_millis(300), "the first probe came {first:?} after the engine's answer");
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, pause) in gaps.iter().zip([1, 2, 5, 10, 20, 50].into_iter().chain([100].into_iter().cycle())) {
        // The test hears of a probe a little later than it was sent, the next one perhaps less so.
        let least = Duration::from_millis(pause).saturating_sub(Duration::from_millis(10));
        assert!(*gap >= least, "{gap:?} instead of {pause} ms: {gaps:?}");
    }
    // 988 ms of pauses.
    let all = times[16] - times[0];
    assert!(all < Duration::from_millis(2500), "{gaps:?}");
    host.event("web", "ready");
}

/// How many lines of the helper say `text`.
fn said(text: &str) -> impl Fn(&Facts) -> usize + '_ {
    move |facts| facts.lines.iter().filter(|(_, line)| line.contains(text)).count()
}

/// A helper with a sidecar that keeps it alive beside `web`, whose container is woken three times.
fn woken_thrice(web: &Container, keys: &str) -> Host {
    let other = Container::new("other", "");
    let keys = format!("{keys}\nidle_timeout = \"150ms\"\nbusy_cpu = 0");
    let config = other.sidecar("other", "idle_timeout = \"never\"") + &web.sidecar("web", &keys);
    let host = Plan::new(&config).socket("other", Kind::Tcp4).socket("web", Kind::Tcp4).listen();
    host.connect("other").ask("echo awake");
    for time in 0..3 {
        let _ = host.connect("web").try_ask("echo woken");
        host.event_nth("web", "slept", time);
    }
    assert_eq!(host.look(|facts| (facts.starts.len(), facts.exits.len())), (1, 0));
    host
}

#[test]
fn healthy_without_a_healthcheck_is_warned_about_once() {
    let web = Container::with("web", &["--stop-signal", "KILL"], "");
    let host = woken_thrice(&web, "ready = \"healthy\"");
    assert_eq!(host.look(said("no HEALTHCHECK")), 1);
}

#[test]
fn a_healthcheck_is_not_warned_about() {
    if !asks_healthchecks() {
        return;
    }
    let check = ["--stop-signal", "KILL", "--health-cmd", "true", "--health-interval", "200ms"];
    let web = Container::with("web", &check, "");
    let host = woken_thrice(&web, "ready = \"healthy\"");
    assert_eq!(host.look(said("HEALTHCHECK")), 0);
}

#[test]
fn tcp_through_a_published_port_is_warned_about_once() {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:{PORT}");
    let web = Container::with("web", &["--stop-signal", "KILL", "--publish", &publish], "");
    let host = woken_thrice(&web, &format!("address = \"127.0.0.1:{port}\""));
    assert_eq!(host.look(said("published port")), 1);
    assert_eq!(host.look(said(&format!("127.0.0.1:{port} is a published port"))), 1);
}

#[test]
fn http_through_a_published_port_and_tcp_beside_it_are_not_warned_about() {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:{PORT}");
    let web = Container::with("web", &["--stop-signal", "KILL", "--publish", &publish], "");
    for keys in [format!("address = \"127.0.0.1:{port}\"\nready = \"http:/\""), String::new()] {
        let host = woken_thrice(&web, &keys);
        assert_eq!(host.look(said("published port")), 0, "{keys}");
    }
}

#[test]
fn a_server_behind_a_published_port_is_not_taken_for_ready_by_http() {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:{PORT}");
    let web = Container::with("web", &["--publish", &publish], "--listen-after 1.5");
    let keys = format!("address = \"127.0.0.1:{port}\"\nready = \"http:/\"\nwhen_late = \"refuse\"");
    let host = listen(&web.sidecar("web", &keys));
    assert_eq!(host.connect("web").ask("echo through the proxy"), "through the proxy");
}

#[test]
fn restart_always_is_warned_about_once_by_who_wakes_it_and_by_who_finds_it() {
    let web = Container::with("web", &["--stop-signal", "KILL", "--restart", "always"], "");
    let host = woken_thrice(&web, "");
    assert_eq!(host.look(said("restart=always")), 1);
    drop(host);
    web.start();
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).boot();
    host.event("web", "adopted");
    host.wait("the warning", |facts| (said("restart=always")(facts) == 1).then_some(()));
    docker(&["restart", "--time", "0", web.name()]);
    host.served_again("web");
    // Whoever has seen it down for a moment has gone, and the next one finds it.
    host.wait("one warning of each helper", |facts| {
        (said("restart=always")(facts) == facts.starts.len()).then_some(())
    });
}
