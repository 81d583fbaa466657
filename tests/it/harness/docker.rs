//! The engine's command line, and what the suite may use.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::spawn::output;

/// The suite's engine: `$ROUSE_TEST_ENGINE`, a path, else Docker's own socket.
pub fn engine_socket() -> PathBuf {
    let value = std::env::var("ROUSE_TEST_ENGINE").unwrap_or_else(|_| "/run/docker.sock".to_owned());
    PathBuf::from(value.trim_start_matches("unix://"))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", engine_socket().display())).args(args);
    command
}

/// Runs `docker ARGS`, which must succeed, and gives its output without the last newline.
#[track_caller]
pub fn docker(args: &[&str]) -> String {
    let done = output(&mut command(args));
    assert!(done.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
}

/// The same for what may fail; both its streams.
pub fn docker_anyway(args: &[&str]) -> String {
    let done = output(&mut command(args));
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// Runs a command in a running container; it must succeed, else all it wrote is shown. Gives its output as `docker` does.
#[track_caller]
pub fn docker_exec(container: &str, run: &[&str]) -> String {
    let done = output(command(&["exec", container]).args(run));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{run:?}: {}\n{out}{err}", done.status);
    out.trim_end().to_owned()
}

/// What the engine says of itself when it is pinged: its headers, in small letters.
fn ping() -> &'static BTreeMap<String, String> {
    static HEADERS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    HEADERS.get_or_init(|| {
        let mut engine = UnixStream::connect(engine_socket()).unwrap();
        engine.write_all(b"HEAD /_ping HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        engine.read_to_string(&mut answer).unwrap();
        let headers = answer.lines().filter_map(|line| line.split_once(": "));
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
    })
}

/// The version of the engine's API, as in "1.41".
pub fn engine_version() -> String {
    ping()["api-version"].clone()
}

/// Whether the engine is Podman, which says so: Docker's API, in words and habits of its own.
pub fn is_podman() -> bool {
    ping().contains_key("libpod-api-version")
}

/// How much longer than a Docker that has the machine to itself the engine may take for a call: `$ROUSE_TEST_SLACK` seconds,
/// else some for Podman, which runs several programs for each, one call after the other.
pub fn slack() -> Duration {
    let given = std::env::var("ROUSE_TEST_SLACK").ok().map(|seconds| seconds.parse().unwrap());
    Duration::from_secs(given.unwrap_or(if is_podman() { 3 } else { 0 }))
}

/// Whether the engine asks HEALTHCHECKs, which Podman leaves to timers of systemd; where it does not, the calling test is
/// skipped.
pub fn asks_healthchecks() -> bool {
    let asks = !is_podman() || Path::new("/run/systemd/system").exists();
    if !asks {
        skip("Podman asks HEALTHCHECKs by timers of systemd, and there is none");
    }
    asks
}

/// The label by which `tests/run` finds what a killed run left behind.
pub fn label() -> String {
    format!("rouse-test={}", std::env::var("ROUSE_TEST_RUN").unwrap_or_else(|_| "by-hand".to_owned()))
}

/// Says that the calling test cannot be done here: `tests/run` counts it as skipped.
pub fn skip(reason: &str) {
    let line = format!("{}: {reason}\n", std::thread::current().name().unwrap_or("a test"));
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os("ROUSE_TEST_SKIPS") {
        let mut file = OpenOptions::new().create(true).append(true).open(Path::new(&path)).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
