//! A socket before the engine's: records, delays and falsifies calls.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::docker::{engine_socket, engine_version};
use super::documented::{documented, listed};
use super::gate::Gate;
use super::wait::until;

/// What is to be done with the calls that it fits.
pub struct Rule {
    /// The method and a part of the path: "POST /start".
    pub call: &'static str,
    pub action: Action,
}

pub enum Action {
    /// Answers with this status and message instead of the engine.
    Refuse(u16, &'static str),
    /// Gives the engine's answer only after this time.
    HoldAnswer(Duration),
    /// Asks the engine only after this time.
    HoldCall(Duration),
    /// Gives the engine's answer only once this is open.
    GateAnswer(Gate),
    /// Asks the engine only once this is open.
    GateCall(Gate),
    /// Does this before the engine is asked.
    Before(Box<dyn Fn() + Send + Sync>),
    /// Claims to speak this version, of four characters, and translates.
    Announce(&'static str),
}

/// One request, with its times.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub asked: Instant,
    pub answered: Option<Instant>,
    pub status: Option<u16>,
    /// Who asked went away before the answer.
    pub cut_off: bool,
}

impl Call {
    /// Whether `pattern` ("POST /start") fits.
    pub fn fits(&self, pattern: &str) -> bool {
        let (method, part) = pattern.split_once(' ').unwrap();
        self.method == method && self.path.contains(part)
    }

    /// The call as docs/security.md would list it.
    pub fn listed(&self) -> String {
        listed(&self.method, &self.path)
    }
}

struct Shared {
    calls: Mutex<Vec<Call>>,
    rules: Mutex<Arc<Vec<Rule>>>,
    open: Mutex<Vec<UnixStream>>,
    closing: AtomicBool,
}

/// The socket; dropping it takes the engine away from who uses it, and fails if that has made a call that nobody is told of.
pub struct Recorder {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Recorder {
    pub fn new(path: &Path) -> Recorder {
        let listener = UnixListener::bind(path).unwrap();
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            rules: Mutex::default(),
            open: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.closing.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || relay(client, &shared));
            }
        });
        Recorder { path: path.to_owned(), shared }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces all rules.
    pub fn rules(&self, rules: Vec<Rule>) {
        *lock(&self.shared.rules) = Arc::new(rules);
    }

    pub fn rule(&self, call: &'static str, action: Action) {
        self.rules(vec![Rule { call, action }]);
    }

    /// All calls so far that fit `pattern`, oldest first.
    pub fn calls(&self, pattern: &str) -> Vec<Call> {
        lock(&self.shared.calls).iter().filter(|call| call.fits(pattern)).cloned().collect()
    }

    /// All calls so far.
    pub fn all(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Waits for the `number`th call that fits `pattern` to have been asked.
    #[track_caller]
    pub fn asked(&self, pattern: &str, number: usize) -> Call {
        until(&format!("{pattern}, number {number}"), || self.calls(pattern).get(number).cloned())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- calls to the engine");
            let calls = self.all();
            for call in &calls {
                let took = call.answered.map(|answered| answered - call.asked);
                let at = call.asked - calls[0].asked;
                eprintln!("{at:12.3?} {} {} -> {:?} after {took:?}", call.method, call.path, call.status);
            }
        }
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if !thread::panicking() {
            let secret = self.all().into_iter().find(|call| !documented().contains(&call.listed()));
            assert!(secret.is_none(), "docs/security.md does not list {secret:?}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// One connection to the engine: requests one after the other, each answered before the next.
fn relay(mut client: UnixStream, shared: &Arc<Shared>) {
    let Ok(mut engine) = UnixStream::connect(engine_socket()) else { return };
    lock(&shared.open).extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
    let pending: Arc<Mutex<Option<usize>>> = Arc::default();
    {
        let (shared, pending) = (Arc::clone(shared), Arc::clone(&pending));
        let (engine, client) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || pass_answers(engine, client, &shared, &pending));
    }
    let mut bytes = Vec::new();
    while let Some(length) = read_request(&mut client, &mut bytes) {
        let request: Vec<u8> = bytes.drain(..length).collect();
        if pass_request(&request, &mut client, &mut engine, shared, &pending).is_none() {
            break;
        }
    }
    if let Some(index) = *lock(&pending) {
        lock(&shared.calls)[index].cut_off = true;
    }
    let _ = engine.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Reads until `bytes` begins with a whole request, and gives its length.
fn read_request(client: &mut UnixStream, bytes: &mut Vec<u8>) -> Option<usize> {
    loop {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text[..head].lines().find_map(|line| line.strip_prefix("content-length:"));
            let whole = head + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= whole {
                return Some(whole);
            }
        }
        let mut piece = [0; 4096];
        match client.read(&mut piece) {
            Ok(length @ 1..) => bytes.extend(&piece[..length]),
            _ => return None,
        }
    }
}

fn pass_request(
    request: &[u8],
    client: &mut UnixStream,
    engine: &mut UnixStream,
    shared: &Shared,
    pending: &Mutex<Option<usize>>,
) -> Option<()> {
    let text = String::from_utf8_lossy(request).into_owned();
    let mut words = text.split_whitespace();
    let call = Call {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        asked: Instant::now(),
        answered: None,
        status: None,
        cut_off: false,
    };
    let rules = Arc::clone(&lock(&shared.rules));
    let index = {
        let mut calls = lock(&shared.calls);
        calls.push(call.clone());
        calls.len() - 1
    };
    *lock(pending) = Some(index);
    let mut sent = text;
    for rule in rules.iter().filter(|rule| call.fits(rule.call)) {
        match &rule.action {
            Action::HoldCall(time) => thread::sleep(*time),
            Action::GateCall(gate) => gate.pass(),
            Action::Before(act) => act(),
            Action::Announce(version) => {
                sent = sent.replacen(&format!("/v{version}/"), &format!("/v{}/", engine_version()), 1);
            }
            Action::Refuse(status, message) => {
                note_answer(shared, pending, *status);
                let body = format!("{{\"message\":\"{message}\"}}\n");
                let head = format!("HTTP/1.1 {status} Text\r\nContent-Type: application/json\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                return client.write_all(answer.as_bytes()).ok();
            }
            Action::HoldAnswer(_) | Action::GateAnswer(_) => {}
        }
    }
    engine.write_all(sent.as_bytes()).ok()
}

fn note_answer(shared: &Shared, pending: &Mutex<Option<usize>>, status: u16) {
    if let Some(index) = lock(pending).take() {
        let call = &mut lock(&shared.calls)[index];
        call.answered = Some(Instant::now());
        call.status = Some(status);
    }
}

/// Passes on what the engine sends; what comes first after a request is its answer.
fn pass_answers(
    mut engine: UnixStream,
    mut client: UnixStream,
    shared: &Shared,
    pending: &Mutex<Option<usize>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = engine.read(&mut buffer) {
        let mut piece = buffer[..length].to_vec();
        let waiting = *lock(pending);
        if let Some(index) = waiting {
            let call = lock(&shared.calls)[index].clone();
            let rules = Arc::clone(&lock(&shared.rules));
            for rule in rules.iter().filter(|rule| call.fits(rule.call)) {
                match &rule.action {
                    Action::HoldAnswer(time) => thread::sleep(*time),
                    Action::GateAnswer(gate) => gate.pass(),
                    Action::Announce(version) => piece = announce(&piece, version),
                    _ => {}
                }
            }
            let status =
                String::from_utf8_lossy(&piece).split_whitespace().nth(1).and_then(|s| s.parse().ok());
            note_answer(shared, pending, status.unwrap_or(0));
        }
        if client.write_all(&piece).is_err() {
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn announce(answer: &[u8], version: &str) -> Vec<u8> {
    let (true_version, claimed) =
        (format!("Api-Version: {}", engine_version()), format!("Api-Version: {version}"));
    String::from_utf8_lossy(answer).replacen(&true_version, &claimed, 1).into()
}
