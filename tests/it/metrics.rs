//! What Prometheus is told, by the command and over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, Container, Host, Kind, Plan, Town, leave, output, skip, spawn, until};

/// Samples by all that stands before their value.
type Samples = BTreeMap<String, f64>;

fn rouse_metrics(state: &Path) -> Output {
    output(Command::new(env!("CARGO_BIN_EXE_rouse")).arg("metrics").env("ROUSE_STATE_DIRECTORY", state))
}

/// What `rouse metrics` prints, without a word of complaint.
#[track_caller]
fn printed(state: &Path) -> String {
    let done = rouse_metrics(state);
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[track_caller]
fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        (sample.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// What systemd is to `rouse metrics --serve`, with two sidecars to tell of.
fn scraped(kind: Kind) -> Host {
    let host = Plan::raw("").command(&["metrics", "--serve"]).socket("metrics", kind).listen();
    for sidecar in ["db", "web"] {
        leave(host.state(), sidecar, |_| {});
    }
    host
}

/// One request on a connection of its own, and its whole answer: the head and the body.
#[track_caller]
fn ask(host: &Host, request: &str) -> (String, String) {
    let mut client = host.connect("metrics");
    write!(client, "{request} HTTP/1.1\r\nhost: rouse\r\nconnection: close\r\n\r\n").unwrap();
    divide(&client.rest())
}

#[track_caller]
fn scrape(host: &Host, accept: &str) -> (String, String) {
    let mut client = host.connect("metrics");
    write!(client, "GET /metrics HTTP/1.1\r\nhost: rouse\r\naccept: {accept}\r\nconnection: close\r\n\r\n")
        .unwrap();
    divide(&client.rest())
}

#[track_caller]
fn divide(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_lowercase(), body.to_owned())
}

/// promtool, as `tests/run` has fetched it or as this machine has it.
fn promtool() -> Option<PathBuf> {
    let fetched = std::env::var_os("ROUSE_TEST_PROMTOOL").map(PathBuf::from);
    let found = fetched.unwrap_or_else(|| "promtool".into());
    let works = Command::new(&found).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    works.is_ok_and(|status| status.success()).then_some(found)
}

/// What promtool says of `input` on its stdin.
fn lint(promtool: &Path, input: &str) -> Output {
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_torn_file_is_named_on_stderr_and_the_others_are_shown() {
    let state = TempDir::new().unwrap();
    leave(state.path(), "web", |_| {});
    fs::write(state.path().join("torn.json"), "{\"version\":1,").unwrap();
    let done = rouse_metrics(state.path());
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success(), "{err}");
    assert!(err.contains("torn.json"), "{err}");
    assert_eq!(samples(&out)["rouse_bytes_total{sidecar=\"web\",direction=\"down\"}"], 56789.0);
    assert!(!out.contains("torn"), "{out}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let state = TempDir::new().unwrap();
    leave(state.path(), "web", |_| {});
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rouse"));
    command.arg("metrics").env("ROUSE_STATE_DIRECTORY", state.path()).stdout(writer).stderr(Stdio::piped());
    let done = spawn(&mut command).wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn promtool_finds_no_fault_with_the_classic_format() {
    let Some(promtool) = promtool() else { return skip("there is no promtool") };
    let (_, text) = scrape(&scraped(Kind::Tcp4), "text/plain");
    let said = lint(&promtool, &text);
    assert!(said.status.success() && said.stderr.is_empty() && said.stdout.is_empty(), "{said:?}\n{text}");
    assert!(text.contains("rouse_wakes_total{sidecar=\"db\""), "{text}");
}

/// `promtool check metrics` reads the classic format alone. What it has of an OpenMetrics parser, the one that scrapes use, is
/// behind the import of old samples, which wants a time at each.
#[test]
fn promtool_reads_the_open_metrics_that_are_printed() {
    let Some(promtool) = promtool() else { return skip("there is no promtool") };
    let dir = TempDir::new().unwrap();
    leave(dir.path(), "web", |_| {});
    let text = printed(dir.path());
    let import = |text: &str| {
        let timed = |line: &str| match line.starts_with('#') {
            true => format!("{line}\n"),
            false => format!("{line} 1700000000\n"),
        };
        let file = dir.path().join("samples");
        File::create(&file)
            .unwrap()
            .write_all(text.lines().map(timed).collect::<String>().as_bytes())
            .unwrap();
        let into = dir.path().join("blocks");
        output(Command::new(&promtool).args(["tsdb", "create-blocks-from", "openmetrics"]).args([file, into]))
    };
    let said = import(&text);
    assert!(said.status.success(), "{said:?}\n{text}");
    // It does look: without the end the same is refused.
    assert!(!import(text.strip_suffix("# EOF\n").unwrap()).status.success());
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    for kind in [Kind::Tcp4, Kind::Unix] {
        let host = scraped(kind);
        let (head, open_metrics) =
            scrape(&host, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
        assert_eq!(open_metrics, printed(host.state()));
        for sidecar in ["db", "web"] {
            assert_eq!(
                samples(&open_metrics)[&format!("rouse_connections_total{{sidecar=\"{sidecar}\"}}")],
                9.0
            );
        }
        let (head, classic) = scrape(&host, "*/*");
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(samples(&classic), samples(&open_metrics));
        assert_eq!(host.look(|facts| facts.starts.len()), 1);
        host.note("READY=1");
    }
}

#[test]
fn only_the_metrics_can_be_read_and_nothing_written() {
    let host = scraped(Kind::Tcp4);
    let (head, body) = ask(&host, "GET /");
    assert!(head.starts_with("http/1.1 200") && body.contains("/metrics"), "{head}\n{body}");
    let (head, body) = ask(&host, "HEAD /metrics");
    assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}\n{body}");
    assert!(!head.contains("content-length: 0"), "{head}");
    let (head, _) = ask(&host, "GET /elsewhere");
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (head, _) = ask(&host, "POST /metrics");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
    let mut nonsense = host.connect("metrics");
    nonsense.write_all(b"nonsense\r\n\r\n").unwrap();
    assert!(nonsense.rest().starts_with("HTTP/1.1 400"));
    assert!(ask(&host, "GET /metrics").0.starts_with("http/1.1 200"));
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
}

#[test]
fn scrapers_that_say_nothing_or_never_finish_keep_nobody_out() {
    let host = scraped(Kind::Tcp4);
    let silent: Vec<Client> = (0..200).map(|_| host.connect("metrics")).collect();
    let mut slow = host.connect("metrics");
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let begun = host.now();
    assert!(ask(&host, "GET /metrics").0.starts_with("http/1.1 200"));
    assert!(host.now() - begun < Duration::from_secs(5), "{:?}", host.now() - begun);
    // A head that does not end is waited for ten seconds.
    slow.deadline(Duration::from_secs(20));
    let ended = slow.rest();
    assert!(!ended.contains("200 OK"), "{ended}");
    assert!(ask(&host, "GET /metrics").0.starts_with("http/1.1 200"));
    assert_eq!(host.look(|facts| facts.starts.len()), 1);
    drop(silent);
}

#[test]
fn it_leaves_when_nobody_asks_any_more_and_comes_back_for_the_next() {
    let host = scraped(Kind::Tcp4);
    ask(&host, "GET /metrics");
    let asked = host.now();
    let (at, status) = host
        .wait_for(Duration::from_secs(90), |facts| facts.exits.first().copied())
        .expect("it ends when nobody asks");
    assert!(status.success(), "{status}");
    assert!((58..75).contains(&(at - asked).as_secs()), "{:?}", at - asked);
    assert!(ask(&host, "GET /metrics").0.starts_with("http/1.1 200"));
    assert_eq!(host.look(|facts| facts.starts.len()), 2);
}

#[test]
fn what_is_counted_is_what_was_done() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "idle_timeout = \"1s\"")).socket("web", Kind::Tcp4).listen();
    let (mut up, mut down) = (0, 0);
    for line in ["echo one", "echo another"] {
        let mut client = host.connect("web");
        let answer = client.ask(line);
        up += line.len() + 1;
        down += answer.len() + 1;
    }
    assert!(host.exit().success());
    let counted = samples(&printed(host.state()));
    let expected = [
        ("rouse_wakes_total{sidecar=\"web\",result=\"ready\"}", 1),
        ("rouse_wakes_total{sidecar=\"web\",result=\"failed\"}", 0),
        ("rouse_wake_duration_seconds_count{sidecar=\"web\"}", 1),
        ("rouse_connections_total{sidecar=\"web\"}", 2),
        ("rouse_open_connections{sidecar=\"web\"}", 0),
        ("rouse_bytes_total{sidecar=\"web\",direction=\"up\"}", up),
        ("rouse_bytes_total{sidecar=\"web\",direction=\"down\"}", down),
        ("rouse_sidecar_state{sidecar=\"web\",state=\"asleep\"}", 1),
        ("rouse_helper_up{sidecar=\"web\"}", 0),
    ];
    for (sample, value) in expected {
        assert_eq!(counted[sample], value as f64, "{sample}");
    }
    assert!(counted["rouse_awake_seconds_total{sidecar=\"web\"}"] >= 1.0, "{counted:?}");
}

/// Tells another thread that it is over, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scrapes until it is over and says how often; no counter may fall or vanish.
fn watch_counters(state: &Path, over: &AtomicBool) -> usize {
    let is_counter =
        |sample: &str| ["_total{", "_bucket{", "_count{", "_sum{"].iter().any(|part| sample.contains(part));
    let (mut last, mut scrapes) = (Samples::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let now = samples(&printed(state));
        for (sample, before) in last.iter().filter(|(sample, _)| is_counter(sample)) {
            let after = now.get(sample).copied().unwrap_or_else(|| panic!("{sample} is gone"));
            assert!(after >= *before, "{sample}: {before}, then {after}");
        }
        (last, scrapes) = (now, scrapes + 1);
    }
    scrapes
}

#[test]
fn no_counter_goes_backwards_when_a_helper_is_killed() {
    let web = Container::new("web", "");
    let host = Plan::new(&web.sidecar("web", "")).socket("web", Kind::Tcp4).listen();
    let over = AtomicBool::new(false);
    let bytes = || {
        let now = samples(&printed(host.state()));
        now.get("rouse_bytes_total{sidecar=\"web\",direction=\"up\"}").copied().unwrap_or(0.0)
    };
    let scrapes = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_counters(host.state(), &over));
        let end = Over(&over);
        for _ in 0..2 {
            host.served_again("web");
            let mut client = host.connect("web");
            let before = bytes();
            until("bytes that are counted", || {
                client.ask("who");
                (bytes() > before).then_some(())
            });
            let counted = bytes();
            host.end_helper(Signal::SIGKILL);
            assert!(bytes() >= counted);
        }
        host.served_again("web");
        drop(end);
        watcher.join().unwrap()
    });
    assert!(scrapes > 10, "{scrapes}");
    let counted = samples(&printed(host.state()));
    assert_eq!(counted["rouse_wakes_total{sidecar=\"web\",result=\"ready\"}"], 1.0, "{counted:?}");
}

#[test]
fn time_awake_counts_on_while_nothing_else_happens_and_outlives_a_kill() {
    let web = Container::new("web", "");
    let town = Town::new(&web.sidecar("web", "busy_cpu = 0\nidle_timeout = \"never\""));
    let host = town.plan(&["web"]).listen();
    assert_eq!(town.control("web").post("wake").0, 200);
    let awake = || {
        let now = samples(&printed(&town.state()));
        now.get("rouse_awake_seconds_total{sidecar=\"web\"}").copied().unwrap_or(0.0)
    };
    // It writes every ten seconds.
    until("time that is counted", || (awake() >= 9.0).then_some(()));
    host.end_helper(Signal::SIGKILL);
    assert!(awake() >= 9.0);
}

/// The names of metrics in a query.
fn names(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("rouse_")).map(str::to_owned).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            found.extend(map.get("definition").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| expressions(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there_and_leaves_nothing_out() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/grafana/rouse.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!((30..60).contains(&dashboard["schemaVersion"].as_u64().unwrap()));
    let mut queries = Vec::new();
    expressions(&dashboard, &mut queries);
    assert!(queries.len() > 8, "{queries:?}");
    for query in &queries {
        for name in names(query) {
            let grows = ["_total", "_bucket"].iter().any(|end| name.ends_with(end));
            let is_rated =
                ["rate", "increase"].iter().any(|rate| query.contains(&format!("{rate}({name}{{")));
            assert_eq!(is_rated, grows, "what grows is rated and nothing else: {query}");
        }
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
    let asked: BTreeSet<String> = queries.iter().flat_map(|query| names(query)).collect();
    let state = TempDir::new().unwrap();
    leave(state.path(), "web", |_| {});
    let there: BTreeSet<String> = samples(&printed(state.path()))
        .keys()
        .map(|sample| sample.split('{').next().unwrap().to_owned())
        .collect();
    assert_eq!(asked.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
    let shown_as_buckets = |name: &str| name.starts_with("rouse_wake_duration_seconds_");
    let left_out: Vec<_> = there.difference(&asked).filter(|name| !shown_as_buckets(name)).collect();
    assert_eq!(left_out, Vec::<&String>::new());
}
