//! Asleep: from a look that finds nobody who wants it, to the one who asks.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Seat, Sidecar};
use crate::calls::{Call, Refusal, RefusalKind};
use crate::config;
use crate::engine::{Change, Error, Event, Watch};
use crate::events;
use crate::places;
use crate::record::State;
use crate::room::Room;
use crate::wake::start;
use crate::why::{Step, Why};

/// How often a porch is looked at where clients stand who have sent nothing yet.
const PORCH_PERIOD: Duration = Duration::from_secs(1);

impl Seat {
    /// The settings, once there are some. Until then its clients are reset, and the configuration is read again for each. A
    /// helper that left instead would be started again by the queued client, hundreds of times a second.
    pub(super) async fn usable_settings(&mut self) -> Rc<config::Sidecar> {
        let mut told = None;
        loop {
            let errors = match self.settings.borrow_and_update().clone() {
                Ok(settings) => return settings,
                Err(errors) => errors,
            };
            if told.as_ref() != Some(&errors) {
                if let Some(first) = errors.first() {
                    let error = first.to_string();
                    self.state.update(|record| record.why = Why::Rejected { error });
                    self.status.say(self.state.record());
                }
                events::config_rejected(&self.name, &errors);
                told = Some(errors);
            }
            tokio::select! {
                // The sender lives as long as the helper.
                _ = self.settings.changed() => {}
                () = self.listeners.client() => if !self.is_mended().await {
                    drop(self.listeners.accept().await);
                    self.listeners.reset_queued();
                },
                call = self.calls.next() => match call {
                    Call::Tell(answer) => answer.give(()),
                    call => if self.is_mended().await {
                        self.calls.give_back(call);
                    } else {
                        call.refuse(rejected(self.settings.borrow().as_ref().err()));
                    }
                },
            }
        }
    }

    /// Has the configuration read again.
    async fn is_mended(&mut self) -> bool {
        let _ = self.reload.send(());
        let _ = self.settings.changed().await;
        self.settings.borrow().is_ok()
    }
}

impl Sidecar {
    /// Ends what the last helper, or the last try, has begun and not seen the end of.
    pub(super) async fn settle(&mut self, room: &mut Room) -> Result<(), Error> {
        let record = self.state.record();
        let id = record.container_id.clone().filter(|_| record.container == self.settings.container);
        let state = record.state;
        let Some(id) = id.filter(|_| !matches!(state, State::Asleep | State::Awake | State::Paused)) else {
            return Ok(());
        };
        let repeated = match self.engine.inspect(&id).await {
            // What was asked for has happened, or another run has begun since.
            Ok(found) if !self.state.is_of_run(found.started_at()) => Ok(()),
            Ok(found) => match state {
                State::Waking if !found.is_up() => {
                    start(self.place(), &id, Instant::now(), room).await.map(drop)
                }
                State::Sleeping if found.is_up() => {
                    self.explain(Why::Stepping { step: Step::Sleep });
                    self.stop(&id, found.is_paused()).await
                }
                // It may be on its way, and would freeze the container under the hands of its next client.
                State::Pausing if found.is_running() => self.engine.pause(&id).await,
                _ => Ok(()),
            },
            Err(error) => Err(error),
        };
        match repeated {
            Err(error) if error.is_open() => Err(error),
            // An answer, of whatever kind, means that nothing is under way any more.
            _ if state == State::Pausing => {
                self.state.update(|record| record.state = State::Awake);
                Ok(())
            }
            _ => {
                self.enter(State::Asleep, None);
                Ok(())
            }
        }
    }

    /// Waits until somebody asks for it or its container is started by somebody else. Meanwhile the helper may leave.
    pub(super) async fn rest(&mut self, room: &mut Room, watch: &mut Watch) {
        let container = self.settings.container.clone();
        self.tell(|record| (record.why, record.container) = (Why::Unasked, container));
        while !room.is_asked() {
            let all_gone = self.remains.is_empty() && room.door().is_empty();
            if all_gone {
                self.status.rest(self.state.record());
            } else {
                self.status.say(self.state.record());
            }
            tokio::select! {
                biased;
                // Who is let in is seen in no queue any more: the helper must not leave from here on.
                () = self.listeners.client(), if all_gone => {}
                () = room.asked() => break,
                Some(Ok(totals)) = self.remains.join_next() => self.count(totals),
                change = watch.next() => if is_news(&change) { break },
                Ok(()) = self.latest.changed() => break,
                () = sleep(PORCH_PERIOD), if !all_gone => {}
            }
        }
        self.status.say(self.state.record());
    }
}

/// Why nothing can be done with a sidecar that has these errors.
fn rejected(errors: Option<&Rc<[config::Error]>>) -> Refusal {
    let first =
        errors.and_then(|errors| errors.first()).map(|error| format!(": {error}")).unwrap_or_default();
    let error = format!("its configuration is rejected{first}");
    Refusal::new(RefusalKind::Failed, error, format!("{} shows all that is wrong", places::rouse("check")))
}

/// Whether the container may be up now.
fn is_news(change: &Change) -> bool {
    matches!(change, Change::Subscribed | Change::Happened(Event::Started | Event::Renamed | Event::Unpaused))
}
