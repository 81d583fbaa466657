//! The usual clients of usual servers see through rouse what they see without it.
//!
//! Clients and servers are the programs in `clients/`, each in a container of the image; the clients' is on this
//! machine's network.

use crate::harness::{Container, Host, Kind, PORT, Plan, docker_exec};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients:/clients:ro");

/// Clients, and a server that is asleep behind rouse.
struct Suite {
    host: Host,
    server: Container,
    clients: Container,
}

impl Suite {
    fn new(what: &str, command: &[&str]) -> Suite {
        Suite::with(what, &[], "", command)
    }

    fn with(what: &str, options: &[&str], keys: &str, command: &[&str]) -> Suite {
        let server = Container::running(what, &[&["--volume", PROGRAMS], options].concat(), command);
        let on_host = ["--volume", PROGRAMS, "--network", "host", "--stop-signal", "KILL"];
        let clients = Container::running("clients", &on_host, &["sleep", "infinity"]);
        clients.start();
        let host = Plan::new(&server.sidecar("server", keys)).socket("server", Kind::Tcp4).listen();
        Suite { host, server, clients }
    }

    /// What the client prints, in lines: first through rouse, which wakes the server, then directly, and the same.
    #[track_caller]
    fn prints(&self, client: &str) -> Vec<String> {
        let through = self.run(client, "127.0.0.1", self.host.listener("server", 0).port());
        assert_eq!(self.host.look(|facts| facts.starts.len()), 1, "more than one helper was needed");
        let directly = self.run(client, &self.server.inspect("{{.NetworkSettings.IPAddress}}"), PORT);
        assert_eq!(through, directly, "{client}: through rouse it prints other than without it");
        through.lines().map(str::to_owned).collect()
    }

    /// A client that hangs or is missing fails like one that complains.
    #[track_caller]
    fn run(&self, client: &str, host: &str, port: u16) -> String {
        let script = format!("HOST={host} PORT={port} timeout --kill-after=5 60 {client}");
        docker_exec(self.clients.name(), &["bash", "-c", &script])
    }
}

fn redis() -> Suite {
    Suite::new("redis", &["redis-server", "--port", "8000", "--protected-mode", "no", "--save", ""])
}

fn postgres() -> Suite {
    let path = "PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin";
    let check = "pg_isready -h 127.0.0.1 -p 8000";
    let options = ["--user", "postgres", "--env", path, "--health-cmd", check, "--health-interval", "300ms"];
    // A PostgreSQL that still recovers refuses clients that have connected already.
    Suite::with("postgres", &options, "ready = \"healthy\"", &["/clients/postgres-server"])
}

#[test]
fn redis_cli_gets_what_it_has_set_and_hears_what_is_published() {
    let seen = redis().prints("/clients/redis-cli");
    assert_eq!(seen, ["OK", "OK", "20000000", "errors: 0, replies: 100000", "100001", "50 1", "50"]);
}

#[test]
fn redis_benchmark_completes_every_test_with_and_without_pipelining() {
    let names = "test,PING_INLINE,PING_MBULK,SET,GET,INCR,LPUSH,RPOP,SADD,LPUSH (needed to benchmark LRANGE),\
                 LRANGE_100 (first 100 elements),MSET (10 keys)";
    assert_eq!(redis().prints("/clients/redis-benchmark"), [names, names]);
}

#[test]
fn psql_copies_megabytes_is_notified_and_cancels() {
    let heard = |text| format!("Asynchronous notification \"news\" with payload \"{text}\"");
    let cancelled = ["Cancel request sent", "ERROR:  canceling statement due to user request"];
    let mut seen = postgres().prints("/clients/psql");
    assert_eq!(seen.split_off(5), cancelled);
    assert_eq!(seen, ["200000|20000100000", "listening", "heard:", &heard("good"), &heard("bad")]);
}

#[test]
fn pgbench_fails_no_transaction() {
    let mut expected = Vec::new();
    for number in [800, 800, 1600, 160] {
        expected.push(format!("number of transactions actually processed: {number}/{number}"));
        expected.push("number of failed transactions: 0 (0.000%)".to_owned());
    }
    // What the two rounds that write have added up to.
    expected.push("t|1600".to_owned());
    assert_eq!(postgres().prints("/clients/pgbench"), expected);
}

fn git(protocol: &str) {
    let suite = Suite::new("git", &["/clients/git-server", protocol]);
    let mut subjects = vec!["what comes after".to_owned()];
    subjects.extend((1..=8).rev().map(|number| format!("the files of number {number}")));
    assert_eq!(suite.prints(&format!("/clients/git {protocol}")), subjects);
}

#[test]
fn git_pushes_clones_and_fetches_over_http() {
    git("http");
}

#[test]
fn git_pushes_clones_and_fetches_over_ssh() {
    git("ssh");
}

#[test]
fn a_websocket_echoes_and_closes_with_its_code() {
    let suite = Suite::new("websocket", &["python3", "/clients/websocket.py", "serve"]);
    let echoed = ["str 5", "bytes 2", "str 524288", "bytes 1048576", "bytes 5242880"];
    let mut seen = suite.prints("python3 /clients/websocket.py");
    assert_eq!(seen.split_off(5), ["pong", "in order", "left: 1000", "sent away: 4001 as you like"]);
    assert_eq!(seen, echoed.map(|message| format!("{message} the same")));
}

#[test]
fn h2load_fails_no_request() {
    let serve = "seq 500000 >/srv/large && exec nginx -c /clients/http2.nginx";
    let suite = Suite::new("http2", &["sh", "-c", serve]);
    let mut expected = Vec::new();
    for (all, each) in [(5000, "small".len()), (60, 3_388_895)] {
        expected.push(format!(
            "requests: {all} total, {all} started, {all} done, {all} succeeded, 0 failed, 0 errored, 0 timeout"
        ));
        expected.push(format!("status codes: {all} 2xx, 0 3xx, 0 4xx, 0 5xx"));
        expected.push(format!("data: {}", all * each));
    }
    expected.push("2 200".to_owned());
    assert_eq!(suite.prints("/clients/h2load"), expected);
}
