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
    /// The containers that were created, among them those of `saw_one_at_a_time`.
    created: BTreeSet<String>,
    /// Lines that tell of nothing known.
    odd: Vec<String>,
}

impl Witness {
    /// Sees what becomes of `containers`, which do not run yet.
    #[track_caller]
    pub fn new(containers: &[&Container]) -> Witness {
        // From a moment of the past on, so that nothing is missed however long it takes to subscribe.
        let since = docker(&["info", "--format", "{{.SystemTime}}"]);
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", engine_socket().display()));
        command.args(["events", "--since", &since]);
        // What Podman shows as "die" is "died" to its filter.
        for event in ["create", "start", "die", "died"] {
            command.arg("--filter").arg(format!("event={event}"));
        }
        command.args(["--format", "{{.Action}} {{.Actor.Attributes.name}}"]);
        let names: Vec<String> = containers.iter().map(|container| container.name().to_owned()).collect();
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        thread::spawn(move || lines.for_each(|line| lock(&told).note(&line, &names)));
        Witness { child, seen }
    }

    /// Whoever has been started so far, in order.
    pub fn starts(&self) -> Vec<String> {
        lock(&self.seen).starts.clone()
    }

    /// Says that each start was followed by its end before the next one; call it when none of them runs or is about to.
    #[track_caller]
    pub fn saw_one_at_a_time(&self) {
        self.catch_up();
        let seen = lock(&self.seen);
        assert!(seen.odd.is_empty(), "{:?}", seen.odd);
        assert!(!seen.starts.is_empty(), "nothing was seen");
        assert!(seen.running.is_empty(), "still running: {:?} of {:?}", seen.running, seen.starts);
        assert!(seen.together.is_empty(), "at once: {:?} of {:?}", seen.together, seen.starts);
    }

    /// Waits for an event of this moment: all that came before has been seen then.
    #[track_caller]
    fn catch_up(&self) {
        let mark = Container::new("mark", "");
        until("the creation of a container", || lock(&self.seen).created.contains(mark.name()).then_some(()));
    }
}

impl Seen {
    fn note(&mut self, line: &str, names: &[String]) {
        match line.split_once(' ') {
            Some(("create", name)) => drop(self.created.insert(name.to_owned())),
            Some(("start" | "die", name)) if !names.iter().any(|one| one == name) => {}
            Some(("start", name)) => {
                self.starts.push(name.to_owned());
                self.running.insert(name.to_owned());
                if self.running.len() > 1 {
                    self.together.push(self.running.clone());
                }
            }
            Some(("die", name)) => drop(self.running.remove(name)),
            _ => self.odd.push(line.to_owned()),
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
