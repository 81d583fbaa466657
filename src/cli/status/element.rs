//! What is true of one sidecar: what its helper wrote, as far as that still holds, and what the engine says.

use serde::Serialize;

use super::engine::Said;
use crate::record::{Record, State, Totals};
use crate::shown::Shown;
use crate::state::is_of_this_boot;
use crate::survey::Known;
use crate::why::Why;

/// One element of `rouse status --json`, which docs/status-json.md describes.
#[derive(Clone, Debug, Serialize)]
pub struct Element {
    /// As the control socket shows it.
    #[serde(flatten)]
    pub shown: Shown,
    /// The process id of its helper.
    pub helper: Option<u32>,
    /// Its control socket is there.
    pub enabled: bool,
    /// What the engine says of its container.
    pub engine: Option<Said>,
    /// Why the engine says nothing.
    pub engine_error: Option<String>,
}

impl Element {
    /// What is true of a sidecar at some moment.
    pub fn of(known: &Known, answer: Result<Said, String>, now_ms: u64) -> Element {
        let (engine, engine_error) = match answer {
            Ok(said) => (Some(said), None),
            Err(error) => (None, Some(error)),
        };
        let record = known.record.as_ref().ok().and_then(Option::as_ref);
        // Of another boot only what was counted still holds.
        let valid = record.filter(|record| known.helper.is_some() || is_of_this_boot(record));
        let state = state(known, valid, engine);
        let why = why(known, valid, state);
        let container = match (&known.settings, record) {
            (Ok(settings), _) => settings.container.clone(),
            (Err(_), Some(record)) => record.container.clone(),
            (Err(_), None) => String::new(),
        };
        let shown = Shown {
            sidecar: known.name.to_string(),
            container,
            state,
            running: state.is_up(),
            since_ms: valid.filter(|record| record.state == state).map(|record| record.since_ms),
            text: why.text(now_ms),
            why,
            connections: valid.filter(|_| known.helper.is_some()).map_or(0, |record| record.connections),
            usual_wake_ms: record.and_then(Record::usual_wake).map(|took| took.as_millis() as u64),
            totals: record.map_or_else(Totals::default, |record| record.totals.clone()),
            last_failure: record.and_then(|record| record.last_failure.clone()),
        };
        Element { shown, helper: known.helper, enabled: known.enabled, engine, engine_error }
    }

    /// Its state in one word: one that nothing can wake is off.
    pub fn word(&self) -> &'static str {
        let is_off = !self.enabled && self.helper.is_none() && self.shown.state == State::Asleep;
        if is_off { "off" } else { self.shown.state.name() }
    }
}

/// The helper knows; without one the engine does, and without that the record is all there is.
fn state(known: &Known, record: Option<&Record>, engine: Option<Said>) -> State {
    match (record, engine) {
        (Some(record), _) if known.helper.is_some() => record.state,
        (_, Some(Said::Running)) => State::Awake,
        (_, Some(Said::Paused)) => State::Paused,
        (_, Some(Said::Stopped | Said::Missing)) => State::Asleep,
        (record, None) => record.map_or(State::Asleep, |record| record.state),
    }
}

fn why(known: &Known, record: Option<&Record>, state: State) -> Why {
    match (&known.record, &known.settings, record) {
        (Err(error), ..) => Why::Unreadable { error: error.to_string() },
        (.., Some(record)) if known.helper.is_some() => record.why.clone(),
        (_, Err(errors), _) => {
            Why::Rejected { error: errors.first().map(ToString::to_string).unwrap_or_default() }
        }
        _ if known.helper.is_none() && !known.enabled => Why::Off,
        _ if known.helper.is_none() && state != State::Asleep => Why::Unattended,
        (.., Some(record)) if record.state == State::Asleep && state == State::Asleep => record.why.clone(),
        _ => Why::Unasked,
    }
}
