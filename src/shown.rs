//! A sidecar as it is shown to others: by `GET /v1/sidecars/NAME`, and by `rouse status --json`.

use serde::{Deserialize, Serialize};

use crate::record::{LastFailure, Record, State, Totals};
use crate::why::Why;

/// What is shown of one sidecar. Moments are milliseconds of Unix time. Fields are added, never renamed or removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name.
    pub sidecar: String,
    /// Its container.
    pub container: String,
    /// What it is doing.
    pub state: State,
    /// Whether its container runs or is frozen.
    pub running: bool,
    /// Since when it is in its state, as far as that is known: a helper always knows.
    pub since_ms: Option<u64>,
    /// Why it is.
    pub why: Why,
    /// The same in words.
    pub text: String,
    /// Open connections.
    pub connections: usize,
    /// How long a wake usually takes, in milliseconds.
    pub usual_wake_ms: Option<u64>,
    /// Counted since its first helper.
    pub totals: Totals,
    /// What went wrong last.
    pub last_failure: Option<LastFailure>,
}

impl Shown {
    /// Whether nobody can tell what its container does.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.why, Why::EngineUnreachable { .. } | Why::Rejected { .. })
    }

    /// A record, as it is shown at some moment.
    pub fn of(record: &Record, now_ms: u64) -> Shown {
        let why = record.reason();
        Shown {
            sidecar: record.sidecar.clone(),
            container: record.container.clone(),
            state: record.doing(),
            running: record.state.is_up(),
            since_ms: Some(record.since_ms),
            text: why.text(now_ms),
            why,
            connections: record.connections,
            usual_wake_ms: record.usual_wake().map(|took| took.as_millis() as u64),
            totals: record.totals.clone(),
            last_failure: record.last_failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests; // whatever is shown is as docs/openapi.yaml says
