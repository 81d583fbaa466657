//! The calls, and what each of the engine's answers means.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::events::Events;
use super::http::{Answer, Http};
use super::{Container, Error};

/// The newest API that this code was tried with; an older engine is spoken to in its own.
const NEWEST_API: (u32, u32) = (1, 51);

const PING_DEADLINE: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(10);
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
        let answer = self.http.request(Method::GET, "/_ping", PING_DEADLINE).await?;
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
        let (call, answer) =
            self.call(Method::GET, &format!("/containers/{container}/json"), DEADLINE).await?;
        match answer.status {
            StatusCode::OK => {
                let found: Container = serde_json::from_slice(&answer.body)
                    .map_err(|error| Error::Garbled { call, what: error.to_string() })?;
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
        let path = format!("/containers/{container}/start");
        let (call, answer) = self.call(Method::POST, &path, START_DEADLINE).await?;
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

    /// Thaws a container.
    pub async fn unpause(&self, container: &str) -> Result<(), Error> {
        let (call, answer) =
            self.call(Method::POST, &format!("/containers/{container}/unpause"), DEADLINE).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            // Somebody else was faster.
            StatusCode::INTERNAL_SERVER_ERROR if message(&answer).contains("not paused") => Ok(()),
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Stops a container, or waits for the stop that is under way; answers when it is down. The engine kills it after
    /// `grace`, counted in whole seconds.
    pub async fn stop(&self, container: &str, grace: Duration) -> Result<(), Error> {
        let seconds = grace.as_millis().div_ceil(1000);
        let path = format!("/containers/{container}/stop?t={seconds}");
        let (call, answer) = self.call(Method::POST, &path, grace + STOP_MARGIN).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(()),
            // Podman does not stop what is frozen.
            StatusCode::INTERNAL_SERVER_ERROR if message(&answer).contains("paused") => {
                self.unpause(container).await?;
                Box::pin(self.stop(container, grace)).await
            }
            _ => Err(refusal(call, &answer)),
        }
    }

    /// The last `lines` of a container's log, oldest first.
    pub async fn log(&self, container: &Container, lines: usize) -> Result<String, Error> {
        let path = format!("/containers/{}/logs?stdout=1&stderr=1&tail={lines}", container.id);
        let (call, answer) = self.call(Method::GET, &path, DEADLINE).await?;
        match answer.status {
            StatusCode::OK if container.has_terminal() => {
                Ok(String::from_utf8_lossy(&answer.body).into_owned())
            }
            StatusCode::OK => Ok(String::from_utf8_lossy(&unframe(&answer.body)).into_owned()),
            _ => Err(refusal(call, &answer)),
        }
    }

    /// Subscribes to what happens to the container of this name from now on.
    pub(super) async fn events(&self, container: &str) -> Result<Events, Error> {
        let filters = format!(r#"{{"type":["container"],"container":["{container}"]}}"#);
        let path = format!("{}/events?filters={}", self.version().await?, escape(&filters));
        match self.http.stream(&path, DEADLINE).await? {
            Ok(body) => Ok(Events::new(body)),
            Err(answer) => Err(refusal("GET /events".into(), &answer)),
        }
    }

    async fn call(&self, method: Method, path: &str, deadline: Duration) -> Result<(String, Answer), Error> {
        let path = self.version().await? + path;
        let answer = self.http.request(method.clone(), &path, deadline).await?;
        Ok((format!("{method} {path}"), answer))
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

fn refusal(call: String, answer: &Answer) -> Error {
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

/// The payload of the engine's log frames: a byte for the stream, three zeros, the length in four bytes, big-endian.
fn unframe(mut body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    while let [_, 0, 0, 0, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (payload, next) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(payload);
        body = next;
    }
    // Podman sends a container's log bare where it has a terminal, whatever the configuration says.
    text.extend_from_slice(body);
    text
}

/// Percent-encodes a query's value (RFC 3986, section 2.3).
fn escape(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{escape, parse_version, unframe};

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("1.9") < parse_version("1.41"));
        assert_eq!(parse_version("1.51"), Some((1, 51)));
        assert_eq!(parse_version("one"), None);
    }

    #[test]
    fn log_frames_are_taken_apart_even_when_cut_short() {
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\x03ab\n\x02\0\0\0\0\0\0\x03cd\n"), b"ab\ncd\n");
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\x09ab\n"), b"ab\n");
        assert_eq!(unframe(b"bare\n"), b"bare\n");
        assert_eq!(unframe(b""), b"");
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escape(r#"{"a":["b-1.c_d"]}"#), "%7B%22a%22%3A%5B%22b-1.c_d%22%5D%7D");
    }
}
