use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::Shown;
use crate::record::{LastFailure, State, Totals};
use crate::why::{Why, samples};

const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml");

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

/// Whether a helper says it of itself.
fn is_a_helpers_own(why: &Why) -> bool {
    !matches!(why, Why::Off | Why::Unattended | Why::Unreadable { .. })
}

#[test]
fn whatever_is_shown_is_as_described_and_every_reason_is_described() {
    let document = described();
    let schema = jsonschema::validator_for(&document).unwrap();
    let failure = LastFailure { at_ms: 1, reason: "a reason".into() };
    let mut kinds = BTreeSet::new();
    for (number, why) in samples().into_iter().filter(is_a_helpers_own).enumerate() {
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
