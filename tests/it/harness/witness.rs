//! Which of some containers ran at the same time, as the engine tells it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::container::Container;
use super::docker::{docker, engine_socket};
use super::spawn::spawn;
use super::wait::until;

/// The starts and ends of some containers, in the engine's own order.
pub struct Witness {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    running: BTreeSet<String>,
    /// Everyone that has been started, in order.
    starts: Vec<String>,
    /// Each moment at which more than one ran.
    together: Vec<BTreeSet<String>>,
}

impl Witness {
    /// Sees what becomes of `containers`, which do not run yet.
    #[track_caller]
    pub fn new(containers: &[&Container]) -> Witness {
        // From a moment of the past on, so that nothing is missed however long it takes to subscribe.
        let since = docker(&["info", "--format", "{{.SystemTime}}"]);
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", engine_socket().display()));
        command.args(["events", "--since", &since, "--filter", "event=start", "--filter", "event=die"]);
        command.args(["--format", "{{.Action}} {{.Actor.Attributes.name}}"]);
        for container in containers {
            command.arg("--filter").arg(format!("container={}", container.name()));
        }
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        thread::spawn(move || lines.for_each(|line| lock(&told).note(&line)));
        Witness { child, seen }
    }

    /// Whoever has been started so far, in order.
    pub fn starts(&self) -> Vec<String> {
        lock(&self.seen).starts.clone()
    }

    /// Waits until none runs, then says that never two of them did.
    #[track_caller]
    pub fn saw_one_at_a_time(&self) {
        until("all stopped", || lock(&self.seen).running.is_empty().then_some(()));
        let seen = lock(&self.seen);
        assert!(seen.together.is_empty(), "at once: {:?} of {:?}", seen.together, seen.starts);
    }
}

impl Seen {
    fn note(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("start", name)) => {
                self.starts.push(name.to_owned());
                self.running.insert(name.to_owned());
                if self.running.len() > 1 {
                    self.together.push(self.running.clone());
                }
            }
            Some(("die", name)) => drop(self.running.remove(name)),
            _ => panic!("{line:?}"),
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
