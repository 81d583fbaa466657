//! The catalog explains every event, with fields that the event has.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use super::*;
use crate::config::Config;

const CATALOG: &str = include_str!("../../units/rouse.catalog");
const MANUAL: &str = include_str!("../../packaging/man/rouse@.service.8");
const JOURNAL: &str = include_str!("../journal.rs");

/// Fields by their names in the journal.
type Entry = BTreeMap<String, String>;

/// Keeps all entries that reach it.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Entry>>>);

struct Fields<'a>(&'a mut Entry);

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::new();
        event.record(&mut Fields(&mut entry));
        self.0.lock().unwrap().push(entry);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_uppercase(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_uppercase(), format!("{value:?}"));
    }
}

/// One entry for each way in which an event is told.
fn told() -> Vec<Entry> {
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/durations.toml");
    let errors = Config::read(Some(&broken)).errors().to_vec();
    let sidecar = Config::read(Some(Path::new("/dev/null"))).sidecar(&Name::new("web").unwrap()).unwrap();
    let (second, totals) = (Duration::from_secs(1), Totals::default());
    let witness = Witness::default();
    subscriber::with_default(registry().with(witness.clone()), || {
        waking(&sidecar);
        ready(&sidecar, second, 1);
        late(&sidecar, "nobody answers");
        wake_failed(&sidecar, "it does not start", 1, "the next client may try", "");
        engine_unreachable(&sidecar, "nobody answers", 1);
        adopted(&sidecar, false);
        paused(&sidecar, Some(second), 1);
        paused(&sidecar, None, 1);
        unpaused(&sidecar, Some(second));
        unpaused(&sidecar, None);
        yielded(&sidecar, &sidecar.name, second, totals);
        slept(&sidecar, second, totals, None);
        slept(&sidecar, second, totals, Some("told to"));
        died(&sidecar, "exit code 1", totals, "");
        config_rejected(&sidecar.name, &errors);
        reload_rejected(&sidecar.name, &errors);
    });
    let entries = witness.0.lock().unwrap().clone();
    assert!(!entries.is_empty());
    entries
}

/// The explanations by their MESSAGE_IDs.
fn explained() -> BTreeMap<&'static str, &'static str> {
    let entries: Vec<_> =
        CATALOG.split("\n-- ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect();
    let by_id: BTreeMap<_, _> = entries.iter().copied().collect();
    assert_eq!(entries.len(), by_id.len(), "an id has two explanations");
    by_id
}

/// What stands between two '@': systemd takes capital letters and '_' for the name of a field.
fn fields(text: &str) -> BTreeSet<&str> {
    let is_field =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    text.split('@').filter(is_field).collect()
}

#[test]
fn every_event_is_explained_and_nothing_else_is() {
    let told: BTreeSet<_> = told().into_iter().map(|entry| entry["MESSAGE_ID"].clone()).collect();
    let explained: BTreeSet<_> = explained().into_keys().map(str::to_owned).collect();
    let id = |line: &str| {
        Some(line.trim().strip_prefix("Kind::")?.split_once("=> \"")?.1.strip_suffix("\",")?.to_owned())
    };
    let known: BTreeSet<_> = JOURNAL.lines().filter_map(id).filter(|id| id.len() == 32).collect();
    assert_eq!(told, known, "an event of journal.rs is not told here");
    assert_eq!(explained, known);
}

#[test]
fn an_explanation_names_only_fields_that_its_event_always_has() {
    let explained = explained();
    for entry in told() {
        for field in fields(explained[entry["MESSAGE_ID"].as_str()]) {
            assert!(entry.contains_key(field), "{field} is not in {entry:?}");
        }
    }
}

#[test]
fn every_explanation_says_what_happened_and_what_to_do() {
    for (id, text) in explained() {
        let (head, body) = text.split_once("\n\n").unwrap();
        for key in ["Subject: ", "Defined-By: rouse", "Documentation: man:"] {
            assert!(head.lines().any(|line| line.starts_with(key)), "{id}: {key}");
        }
        assert!(head.lines().next().unwrap().contains("@ROUSE_SIDECAR@"), "{id}");
        let advises =
            ["Nothing has to be done", "nothing has to be done", "What to do:", "longer \"wake_timeout\""];
        assert!(advises.iter().any(|advice| body.contains(advice)), "{id}");
    }
}

#[test]
fn an_event_that_always_has_a_reason_is_explained_with_it() {
    let told = told();
    let always = |id: &str| {
        let mut entries = told.iter().filter(|entry| entry["MESSAGE_ID"] == id);
        entries.all(|entry| entry.contains_key("ROUSE_REASON"))
    };
    let reasons: Vec<_> = explained().into_iter().filter(|(id, _)| always(id)).collect();
    assert!(reasons.len() > 3);
    for (id, text) in reasons {
        assert!(fields(text).contains("ROUSE_REASON"), "{id}");
    }
}

#[test]
fn the_manual_lists_every_event_and_every_field() {
    let (_, journal) = MANUAL.split_once(".Sh JOURNAL").unwrap();
    let listed = |mark: &'static str| -> BTreeSet<String> {
        journal.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
    };
    let told = told();
    assert_eq!(listed(".It Sy "), told.iter().map(|entry| entry["ROUSE_EVENT"].clone()).collect());
    let fields = told.iter().flat_map(BTreeMap::keys).filter(|field| field.starts_with("ROUSE_"));
    assert_eq!(listed(".It Ev "), fields.cloned().collect());
}
