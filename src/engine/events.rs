//! What happens to one container, across restarts of the engine.
//!
//! Events are hints: each says that something has changed, and an inspect says what is. So a lost, late or repeated one
//! does no harm.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::{Docker, Error};

/// Between two tries to subscribe.
const RETRY: Duration = Duration::from_secs(1);
/// How long an engine that answers may take to accept a subscription.
const PATIENCE: Duration = Duration::from_secs(10);
/// An event is a few hundred bytes; a line that long is not one.
const MAX_LINE: usize = 1 << 20;

/// What a [`Watch`] reports.
#[derive(Debug)]
pub enum Change {
    /// From here on nothing is missed: inspect now.
    Subscribed,
    /// The engine is not there, told again at each failed try; a `Subscribed` follows when it is back.
    Lost(Error),
    /// Something happened to the container.
    Happened(Event),
}

/// The events that rouse acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its process runs.
    Started,
    /// Its process has ended.
    Died,
    /// Its HEALTHCHECK has passed.
    Healthy,
}

/// What the changes that were taken so far tell of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// Nothing yet: the first try to subscribe is on its way.
    Untold,
    /// It tells of changes.
    There,
    /// The last try has failed, and the next one is some time off.
    Away,
}

/// A subscription that outlives the engine's restarts; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    engine: Rc<Docker>,
    changes: mpsc::Receiver<Change>,
    engine_is: Engine,
    task: JoinHandle<()>,
}

impl Watch {
    /// Follows the container of this name.
    pub fn new(engine: Rc<Docker>, container: String) -> Watch {
        let (sender, changes) = mpsc::channel(16);
        let task = spawn_local(follow(engine.clone(), container, sender));
        Watch { engine, changes, engine_is: Engine::Untold, task }
    }

    /// The next change. Cancelling it loses none.
    pub async fn next(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => self.note(change),
            // The task ends only with this receiver.
            None => pending().await,
        }
    }

    /// Whether the engine tells of changes at present, as far as they were taken from here.
    pub fn is_subscribed(&self) -> bool {
        self.engine_is == Engine::There
    }

    /// Forgets what has happened so far, for an inspect that follows, and makes sure that the engine tells what happens from
    /// here on; says at once why not.
    pub async fn subscribed(&mut self) -> Result<(), Error> {
        while let Ok(change) = self.changes.try_recv() {
            self.note(change);
        }
        match self.engine_is {
            Engine::There => return Ok(()),
            Engine::Away => self.engine.ping().await?,
            Engine::Untold => {}
        }
        let next = async {
            loop {
                match self.next().await {
                    Change::Subscribed => return Ok(()),
                    Change::Lost(error) => return Err(error),
                    Change::Happened(_) => {}
                }
            }
        };
        timeout(PATIENCE, next).await.unwrap_or_else(|_| {
            let socket = self.engine.socket().to_owned();
            Err(Error::Deadline { socket, call: "GET /events".into(), after: PATIENCE })
        })
    }

    /// Waits until the engine is back; for ever if it was not away.
    pub async fn back(&mut self) {
        if self.is_subscribed() {
            return pending().await;
        }
        while !matches!(self.next().await, Change::Subscribed) {}
    }

    fn note(&mut self, change: Change) -> Change {
        match change {
            Change::Subscribed => self.engine_is = Engine::There,
            Change::Lost(_) => self.engine_is = Engine::Away,
            Change::Happened(_) => {}
        }
        change
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(engine: Rc<Docker>, container: String, changes: mpsc::Sender<Change>) {
    loop {
        let lost = match engine.events(&container).await {
            Ok(mut events) => {
                if changes.send(Change::Subscribed).await.is_err() {
                    return;
                }
                loop {
                    match events.next().await {
                        Ok(event) if changes.send(Change::Happened(event)).await.is_err() => return,
                        Ok(_) => {}
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => error,
        };
        engine.forget_version();
        // Where nobody has read the last ones, one more is no news.
        let _ = changes.try_send(Change::Lost(lost));
        sleep(RETRY).await;
    }
}

/// One event stream.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "Action")]
    action: String,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Events {
        Events { body, buffer: Vec::new() }
    }

    async fn next(&mut self) -> Result<Event, Error> {
        let garbled = |what: String| Error::Garbled { call: "GET /events".into(), what };
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let line: Line = serde_json::from_slice(&line).map_err(|error| garbled(error.to_string()))?;
                match event(&line.action) {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            if self.buffer.len() > MAX_LINE {
                return Err(garbled("an endless line".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return Err(garbled(error.to_string())),
                None => return Err(garbled("the stream has ended".into())),
            }
        }
    }
}

fn event(action: &str) -> Option<Event> {
    match action {
        "start" => Some(Event::Started),
        "die" | "died" => Some(Event::Died),
        "health_status: healthy" => Some(Event::Healthy),
        _ => None,
    }
}
