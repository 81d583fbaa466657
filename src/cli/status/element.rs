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
        let valid = record.filter(|record| is_of_this_boot(record));
        let mut shown = match valid.filter(|_| known.helper.is_some()) {
            Some(record) => Shown::of(record, now_ms),
            None => left(known, record, valid, engine, now_ms),
        };
        if let Ok(settings) = &known.settings {
            shown.container.clone_from(&settings.container);
        }
        Element { shown, helper: known.helper, enabled: known.enabled, engine, engine_error }
    }

    /// Its state in one word: one that nothing can wake is off.
    pub fn word(&self) -> &'static str {
        let is_off = !self.enabled && self.helper.is_none() && self.shown.state == State::Asleep;
        if is_off { "off" } else { self.shown.state.name() }
    }
}

/// What is true without the word of a live helper: the engine knows, and without that `valid` is all there is.
fn left(
    known: &Known,
    record: Option<&Record>,
    valid: Option<&Record>,
    engine: Option<Said>,
    now_ms: u64,
) -> Shown {
    let state = match engine {
        Some(Said::Running) => State::Awake,
        Some(Said::Paused) => State::Paused,
        Some(Said::Stopped | Said::Missing) => State::Asleep,
        None => valid.map_or(State::Asleep, |record| record.state),
    };
    let why = why(known, valid, state);
    Shown {
        sidecar: known.name.to_string(),
        container: record.map_or_else(String::new, |record| record.container.clone()),
        state,
        running: state.is_up(),
        since_ms: valid.filter(|record| record.state == state).map(|record| record.since_ms),
        text: why.text(now_ms),
        why,
        // They end with their helper.
        connections: 0,
        usual_wake_ms: record.and_then(Record::usual_wake).map(|took| took.as_millis() as u64),
        totals: record.map_or_else(Totals::default, |record| record.totals.clone()),
        last_failure: record.and_then(|record| record.last_failure.clone()),
    }
}

fn why(known: &Known, record: Option<&Record>, state: State) -> Why {
    match (&known.record, &known.settings, record) {
        (Err(error), ..) => Why::Unreadable { error: error.to_string() },
        (_, Err(errors), _) => {
            Why::Rejected { error: errors.first().map(ToString::to_string).unwrap_or_default() }
        }
        _ if known.helper.is_none() && !known.enabled => Why::Off,
        _ if known.helper.is_none() && state != State::Asleep => Why::Unattended,
        // Of what the last helper said only what went wrong outlives it.
        (.., Some(record)) => match record.reason() {
            why @ (Why::Failed { .. } | Why::EngineUnreachable { .. }) => why,
            _ => Why::Unasked,
        },
        _ => Why::Unasked,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::config::Config;
    use crate::name::Name;
    use crate::record::LastFailure;
    use crate::state::{StateFile, look};
    use crate::why::Step;

    const NOW_MS: u64 = 1_000;
    const UNUSED: Why = Why::Unused { next: Step::Sleep, at_ms: 9_000 };

    /// An enabled sidecar `web` whose helper, if it still lives, or else the last one has left it so.
    fn known(left: Option<State>, helper: Option<u32>) -> (TempDir, Known) {
        let (dir, name) = (tempfile::tempdir().unwrap(), Name::new("web").unwrap());
        if let Some(left) = left {
            let (mut file, _) = StateFile::open(dir.path(), &name).unwrap();
            file.update(|record| {
                (record.state, record.why, record.connections) = (left, UNUSED, 2);
                record.totals.bytes_up = 7;
            });
        }
        let settings = Config::read_in(Path::new("/nowhere")).sidecar(&name);
        let record = look(dir.path(), &name);
        (dir, Known { settings, enabled: true, helper, record, name })
    }

    fn element(known: &Known, said: Option<Said>) -> Element {
        Element::of(known, said.ok_or_else(|| "no access".to_owned()), NOW_MS)
    }

    fn kind(why: &Why) -> String {
        serde_json::to_value(why).unwrap()["kind"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_live_helpers_word_counts_whatever_the_engine_says() {
        let (_dir, known) = known(Some(State::Awake), Some(812));
        for said in [None, Some(Said::Running), Some(Said::Stopped)] {
            let element = element(&known, said);
            assert_eq!((element.word(), &element.shown.why), ("awake", &UNUSED));
            assert_eq!((element.shown.connections, element.helper), (2, Some(812)));
            assert!(element.shown.since_ms.is_some());
        }
    }

    #[test]
    fn it_wakes_until_its_first_client_is_let_through_though_its_container_runs() {
        let (_dir, mut known) = known(Some(State::Awake), Some(812));
        if let Ok(Some(record)) = &mut known.record {
            record.why = Why::Unready { awaited: "its HEALTHCHECK to pass".into() };
        }
        let waking = element(&known, Some(Said::Running));
        assert_eq!((waking.word(), waking.shown.running), ("waking", true));
        assert!(waking.shown.since_ms.is_some());
        known.helper = None;
        assert_eq!(element(&known, Some(Said::Running)).word(), "awake");
    }

    #[test]
    fn a_helper_that_has_not_written_yet_says_nothing_with_an_older_boots_record() {
        let (_dir, mut known) = known(Some(State::Awake), Some(812));
        if let Ok(Some(record)) = &mut known.record {
            record.boot_id = "another".into();
        }
        let shown = element(&known, Some(Said::Stopped)).shown;
        assert_eq!((shown.state, shown.connections, shown.since_ms), (State::Asleep, 0, None));
    }

    #[test]
    fn without_a_helper_the_engine_tells_what_is_true_and_the_record_what_was() {
        use Said::{Missing, Paused, Running, Stopped};
        for (left, said, word, why, has_since) in [
            (None, None, "asleep", "unasked", false),
            (None, Some(Running), "awake", "unattended", false),
            (Some(State::Awake), None, "awake", "unattended", true),
            (Some(State::Awake), Some(Running), "awake", "unattended", true),
            (Some(State::Awake), Some(Paused), "paused", "unattended", false),
            (Some(State::Awake), Some(Missing), "asleep", "unasked", false),
            (Some(State::Waking), Some(Running), "awake", "unattended", false),
            (Some(State::Sleeping), Some(Stopped), "asleep", "unasked", false),
            (Some(State::Asleep), Some(Running), "awake", "unattended", false),
            (Some(State::Asleep), Some(Stopped), "asleep", "unasked", true),
        ] {
            let (_dir, known) = known(left, None);
            let Element { shown, .. } = &element(&known, said);
            let found = (shown.state.name(), kind(&shown.why), shown.since_ms.is_some(), shown.connections);
            assert_eq!(found, (word, why.to_owned(), has_since, 0), "{left:?} {said:?}");
        }
    }

    #[test]
    fn of_another_boot_only_what_was_counted_still_holds() {
        let (_dir, mut known) = known(Some(State::Awake), None);
        if let Ok(Some(record)) = &mut known.record {
            record.boot_id = "another".into();
        }
        let shown = element(&known, None).shown;
        assert_eq!((shown.state, shown.why, shown.since_ms), (State::Asleep, Why::Unasked, None));
        assert_eq!(shown.totals.bytes_up, 7);
    }

    #[test]
    fn what_cannot_be_woken_is_off_unless_its_container_runs() {
        let (_dir, mut known) = known(None, None);
        known.enabled = false;
        assert_eq!(element(&known, Some(Said::Stopped)).word(), "off");
        assert_eq!(element(&known, Some(Said::Running)).word(), "awake");
        assert_eq!(element(&known, Some(Said::Running)).shown.why, Why::Off);
        known.helper = Some(812);
        assert_eq!(element(&known, Some(Said::Stopped)).word(), "asleep");
    }

    #[test]
    fn a_failure_outlives_the_helper_that_told_of_it() {
        let (_dir, mut known) = known(Some(State::Asleep), None);
        if let Ok(Some(record)) = &mut known.record {
            record.why = Why::Failed { reason: "exit code 1".into(), next_ms: NOW_MS - 1 };
        }
        let text = "wake failed: exit code 1, the next connection tries again";
        assert_eq!(element(&known, Some(Said::Stopped)).shown.text, text);
        // So it has gone to rest after its window.
        if let Ok(Some(record)) = &mut known.record {
            (record.why, record.failures) = (Why::Unasked, 1);
            record.last_failure = Some(LastFailure { at_ms: NOW_MS - 9, reason: "exit code 1".into() });
        }
        assert_eq!(element(&known, Some(Said::Stopped)).shown.text, text);
        if let Ok(Some(record)) = &mut known.record {
            record.failures = 0;
        }
        assert_eq!(element(&known, Some(Said::Stopped)).shown.why, Why::Unasked);
    }

    #[test]
    fn what_is_wrong_is_the_reason() {
        let (dir, mut known) = known(None, None);
        let file = dir.path().join("rouse.toml");
        std::fs::write(&file, "[sidecar.web]\nport = 0").unwrap();
        known.settings = Config::read(Some(&file)).sidecar(&known.name);
        assert!(element(&known, None).shown.text.starts_with("configuration rejected: "));
        known.record = Err(std::io::Error::other("torn"));
        assert_eq!(element(&known, None).shown.text, "state file unreadable: torn");
    }
}
