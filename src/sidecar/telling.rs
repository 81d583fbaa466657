//! What a sidecar says of itself: to its state file, to `systemctl status`, and to whoever looks.

use tokio::time::Instant;

use super::{Sidecar, Up};
use crate::activity::Activity;
use crate::clock::{self, now_ms};
use crate::config::Ready;
use crate::connections::Connections;
use crate::engine::Container;
use crate::record::{Record, State};
use crate::relay::Totals;
use crate::why::{Step, Why};

impl Sidecar {
    /// Says what it does and why, for whoever looks.
    pub(super) fn show(&mut self, up: &Up, activity: &Activity, connections: &Connections) {
        let why = activity.why(Instant::now(), now_ms(), &self.sight(up, connections));
        let all = self.counted(connections);
        let holds = self.holds.timed();
        self.tell(|record| {
            record.why = why;
            record.holds = holds;
            record.count(all, connections.len());
        });
    }

    /// The state of a container that is up, as it was found.
    pub(super) fn enter_as(&mut self, up: &Up) {
        self.enter(if up.is_paused { State::Paused } else { State::Awake }, Some(&up.container));
    }

    pub(super) fn enter(&mut self, state: State, container: Option<&Container>) {
        if state == State::Asleep {
            self.requirements = None;
        }
        let name = self.settings.container.clone();
        let awaited = self.awaited();
        self.tell(|record| {
            record.state = state;
            record.container = name;
            record.container_id = container.map(|container| container.id.clone());
            record.started_at = container.map(|container| container.started_at().to_owned());
            match state {
                State::Asleep => {
                    record.why = Why::Unasked;
                    record.holds.clear();
                    record.connections = 0;
                }
                State::Waking => record.why = Why::Starting,
                State::Pausing => record.why = Why::Stepping { step: Step::Pause },
                State::Sleeping => record.why = Why::Stepping { step: Step::Sleep },
                State::Awake if record.why == Why::Starting => record.why = Why::Unready { awaited },
                // Serving tells.
                State::Awake | State::Paused => {}
            }
        });
    }

    /// Changes the record, in the state file and for whoever looks.
    pub(super) fn tell(&mut self, change: impl FnOnce(&mut Record)) {
        self.state.update(change);
        self.status.say(self.state.record());
    }

    /// Why it is as it is.
    pub(super) fn explain(&mut self, why: Why) {
        self.tell(|record| record.why = why);
    }

    /// The holds that have not ended with the helper that gave them: its container has not either.
    pub(super) fn restore_holds(&mut self) {
        let now = now_ms();
        for holder in self.state.record().holds.clone() {
            if let Some(until) = holder.until_ms.filter(|until| *until > now) {
                self.holds.keep(holder, clock::until(until, now));
            }
        }
    }

    /// What there has been of connections so far, these open ones included.
    pub(super) fn count_open(&mut self, connections: &Connections) {
        let all = self.counted(connections);
        self.tell(|record| record.count(all, connections.len()));
    }

    fn counted(&self, connections: &Connections) -> Totals {
        let mut all = self.past;
        all.join(connections.totals());
        all
    }

    /// These connections are past; their bytes count on.
    pub(super) fn count(&mut self, totals: Totals) {
        self.past.join(totals);
        let past = self.past;
        self.tell(|record| record.count(past, 0));
    }

    /// What a container that runs must show to be ready, in words.
    pub(super) fn awaited(&self) -> String {
        match &self.settings.ready {
            Ready::Tcp => "its port to accept a connection".into(),
            Ready::Http(path) => format!("a response to GET {path}"),
            Ready::HttpOk(path) => format!("a 2xx or 3xx response to GET {path}"),
            Ready::Healthy => "its HEALTHCHECK to pass".into(),
            Ready::Log(pattern) => format!("a line of its log that matches {}", pattern.as_str()),
        }
    }
}
