//! All that a helper did and said, and waiting for it.

use std::fmt;
use std::process::ExitStatus;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::wait::DEADLINE;

/// What has been seen so far; times are since the host was set up.
#[derive(Debug, Default)]
pub struct Facts {
    pub lines: Vec<(Duration, String)>,
    pub notes: Vec<(Duration, String)>,
    pub starts: Vec<Duration>,
    pub exits: Vec<(Duration, ExitStatus)>,
    /// The helper that runs now.
    pub pid: Option<i32>,
    /// Somebody asked for a start without a client.
    pub start_wanted: bool,
    /// No helper is to be started any more.
    pub closing: bool,
}

impl Facts {
    /// The lines that report `event` of `sidecar`.
    pub fn events(&self, sidecar: &str, event: &str) -> Vec<(Duration, String)> {
        let prefix = format!("{sidecar}: {event}");
        let of_event = |line: &str| {
            line.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ']))
        };
        self.lines.iter().filter(|(_, line)| of_event(line)).cloned().collect()
    }

    /// Everything the helper wrote, as one text.
    pub fn text(&self) -> String {
        self.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// The notifications that begin with `key`.
    pub fn noted(&self, key: &str) -> Vec<(Duration, String)> {
        self.notes.iter().filter(|(_, note)| note.starts_with(key)).cloned().collect()
    }
}

/// The facts, shared by the threads that gather them and the test that waits for them.
#[derive(Debug)]
pub struct Record {
    begun: Instant,
    facts: Mutex<Facts>,
    changed: Condvar,
}

impl Record {
    pub fn new() -> Record {
        Record { begun: Instant::now(), facts: Mutex::default(), changed: Condvar::new() }
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn look(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        let changed = change(&mut self.look());
        self.changed.notify_all();
        changed
    }

    /// Waits until `find` finds something, at most `limit`.
    pub fn wait_for<T>(&self, limit: Duration, mut find: impl FnMut(&Facts) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut facts = self.look();
        loop {
            if let Some(found) = find(&facts) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            facts = self.changed.wait_timeout(facts, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    #[track_caller]
    pub fn wait<T>(&self, what: &str, find: impl FnMut(&Facts) -> Option<T>) -> T {
        self.wait_for(DEADLINE, find).unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}"))
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut story: Vec<(Duration, String)> = Vec::new();
        story.extend(self.lines.iter().map(|(at, line)| (*at, format!("stderr  {line}"))));
        story.extend(self.notes.iter().map(|(at, note)| (*at, format!("notify  {note:?}"))));
        story.extend(self.starts.iter().map(|at| (*at, "started".to_owned())));
        story.extend(self.exits.iter().map(|(at, status)| (*at, format!("ended   {status}"))));
        story.sort_by_key(|(at, _)| *at);
        story.iter().try_for_each(|(at, what)| writeln!(out, "{:9.3} {what}", at.as_secs_f64()))
    }
}
