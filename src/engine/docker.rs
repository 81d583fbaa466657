//! The calls made, and what each of the engine's answers means.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;

use super::call::Call;
use super::http::{Answer, Http};
use super::{Container, Error};

/// The newest API that this code was tried with; an older engine is spoken to in its own.
const NEWEST_API: (u32, u32) = (1, 51);

const PING_DEADLINE: Duration = Duration::from_secs(2);
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// An aborted start may leave the container half started (Docker ≥ 25 ties the work to the request).
const START_DEADLINE: Duration = Duration::from_secs(300);
/// The engine kills after the grace, and waits up to 12 s more for the dead.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// An engine behind one socket.
#[derive(Debug)]
pub struct Docker {
    http: Http,
    /// The path prefix of the negotiated version, once it is known.
    version: RefCell<Option<String>>,
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It started the container.
    Now,
    /// The container counts as running: it is up, frozen, between two restarts or on its way down.
    Already,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// A reading of the CPU time that a container has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// The time.
    pub used: Duration,
    /// When the engine read it, by the clock that it shares with us; none where it does not say so in UTC.
    pub read: Option<SystemTime>,
}

#[derive(Deserialize)]
struct Stats {
    read: Option<String>,
    cpu_stats: CpuStats,
}

#[derive(Deserialize)]
struct CpuStats {
    cpu_usage: CpuUsage,
}

#[derive(Deserialize)]
struct CpuUsage {
    total_usage: u64,
}

impl Stats {
    fn cpu_time(self) -> CpuTime {
        // Nanoseconds, with cgroups of either version.
        let used = Duration::from_nanos(self.cpu_stats.cpu_usage.total_usage);
        CpuTime { used, read: self.read.and_then(|read| humantime::parse_rfc3339(&read).ok()) }
    }
}

impl Docker {
    /// An engine at `socket`, an absolute path; nothing is asked of it yet.
    pub fn new(socket: &Path) -> Docker {
        Docker { http: Http::new(socket), version: RefCell::default() }
    }

    /// The engine's socket.
    pub fn socket(&self) -> &Path {
        self.http.socket()
    }

    /// Whether it answers, and with which API: the older of its newest and ours.
    pub async fn ping(&self) -> Result<(), Error> {
        let answer = self.http.request(Call::Ping.method(), &Call::Ping.path(), PING_DEADLINE).await?;
        let theirs = answer.api_version.as_deref().and_then(parse_version);
        let Some((major, minor)) = theirs.map(|theirs| theirs.min(NEWEST_API)) else {
            let what = format!("no Api-Version in the answer ({})", answer.status);
            return Err(Error::Garbled { call: "GET /_ping".into(), what });
        };
        *self.version.borrow_mut() = Some(format!("/v{major}.{minor}"));
        Ok(())
    }

    /// Forgets the negotiated version: the engine that comes back may be another one.
    pub fn forget_version(&self) {
        *self.version.borrow_mut() = None;
    }

    /// What the engine knows of a container.
    pub async fn inspect(&self, container: &str) -> Result<Container, Error> {
        let (call, answer) = self.call(Call::Inspect(container), DEADLINE).await?;
        match answer.status {
            StatusCode::OK => {
                let found: Container = parse(call, &answer)?;
                match found.is_called(container) {
                    true => Ok(found),
                    false => {
                        Err(Error::NoSuchContainer { message: format!("No such container: {container}") })
                    }
                }
            }
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Starts a container; answers when its process runs, not when it listens.
    pub async fn start(&self, container: &str) -> Result<Started, Error> {
        let (call, answer) = self.call(Call::Start(container), START_DEADLINE).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Started::Now),
            StatusCode::NOT_MODIFIED => Ok(Started::Already),
            // Frozen: Docker says 409, Podman 500.
            StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR
                if message(&answer).contains("paused") =>
            {
                Ok(Started::Already)
            }
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Freezes a container; one that is frozen already is fine, one that does not run is a refusal.
    pub async fn pause(&self, id: &str) -> Result<(), Error> {
        let (call, answer) = self.call(Call::Pause(id), DEADLINE).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            // Docker says 409, Podman 500.
            StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR
                if message(&answer).contains("already paused") =>
            {
                Ok(())
            }
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Thaws a container.
    pub async fn unpause(&self, container: &str) -> Result<(), Error> {
        let (call, answer) = self.call(Call::Unpause(container), DEADLINE).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            // Somebody else was faster.
            StatusCode::INTERNAL_SERVER_ERROR if message(&answer).contains("not paused") => Ok(()),
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Stops a container, or waits for the stop that is under way; answers when it is down. The engine kills it after
    /// `grace`, counted in whole seconds. One that is paused is to be unpaused before: Podman refuses to stop it.
    pub async fn stop(&self, container: &str, grace: Duration) -> Result<(), Error> {
        let seconds = grace.as_millis().div_ceil(1000);
        let stop = Call::Stop(container, &format!("t={seconds}"));
        let (call, answer) = self.call(stop, grace + STOP_MARGIN).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(()),
            _ => Err(refusal(call, &answer)),
        }
    }

    /// The CPU time that a container has used in this run, of all its processes and on all cores; Docker says zero of one
    /// that does not run, Podman refuses.
    ///
    /// Docker 20.10 takes up to a second for it if it was asked less than a second ago, a few milliseconds otherwise; one that
    /// does not know `one-shot` takes two seconds.
    pub async fn cpu(&self, id: &str) -> Result<CpuTime, Error> {
        let (call, answer) = self.call(Call::Stats(id, "stream=false&one-shot=true"), DEADLINE).await?;
        match answer.status {
            StatusCode::OK => parse(call, &answer).map(Stats::cpu_time),
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Sends a request to the negotiated version; with the answer comes what was asked, for an error to name.
    pub(super) async fn call(&self, call: Call<'_>, deadline: Duration) -> Result<(String, Answer), Error> {
        let path = self.version().await? + &call.path();
        let answer = self.http.request(call.method(), &path, deadline).await?;
        Ok((format!("{} {path}", call.method()), answer))
    }

    /// Asks for what comes piece by piece, for as long as it comes.
    pub(super) async fn stream(&self, call: Call<'_>) -> Result<Incoming, Error> {
        let path = self.version().await? + &call.path();
        self.http.stream(&path, DEADLINE).await?.map_err(|answer| refusal(format!("GET {path}"), &answer))
    }

    async fn version(&self) -> Result<String, Error> {
        loop {
            if let Some(version) = self.version.borrow().clone() {
                return Ok(version);
            }
            self.ping().await?;
        }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

pub(super) fn parse<'a, T: Deserialize<'a>>(call: String, answer: &'a Answer) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|error| Error::Garbled { call, what: error.to_string() })
}

/// What an answer means that is none of those hoped for.
pub(super) fn refusal(call: String, answer: &Answer) -> Error {
    let message = message(answer);
    // A missing network is a 404 too, and then the container is there.
    match answer.status {
        StatusCode::NOT_FOUND if message.to_lowercase().contains("no such container") => {
            Error::NoSuchContainer { message }
        }
        status => Error::Refused { call, status: status.as_u16(), message },
    }
}

/// The engine's own words, or what it sent instead of them.
fn message(answer: &Answer) -> String {
    match serde_json::from_slice::<Message>(&answer.body) {
        Ok(message) => message.message.trim().to_owned(),
        Err(_) => String::from_utf8_lossy(&answer.body).chars().take(500).collect(),
    }
}

/// Percent-encodes a query's value (RFC 3986, section 2.3).
pub(super) fn escape(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn cpu_time_is_read_from_the_stats_of_either_cgroup_version() {
        let read = |text: &str| serde_json::from_str::<Stats>(text).unwrap().cpu_time();
        let v1 = r#"{"read":"2026-11-23T08:00:00.5Z","cpu_stats":{"cpu_usage":{"total_usage":1500,
            "percpu_usage":[700,800],"usage_in_kernelmode":0},"system_cpu_usage":9}}"#;
        assert_eq!(read(v1).used, Duration::from_nanos(1500));
        assert_eq!(read(v1).read, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_420_800_500)));
        let v2 = r#"{"read":"2026-11-23T09:00:00+01:00","cpu_stats":{"cpu_usage":{"total_usage":4000,
            "usage_in_usermode":3000},"online_cpus":2}}"#;
        assert_eq!(read(v2), CpuTime { used: Duration::from_nanos(4000), read: None });
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("1.9") < parse_version("1.41"));
        assert_eq!(parse_version("1.51"), Some((1, 51)));
        assert_eq!(parse_version("one"), None);
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escape(r#"{"a":["b-1.c_d"]}"#), "%7B%22a%22%3A%5B%22b-1.c_d%22%5D%7D");
    }
}
