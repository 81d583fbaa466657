//! What systemd is to a helper: it holds the sockets and knows how the helper fares.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::Client;
use super::listener::{Listener, nth};
use super::record::{Facts, Record};
use super::wait::until;

/// The host: it holds the sockets whatever its helpers do.
pub struct Host {
    pub(super) dir: TempDir,
    pub(super) state: PathBuf,
    pub config_path: PathBuf,
    pub(super) listeners: Arc<Vec<Listener>>,
    pub(super) record: Arc<Record>,
    pub(super) supervisor: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts a helper although nobody has connected; if one runs, one more after it.
    pub fn start(&self) {
        self.record.change(|facts| facts.start_wanted = true);
    }

    /// Connects to the `number`th socket called `name`.
    #[track_caller]
    pub fn connect_nth(&self, name: &str, number: usize) -> Client {
        Client::connect(&self.listener(name, number).address)
    }

    #[track_caller]
    pub fn connect(&self, name: &str) -> Client {
        self.connect_nth(name, 0)
    }

    pub fn listener(&self, name: &str, number: usize) -> &Listener {
        nth(&self.listeners, name, number)
    }

    /// How many clients wait in the kernel's queue of the first socket called `name`.
    pub fn queued(&self, name: &str) -> usize {
        super::queued(self.listener(name, 0).port())
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    pub fn look<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.record.look())
    }

    pub fn now(&self) -> Duration {
        self.record.now()
    }

    #[track_caller]
    pub fn wait<T>(&self, what: &str, find: impl FnMut(&Facts) -> Option<T>) -> T {
        self.record.wait(what, find)
    }

    /// Waits for `words` in the journal: what a helper has said reaches it after the answers of its clients, at times.
    #[track_caller]
    pub fn says(&self, words: &str) {
        self.wait(&format!("{words:?} in the journal"), |facts| facts.text().contains(words).then_some(()));
    }

    /// Waits at most `limit`, for what should not happen.
    pub fn wait_for<T>(&self, limit: Duration, find: impl FnMut(&Facts) -> Option<T>) -> Option<T> {
        self.record.wait_for(limit, find)
    }

    /// Waits for the first line that reports `event` of `sidecar`.
    #[track_caller]
    pub fn event(&self, sidecar: &str, event: &str) -> String {
        self.event_nth(sidecar, event, 0)
    }

    #[track_caller]
    pub fn event_nth(&self, sidecar: &str, event: &str, number: usize) -> String {
        let find = |facts: &Facts| facts.events(sidecar, event).get(number).map(|(_, line)| line.clone());
        self.wait(&format!("{sidecar}: {event}, number {number}"), find)
    }

    /// There is no line that reports `event` of `sidecar`, and for `time` none comes.
    #[track_caller]
    pub fn never(&self, sidecar: &str, event: &str, time: Duration) {
        self.never_nth(sidecar, event, 0, time);
    }

    /// There are no more than `number` of these, and for `time` it stays so.
    #[track_caller]
    pub fn never_nth(&self, sidecar: &str, event: &str, number: usize, time: Duration) {
        let seen = self.wait_for(time, |facts| facts.events(sidecar, event).get(number).cloned());
        assert!(seen.is_none(), "{seen:?}");
    }

    /// When the `number`th line came that reports `event` of `sidecar`.
    #[track_caller]
    pub fn at(&self, sidecar: &str, event: &str, number: usize) -> Duration {
        self.look(|facts| facts.events(sidecar, event)[number].0)
    }

    /// How many lines so far report `event` of `sidecar`.
    pub fn count(&self, sidecar: &str, event: &str) -> usize {
        self.look(|facts| facts.events(sidecar, event).len())
    }

    /// Waits until a new client is answered, whoever has been reset before, and gives what it is told of who answers.
    #[track_caller]
    pub fn served_again(&self, sidecar: &str) -> String {
        until("an answer", || self.connect(sidecar).try_ask("who").ok())
    }

    /// Waits for the first notification that begins with `key`.
    #[track_caller]
    pub fn note(&self, key: &str) -> String {
        self.wait(&format!("notification {key}"), |facts| {
            facts.noted(key).first().map(|(_, note)| note.clone())
        })
    }

    /// Waits until `number` helpers have ended, and gives how the last of these did.
    #[track_caller]
    pub fn exit_nth(&self, number: usize) -> ExitStatus {
        self.wait(&format!("end of helper {number}"), |facts| {
            facts.exits.get(number).map(|(_, status)| *status)
        })
    }

    #[track_caller]
    pub fn exit(&self) -> ExitStatus {
        self.exit_nth(0)
    }

    /// The process id of the running helper.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.wait("a running helper", |facts| facts.pid)
    }

    /// Sends `signal` to the helper, if one runs.
    pub fn signal(&self, signal: Signal) {
        self.record.change(|facts| facts.pid.map(|pid| kill(Pid::from_raw(pid), signal).unwrap()));
    }

    /// Sends `signal` to the running helper and waits until it has ended.
    #[track_caller]
    pub fn end_helper(&self, signal: Signal) -> ExitStatus {
        let before = self.record.change(|facts| {
            kill(Pid::from_raw(facts.pid.expect("a helper runs")), signal).unwrap();
            facts.exits.len()
        });
        self.exit_nth(before)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            let config = std::fs::read_to_string(&self.config_path).unwrap_or_default();
            eprintln!("--- {} run --config {}", env!("CARGO_BIN_EXE_rouse"), self.config_path.display());
            for listener in self.listeners.iter() {
                eprintln!("    {:?}", (&listener.name, &listener.address, listener.fd()));
            }
            eprintln!("{config}--- what the helpers did\n{}", self.record.look());
        }
        self.record.change(|facts| {
            facts.closing = true;
            if let Some(pid) = facts.pid {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        });
        let quiet = UnixDatagram::unbound().and_then(|end| end.send_to(b"", self.dir.path().join("notify")));
        let joined = self.supervisor.take().map(JoinHandle::join);
        if !thread::panicking() {
            quiet.unwrap();
            joined.unwrap().expect("the supervisor ended in order");
        }
    }
}
