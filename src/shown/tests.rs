use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::Shown;
use crate::record::{LastFailure, State, Totals};
use crate::why::{Holder, Step, Why};

const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml");

fn every_why() -> Vec<Why> {
    let text = || "a reason".to_owned();
    // A new one is missed by the list unless it is missed here.
    match Why::Unasked {
        Why::Unasked | Why::Turn { .. } | Why::Requires { .. } | Why::Starting | Why::Unready { .. } => {}
        Why::Unused { .. }
        | Why::Busy { .. }
        | Why::Owes { .. }
        | Why::Held { .. }
        | Why::Connected { .. } => {}
        Why::Never | Why::Stepping { .. } | Why::Failed { .. } | Why::EngineUnreachable { .. } => {}
        Why::Rejected { .. } => {}
        // No helper says these of itself.
        Why::Off | Why::Unattended | Why::Unreadable { .. } => {}
    }
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
    ]
}

/// The schema of a shown sidecar, closed against fields that it does not name.
fn described() -> Value {
    let mut document: Value = serde_yaml_ng::from_str(&fs::read_to_string(DESCRIPTION).unwrap()).unwrap();
    for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if schema["type"] == "object" {
            schema["additionalProperties"] = json!(false);
        }
    }
    document["$ref"] = json!("#/components/schemas/Shown");
    document
}

#[test]
fn whatever_is_shown_is_as_described_and_every_reason_is_described() {
    let document = described();
    let schema = jsonschema::validator_for(&document).unwrap();
    let failure = LastFailure { at_ms: 1, reason: "a reason".into() };
    let mut kinds = BTreeSet::new();
    for (number, why) in every_why().into_iter().enumerate() {
        let shown = json!(Shown {
            sidecar: "web".into(),
            container: "web".into(),
            state: State::ALL[number % State::ALL.len()],
            running: true,
            since_ms: Some(1),
            text: why.text(0),
            why,
            connections: 0,
            usual_wake_ms: (number > 0).then_some(1),
            totals: Totals::default(),
            last_failure: (number > 0).then(|| failure.clone()),
        });
        let errors: Vec<_> = schema.iter_errors(&shown).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?} in {shown:#}");
        kinds.insert(shown["why"]["kind"].as_str().unwrap().to_owned());
    }
    let mapping = document["components"]["schemas"]["Why"]["discriminator"]["mapping"].as_object().unwrap();
    assert_eq!(kinds, mapping.keys().cloned().collect(), "of one kind too many is told");
    let states = document["components"]["schemas"]["State"]["enum"].as_array().unwrap();
    assert_eq!(*states, State::ALL.map(|state| json!(state.name())));
}
