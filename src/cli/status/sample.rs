//! Sidecars for the tests.

use super::element::Element;
use super::engine::Said;
use crate::record::{State, Totals};
use crate::shown::Shown;
use crate::why::{Holder, Step, Why};

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

/// A reason of each kind.
pub fn whys() -> Vec<Why> {
    let text = || "x".to_owned();
    let why = vec![
        Why::Unasked,
        Why::Turn { group: text() },
        Why::Requires { sidecars: vec![text()] },
        Why::Starting,
        Why::Unready { awaited: text() },
        Why::Unused { next: Step::Pause, at_ms: 1 },
        Why::Busy { percent: 1 },
        Why::Owes { answers: 1 },
        Why::Held { by: vec![Holder { by: text(), requires: false, until_ms: None }] },
        Why::Connected { connections: 1 },
        Why::Never,
        Why::Stepping { step: Step::Sleep },
        Why::Failed { reason: text(), next_ms: 1 },
        Why::EngineUnreachable { reason: text(), address: None, next_ms: None },
        Why::Rejected { error: text() },
        Why::Off,
        Why::Unattended,
        Why::Unreadable { error: text() },
    ];
    // A new kind does not compile until it is above.
    why.iter().for_each(|why| match why {
        Why::Unasked | Why::Turn { .. } | Why::Requires { .. } | Why::Starting | Why::Unready { .. } => {}
        Why::Unused { .. } | Why::Busy { .. } | Why::Owes { .. } | Why::Held { .. } => {}
        Why::Connected { .. } | Why::Never | Why::Stepping { .. } | Why::Failed { .. } => {}
        Why::EngineUnreachable { .. } | Why::Rejected { .. } => {}
        Why::Off | Why::Unattended | Why::Unreadable { .. } => {}
    });
    why
}
