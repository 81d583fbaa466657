//! One sidecar behind a recorder, and what was done to it.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use proptest::test_runner::TestCaseResult;
use tempfile::TempDir;

use super::act::{Act, Hand, Limits};
use super::talk::Talk;
use super::verdict;
use crate::harness::{Address, Container, Host, Kind, Plan, Recorder, docker_anyway, until};

/// How long anything may take to be answered or ended, failed wakes with their pauses included.
const PATIENCE: Duration = Duration::from_secs(40);

/// Something that cuts connections off, or keeps them from their answers, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Blow {
    pub act: Act,
    pub begun: Instant,
    pub ended: Instant,
}

pub struct Scene {
    pub host: Host,
    pub recorder: Recorder,
    pub web: Container,
    pub talks: Vec<Talk>,
    pub blows: Vec<Blow>,
    /// When the host's clock began.
    pub begun: Instant,
    hand: Option<JoinHandle<Blow>>,
    holds: Vec<UnixStream>,
    control: PathBuf,
    address: SocketAddr,
    engine: PathBuf,
    _dir: TempDir,
}

impl Scene {
    pub fn play(limits: Limits, acts: &[(Duration, Act)]) -> TestCaseResult {
        let mut scene = Scene::new(limits);
        for (gap, act) in acts {
            thread::sleep(*gap);
            scene.act(*act);
        }
        scene.come_to_rest();
        verdict::check(&scene)
    }

    fn new(limits: Limits) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let web = Container::new("web", "");
        let engine = dir.path().join("engine.sock");
        let recorder = Recorder::new(&engine);
        let plan = Plan::with_engine(&engine, &web.sidecar("web", &limits.keys()));
        let host = plan.socket("web", Kind::Tcp4).control(dir.path(), "web").listen();
        let begun = Instant::now() - host.now();
        let Address::Tcp(address) = host.listener("web", 0).address else { unreachable!() };
        let control = dir.path().join("web.sock");
        let (talks, blows, holds) = (Vec::new(), Vec::new(), Vec::new());
        Scene {
            host,
            recorder,
            web,
            talks,
            blows,
            begun,
            hand: None,
            holds,
            control,
            address,
            engine,
            _dir: dir,
        }
    }

    fn act(&mut self, act: Act) {
        let begun = Instant::now();
        let mut open: Vec<&mut Talk> = self.talks.iter_mut().filter(|talk| talk.is_open()).collect();
        let count = open.len().max(1);
        match act {
            Act::Connect => self.talks.push(Talk::begin(self.address)),
            Act::Ask(which) => open.get_mut(which % count).into_iter().for_each(|talk| talk.ask()),
            Act::HalfClose(which) => open.get_mut(which % count).into_iter().for_each(|talk| talk.finish()),
            Act::Reset(which) => open.get_mut(which % count).into_iter().for_each(|talk| talk.reset()),
            Act::Hold => self.hold(),
            Act::Release => drop(self.holds.pop()),
            Act::Reload(limits) => self.reload(limits),
            Act::Docker(hand) => return self.by_hand(hand),
            Act::KillHelper => self.signal(Signal::SIGKILL),
            Act::EndHelper => self.signal(Signal::SIGTERM),
        }
        if matches!(act, Act::KillHelper | Act::EndHelper) {
            self.blows.push(Blow { act, begun, ended: Instant::now() });
        }
    }

    /// Asks for a hold, and lets it come when it comes.
    fn hold(&mut self) {
        let mut caller = UnixStream::connect(&self.control).unwrap();
        let head = "POST /v1/sidecars/web/hold?by=somebody HTTP/1.1\r\nhost: rouse\r\n\r\n";
        if caller.write_all(head.as_bytes()).is_ok() {
            self.holds.push(caller);
        }
    }

    fn reload(&self, limits: Limits) {
        let engine = format!("[helper]\nengine = \"unix://{}\"\n", self.engine.display());
        let next = self.host.config_path.with_extension("next");
        fs::write(&next, engine + &self.web.sidecar("web", &limits.keys())).unwrap();
        fs::rename(&next, &self.host.config_path).unwrap();
        self.signal(Signal::SIGHUP);
    }

    /// To the helper, if one runs and has said that it hears signals.
    fn signal(&self, signal: Signal) {
        let ready = self.host.wait_for(Duration::from_secs(5), |facts| {
            (facts.pid.is_none() || facts.starts.len() == facts.noted("READY=1").len()).then_some(())
        });
        assert!(ready.is_some(), "a helper is not ready");
        self.host.signal(signal);
    }

    /// Beside everything else; one hand at a time.
    fn by_hand(&mut self, hand: Hand) {
        self.hands_off();
        let verb: &[&str] = match hand {
            Hand::Pause => &["pause"],
            Hand::Unpause => &["unpause"],
            Hand::Stop => &["stop", "--time", "1"],
            Hand::Kill => &["kill"],
            Hand::Start => &["start"],
            Hand::Restart => &["restart", "--time", "1"],
        };
        let words: Vec<String> = verb.iter().copied().chain([self.web.name()]).map(str::to_owned).collect();
        self.hand = Some(thread::spawn(move || {
            let begun = Instant::now();
            // Refused where it makes no sense.
            docker_anyway(&words.iter().map(String::as_str).collect::<Vec<_>>());
            Blow { act: Act::Docker(hand), begun, ended: Instant::now() }
        }));
    }

    fn hands_off(&mut self) {
        self.blows.extend(self.hand.take().map(|hand| hand.join().unwrap()));
    }

    /// Nobody does anything any more; a helper that is started then stops what was left running.
    fn come_to_rest(&mut self) {
        self.hands_off();
        for mut hold in self.holds.drain(..) {
            hold.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut word = [0];
            // Granted, refused, or cut off with its helper; only silence is wrong.
            let heard = hold.read(&mut word).map_err(|error| error.kind());
            let silent = matches!(heard, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
            assert!(!silent, "somebody who asks for a hold is left hanging");
        }
        let begun = Instant::now();
        let mut started = false;
        let over = |talk: &Talk| talk.cut.is_some() || talk.heard().ended.is_some();
        until("all asleep, and an end for every client", || {
            let (runs, ends_well) = self.host.look(|facts| {
                let ends_well = facts.exits.last().is_none_or(|(_, status)| status.success());
                (facts.pid.is_some() || facts.start_wanted, ends_well)
            });
            let is_down = matches!(self.web.status().as_str(), "created" | "exited");
            if !runs && !is_down && !started && begun.elapsed() > Duration::from_millis(300) {
                started = true;
                self.host.start();
            }
            (!runs && is_down && ends_well && self.talks.iter().all(over)).then_some(())
        });
    }
}
