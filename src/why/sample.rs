//! Reasons for the tests.

use super::{Holder, Step, Why};

/// A reason of each kind at least, with all that it may come with.
pub fn samples() -> Vec<Why> {
    // A new one is missed by the list unless it is missed here.
    match Why::Unasked {
        Why::Unasked | Why::Turn { .. } | Why::Requires { .. } | Why::Starting | Why::Unready { .. } => {}
        Why::Unused { .. } | Why::Busy { .. } | Why::Owes { .. } | Why::Held { .. } => {}
        Why::Connected { .. } | Why::Never | Why::Stepping { .. } | Why::Failed { .. } => {}
        Why::EngineUnreachable { .. } | Why::Rejected { .. } => {}
        Why::Off | Why::Unattended | Why::Unreadable { .. } => {}
    }
    let text = || "a reason".to_owned();
    let holders = vec![
        Holder { by: "pid 812".into(), requires: false, until_ms: None },
        Holder { by: "cron".into(), requires: false, until_ms: Some(1) },
        Holder { by: "web".into(), requires: true, until_ms: None },
    ];
    vec![
        Why::Unasked,
        Why::Turn { group: "gpu0".into() },
        Why::Requires { sidecars: vec!["db".into()] },
        Why::Starting,
        Why::Unready { awaited: text() },
        Why::Unused { next: Step::Pause, at_ms: 1 },
        Why::Unused { next: Step::Sleep, at_ms: 1 },
        Why::Busy { percent: 212 },
        Why::Owes { answers: 2 },
        Why::Held { by: holders },
        Why::Connected { connections: 1 },
        Why::Never,
        Why::Stepping { step: Step::Pause },
        Why::Stepping { step: Step::Sleep },
        Why::Failed { reason: text(), next_ms: 1 },
        Why::EngineUnreachable { reason: text(), address: None, next_ms: Some(1) },
        Why::EngineUnreachable { reason: text(), address: Some("127.0.0.1:80".into()), next_ms: None },
        Why::Rejected { error: text() },
        Why::Off,
        Why::Unattended,
        Why::Unreadable { error: text() },
    ]
}
