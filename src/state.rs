//! The state file of one sidecar, and the lock beside it.
//!
//! What must outlive a helper is small: whether a start or a stop was asked for and not yet answered. The next helper
//! repeats it before it does anything else, so that start and stop of one container never overlap.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use nix::fcntl::Flock;
use serde::Deserialize;
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::lock::{holder, try_lock};
use crate::name::Name;
use crate::places;
use crate::record::{Record, State, Totals, VERSION};
use crate::why::Why;

/// So much time awake or paused is written even if nothing else is new. A look comes every ten seconds.
const UNCOUNTED_MS: u64 = 5_000;

/// Why the state of a sidecar cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Another helper has it.
    #[error("another helper has this sidecar: pid {0}: stop that one, or leave it the sockets")]
    Taken(String),
}

/// The state of one sidecar, which this process alone may write. Without a directory to write to it is kept in memory
/// alone.
#[derive(Debug)]
pub struct StateFile {
    path: Option<PathBuf>,
    _lock: Option<Flock<File>>,
    record: Record,
    /// Until when the time awake is counted.
    counted: Instant,
}

impl StateFile {
    /// Takes the lock and reads what the last helper left. The flag tells whether the state is kept in a file.
    pub fn open(directory: &Path, sidecar: &Name) -> Result<(StateFile, Kept), Refused> {
        let fresh = Record {
            version: VERSION,
            sidecar: sidecar.to_string(),
            container: String::new(),
            state: State::Asleep,
            since_ms: now_ms(),
            why: Why::Unasked,
            connections: 0,
            totals: Totals::default(),
            recent_wakes_ms: Vec::new(),
            last_failure: None,
            holds: Vec::new(),
            boot_id: boot_id(),
            container_id: None,
            started_at: None,
            failures: 0,
            pid: process::id(),
            written_ms: now_ms(),
        };
        let in_memory = |record, error| {
            (StateFile { path: None, _lock: None, record, counted: Instant::now() }, Kept::InMemory(error))
        };
        let lock = match try_lock(&lock_path(directory, sidecar), &process::id().to_string()) {
            Ok(Ok(lock)) => lock,
            Ok(Err(holder)) => return Err(Refused::Taken(holder)),
            Err(error) => return Ok(in_memory(fresh, error)),
        };
        let path = path(directory, sidecar);
        let (record, kept) = match read(&path) {
            Ok(Some(record)) if record.boot_id == fresh.boot_id && !fresh.boot_id.is_empty() => {
                (Record { pid: fresh.pid, ..record }, Kept::InFile)
            }
            // From another boot: what was counted still holds, what was under way does not.
            Ok(Some(record)) => (
                Record {
                    failures: record.failures,
                    totals: record.totals,
                    recent_wakes_ms: record.recent_wakes_ms,
                    last_failure: record.last_failure,
                    ..fresh
                },
                Kept::InFile,
            ),
            Ok(None) => (fresh, Kept::InFile),
            Err(error) => {
                let aside = directory.join(format!("{sidecar}.json.bad"));
                let _ = fs::rename(&path, &aside);
                (fresh, Kept::SetAside(aside, error))
            }
        };
        Ok((StateFile { path: Some(path), _lock: Some(lock), record, counted: Instant::now() }, kept))
    }

    /// What was written last.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How long it has been in its state.
    pub fn since(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.record.since_ms))
    }

    /// Whether the stop that was asked for was meant for the run that started then, and not for a later one.
    pub fn is_of_run(&self, started_at: &str) -> bool {
        self.record.started_at.as_deref() == Some(started_at)
    }

    /// Changes the record and writes it, atomically, if it is another one then or has time to count. A write that fails (a
    /// full disk) must not stop a wake, so it only says so.
    pub fn update(&mut self, change: impl FnOnce(&mut Record)) {
        let before = self.record.clone();
        change(&mut self.record);
        let passed = self.counted.elapsed().as_millis() as u64;
        let has_time_to_count = before.state.is_up() && passed >= UNCOUNTED_MS;
        if self.record == before && !has_time_to_count {
            return;
        }
        // What is less than a millisecond is left for the next time.
        self.counted += Duration::from_millis(passed);
        let totals = &mut self.record.totals;
        let counted = match before.state {
            State::Asleep | State::Waking => None,
            State::Awake | State::Pausing | State::Sleeping => Some(&mut totals.awake_ms),
            State::Paused => Some(&mut totals.paused_ms),
        };
        if let Some(counted) = counted {
            *counted = counted.saturating_add(passed);
        }
        self.record.written_ms = now_ms();
        // A wait for its group or for what it requires is a wake already, as one sees it from outside.
        if self.record.doing() != before.doing() {
            self.record.since_ms = self.record.written_ms;
        }
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &self.record) {
            tracing::warn!(target: "rouse", "cannot write {}: {error}", path.display());
        }
    }
}

/// Where the state is kept.
#[derive(Debug)]
pub enum Kept {
    /// In its file.
    InFile,
    /// In memory alone, since the directory cannot be written to.
    InMemory(io::Error),
    /// In its file, but what was there could not be read and is elsewhere now.
    SetAside(PathBuf, io::Error),
}

/// Whether the start of a sidecar's container is under way, or was cut off and nobody has seen to it since.
pub fn is_waking(directory: &Path, sidecar: &Name) -> bool {
    let record = look(directory, sidecar);
    matches!(record, Ok(Some(record)) if record.state == State::Waking && is_of_this_boot(&record))
}

/// What is known of a sidecar that a helper has had: for those who look, whether or not a helper lives. An error is a torn or
/// foreign file, or one that may not be read.
pub fn look(directory: &Path, sidecar: &Name) -> io::Result<Option<Record>> {
    read(&path(directory, sidecar))
}

/// The sidecars of which there is a state file.
pub fn sidecars(directory: &Path) -> io::Result<Vec<Name>> {
    places::named(directory, ".json")
}

/// The process id of the helper that has this sidecar now. Whoever looks must not take the lock, not even for a moment: a
/// helper that starts then would be refused.
pub fn helper(directory: &Path, sidecar: &Name) -> Option<u32> {
    holder(&lock_path(directory, sidecar))
}

/// The files that are kept of a sidecar.
pub fn kept(directory: &Path, sidecar: &Name) -> Vec<PathBuf> {
    let files =
        ["json", "json.bad", "json.new", "lock"].map(|end| directory.join(format!("{sidecar}.{end}")));
    files.into_iter().filter(|file| file.symlink_metadata().is_ok()).collect()
}

/// Removes what is kept of a sidecar. A helper that starts meanwhile is refused, and systemd starts it again.
pub fn forget(directory: &Path, sidecar: &Name) -> io::Result<Result<(), Refused>> {
    if kept(directory, sidecar).is_empty() {
        return Ok(Ok(()));
    }
    let _lock = match try_lock(&lock_path(directory, sidecar), &process::id().to_string())? {
        Ok(lock) => lock,
        Err(holder) => return Ok(Err(Refused::Taken(holder))),
    };
    // The lock was made by us if it was not among them.
    for file in kept(directory, sidecar) {
        fs::remove_file(file)?;
    }
    Ok(Ok(()))
}

/// Whether a record was written in this boot of the machine.
pub fn is_of_this_boot(record: &Record) -> bool {
    record.boot_id == boot_id()
}

/// Where the state file of a sidecar is.
pub fn path(directory: &Path, sidecar: &Name) -> PathBuf {
    directory.join(format!("{sidecar}.json"))
}

fn lock_path(directory: &Path, sidecar: &Name) -> PathBuf {
    directory.join(format!("{sidecar}.lock"))
}

fn read(path: &Path) -> io::Result<Option<Record>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Before the rest, which another version may have in another form.
    match serde_json::from_slice::<Versioned>(&text)?.version {
        VERSION => Ok(Some(serde_json::from_slice(&text)?)),
        other => Err(io::Error::new(ErrorKind::InvalidData, format!("version {other}, not {VERSION}"))),
    }
}

/// What a state file of any version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A reader sees the old record or the new one; it need not survive a power cut, which ends all that it tells of.
fn write(path: &Path, record: &Record) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&fresh)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.write_all(b"\n")?;
    fs::rename(fresh, path)
}

/// random(4): a fresh id at each boot; empty where there is no /proc.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path) -> (StateFile, Kept) {
        StateFile::open(directory, &Name::new("web").unwrap()).unwrap()
    }

    #[test]
    fn what_one_helper_wrote_the_next_one_reads() {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, kept) = open(directory.path());
        assert!(matches!(kept, Kept::InFile));
        state.update(|record| {
            record.state = State::Sleeping;
            record.started_at = Some("then".into());
        });
        let written = state.record().clone();
        drop(state);
        assert_eq!(*open(directory.path()).0.record(), written);
    }

    #[test]
    fn it_wakes_since_it_waits_for_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, _) = open(directory.path());
        state.update(|record| record.since_ms = 1);
        state.update(|record| record.why = Why::Turn { group: "gpu0".into() });
        let since_ms = state.record().since_ms;
        assert!(since_ms > 1, "not since it fell asleep");
        state.update(|record| record.why = Why::Requires { sidecars: Vec::new() });
        assert_eq!(state.record().since_ms, since_ms, "it wakes all the same");
    }

    #[test]
    fn what_was_under_way_in_another_boot_is_not_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, _) = open(directory.path());
        state.update(|record| {
            record.state = State::Sleeping;
            record.failures = 2;
        });
        let path = directory.path().join("web.json");
        let text = fs::read_to_string(&path).unwrap().replace(&state.record().boot_id, "another");
        fs::write(&path, text).unwrap();
        drop(state);
        let (state, _) = open(directory.path());
        assert_eq!(state.record().state, State::Asleep);
        assert_eq!(state.record().failures, 2);
    }

    #[test]
    fn a_torn_or_foreign_file_is_set_aside() {
        for text in ["{\"version\":1,", "[]", "{\"version\":2}", ""] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("web.json"), text).unwrap();
            let (state, kept) = open(directory.path());
            assert!(matches!(kept, Kept::SetAside(..)), "{text:?}: {kept:?}");
            assert_eq!(state.record().state, State::Asleep);
            assert_eq!(fs::read_to_string(directory.path().join("web.json.bad")).unwrap(), text);
        }
    }

    #[test]
    fn a_file_of_another_version_is_refused_for_that_whatever_else_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.json");
        fs::write(&path, "{\"version\":2,\"state\":{\"name\":\"hibernating\"}}").unwrap();
        let refused = look(directory.path(), &Name::new("web").unwrap()).unwrap_err();
        assert_eq!(refused.to_string(), "version 2, not 1");
    }

    /// As if so much more time had passed since the last count.
    fn pass(state: &mut StateFile, time: Duration) {
        state.counted -= time;
    }

    #[test]
    fn time_awake_is_written_even_if_nothing_else_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, _) = open(directory.path());
        state.update(|record| (record.state, record.why) = (State::Awake, Why::Never));
        let stored = || look(directory.path(), &Name::new("web").unwrap()).unwrap().unwrap();
        let first = stored();
        state.update(|_| {});
        assert_eq!(stored(), first, "too little to be worth a write");
        pass(&mut state, Duration::from_secs(10));
        state.update(|_| {});
        assert!((10_000..20_000).contains(&stored().totals.awake_ms), "{:?}", stored());
    }

    #[test]
    fn parts_of_a_millisecond_are_not_lost_and_no_count_overflows() {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, _) = open(directory.path());
        state.update(|record| record.state = State::Awake);
        for connections in 1..=1_000 {
            pass(&mut state, Duration::from_micros(1_900));
            state.update(|record| record.connections = connections);
        }
        assert!(state.record().totals.awake_ms >= 1_900, "{:?}", state.record());
        state.update(|record| record.totals.awake_ms = u64::MAX - 1);
        pass(&mut state, Duration::from_secs(10));
        state.update(|_| {});
        assert_eq!(state.record().totals.awake_ms, u64::MAX);
    }

    #[test]
    fn the_second_helper_is_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = open(directory.path());
        let second = StateFile::open(directory.path(), &Name::new("web").unwrap());
        assert!(second.unwrap_err().to_string().contains(&process::id().to_string()));
        drop(first);
        open(directory.path());
    }

    #[test]
    fn without_a_directory_it_is_kept_in_memory() {
        let (mut state, kept) = open(Path::new("/proc/nowhere"));
        assert!(matches!(kept, Kept::InMemory(_)));
        state.update(|record| record.state = State::Awake);
        assert_eq!(state.record().state, State::Awake);
    }

    #[test]
    fn a_sidecar_is_forgotten_only_without_a_helper() {
        let directory = tempfile::tempdir().unwrap();
        let web = Name::new("web").unwrap();
        assert!(forget(directory.path(), &web).unwrap().is_ok());
        assert!(kept(directory.path(), &web).is_empty(), "not even a lock was made");
        let (mut state, _) = open(directory.path());
        state.update(|record| record.failures = 1);
        fs::write(directory.path().join("web2.json"), "").unwrap();
        let before = kept(directory.path(), &web);
        let refused = forget(directory.path(), &web).unwrap().unwrap_err();
        assert!(refused.to_string().contains(&process::id().to_string()), "{refused}");
        assert_eq!(kept(directory.path(), &web), before);
        drop(state);
        forget(directory.path(), &web).unwrap().unwrap();
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["web2.json"]);
    }
}
