//! Sidecars for the tests.

use super::element::Element;
use super::engine::Said;
use crate::record::{State, Totals};
use crate::shown::Shown;
use crate::why::Why;

/// The moment at which the samples are looked at.
pub const NOW_MS: u64 = 1_795_420_800_000;

/// A sidecar that has been in its state for 3 min 12 s.
pub fn element(name: &str, state: State, why: Why) -> Element {
    let shown = Shown {
        sidecar: name.into(),
        container: name.into(),
        state,
        running: state.is_up(),
        since_ms: Some(NOW_MS - 192_000),
        text: why.text(NOW_MS),
        why,
        connections: 0,
        usual_wake_ms: None,
        totals: Totals::default(),
        last_failure: None,
    };
    Element { shown, helper: None, enabled: true, engine: Some(Said::Running), engine_error: None }
}
