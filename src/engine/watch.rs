//! What happens to one container, across renames of it and restarts of the engine.
//!
//! Events are hints: each says that something has changed, and an inspect says what is. So a lost, late or repeated one
//! does no harm.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::events::{Event, Events};
use super::{Docker, Error};

/// Between two tries to subscribe.
const RETRY: Duration = Duration::from_secs(1);
/// How long an engine that answers may take to accept a subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a [`Watch`] reports.
#[derive(Debug)]
pub enum Change {
    /// From here on nothing is missed: inspect now. Told again when [`Watch::follow`] has taken effect.
    Subscribed,
    /// The engine is not there, told again at each failed try; a `Subscribed` follows when it is back.
    Lost(Error),
    /// Something happened to the container.
    Happened(Event),
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
    id: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Follows the container of this name.
    pub fn new(engine: Rc<Docker>, container: String) -> Watch {
        let (sender, changes) = mpsc::channel(16);
        let (id, wanted) = watch::channel(None);
        let teller = Teller { engine: engine.clone(), container, id: wanted, changes: sender };
        let task = spawn_local(teller.run());
        Watch { engine, changes, engine_is: Engine::Untold, id, task }
    }

    /// From now on follows the container of this id too, whatever it is called then: after a rename the engine tells of it
    /// under its new name alone. A `Subscribed` follows when that has taken effect, and what happens meanwhile is told as
    /// before; the same id again changes nothing.
    pub fn follow(&self, id: &str) {
        self.id.send_if_modified(|followed| {
            let other = followed.as_deref() != Some(id);
            if other {
                *followed = Some(id.to_owned());
            }
            other
        });
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

    /// Waits until the engine is back; for ever if it does not go away. What happens meanwhile is forgotten, for an inspect that
    /// follows. Cancelling it loses nothing else.
    pub async fn back(&mut self) {
        loop {
            // That it is away may be heard later than seen.
            let was_away = !self.is_subscribed();
            if matches!(self.next().await, Change::Subscribed) && was_away {
                return;
            }
        }
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

/// The task behind a [`Watch`].
#[derive(Debug)]
struct Teller {
    engine: Rc<Docker>,
    container: String,
    id: watch::Receiver<Option<String>>,
    changes: mpsc::Sender<Change>,
}

/// Nobody listens any more.
#[derive(Debug)]
struct Unheard;

impl Teller {
    async fn run(mut self) {
        while let Ok(lost) = self.tell().await {
            self.engine.forget_version();
            // Where nobody has read the last ones, one more is no news.
            let _ = self.changes.try_send(Change::Lost(lost));
            sleep(RETRY).await;
        }
    }

    /// Tells what happens until the engine is lost.
    async fn tell(&mut self) -> Result<Error, Unheard> {
        let id = self.id.borrow_and_update().clone();
        let mut events = match Events::open(&self.engine, &self.container, id).await {
            Ok(events) => events,
            Err(error) => return Ok(error),
        };
        loop {
            let Teller { engine, container, id, changes } = &mut *self;
            changes.send(Change::Subscribed).await.map_err(|_| Unheard)?;
            let mut next = pin!(async {
                if id.changed().await.is_err() {
                    pending::<()>().await;
                }
                let id = id.borrow_and_update().clone();
                Events::open(engine, container, id).await
            });
            let next = loop {
                tokio::select! {
                    // What the old stream has to tell comes first: with it goes what it has not told.
                    biased;
                    event = events.next() => match event {
                        Ok(event) => changes.send(Change::Happened(event)).await.map_err(|_| Unheard)?,
                        Err(error) => return Ok(error),
                    },
                    next = &mut next => break next,
                }
            };
            events = match next {
                Ok(events) => events,
                Err(error) => return Ok(error),
            };
        }
    }
}
