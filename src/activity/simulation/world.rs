//! What is true, kept apart from what is under test.

use std::time::Duration;

use tokio::time::Instant;

use super::act::MARK;
use crate::activity::{Rules, Seen};
use crate::why::Step;

/// The longest that the engine takes for anything.
pub const LONGEST: Duration = Duration::from_millis(1200);
/// What a decision may be late for reasons of its own: questions to the engine that were under way, and looks a while apart.
const SLACK: Duration = Duration::from_secs(6);

/// A container, its clients and its callers.
#[derive(Debug)]
pub struct World {
    pub now: Instant,
    pub rules: Rules,
    /// Those that are open.
    pub open: Vec<Seen>,
    /// The last use of all: bytes, connections, ends of holds, the wake.
    pub last_use: Instant,
    pub holds: usize,
    pub frozen: bool,
    pub away: bool,
    pub takes: Duration,
    pub refuses: bool,
    /// When the engine last would not pause it, in this time awake.
    pub pause_refused: Option<Instant>,
    pub percent: u32,
    pub cpu_time: Duration,
    pub cpu_until: Instant,
    /// Since when it is busy and the engine could have told so.
    pub busy_since: Option<Instant>,
    /// When it last was.
    pub busy_until: Option<Instant>,
    /// When something last happened that a decision may have to wait for.
    pub changed: Instant,
    /// That was plain use, and nothing else was under way.
    pub undisturbed: bool,
    /// Of all rules so far.
    pub widest: Duration,
}

impl World {
    pub fn new(now: Instant, rules: Rules) -> World {
        World {
            now,
            rules,
            open: Vec::new(),
            last_use: now,
            holds: 0,
            frozen: false,
            away: false,
            takes: Duration::ZERO,
            refuses: false,
            pause_refused: None,
            percent: 0,
            cpu_time: Duration::ZERO,
            cpu_until: now,
            busy_since: None,
            busy_until: None,
            changed: now,
            undisturbed: true,
            widest: widest(&rules),
        }
    }

    pub fn pass(&mut self, now: Instant) {
        if !self.frozen {
            self.cpu_time += (now - self.cpu_until) * self.percent / 100;
        }
        (self.now, self.cpu_until) = (now, now);
    }

    /// What the container does has changed, or what the engine can tell of it.
    pub fn mind_cpu(&mut self) {
        let was_busy = self.busy_since.take().is_some();
        if was_busy || self.percent > MARK {
            self.busy_until = Some(self.now);
        }
        self.busy_since = (self.percent > MARK && !self.frozen && !self.away).then_some(self.now);
    }

    pub fn reload(&mut self, rules: Rules) {
        self.rules = rules;
        self.widest = self.widest.max(widest(&rules));
    }

    pub fn used(&mut self) {
        self.last_use = self.now;
    }

    pub fn last_byte(seen: &Seen) -> Instant {
        if seen.last_up > seen.last_down { seen.last_up } else { seen.last_down }
    }

    /// Until when an answer is owed.
    pub fn owed_until(&self, seen: &Seen) -> Option<Instant> {
        let awaited = seen.up_ended || seen.last_up > seen.last_down;
        (awaited && !seen.down_ended).then(|| World::last_byte(seen) + self.rules.reply_timeout)
    }

    pub fn is_owed(&self, seen: &Seen) -> bool {
        self.owed_until(seen).is_some_and(|until| self.now < until)
    }

    /// Why it may not be taken down at all at this moment.
    pub fn forbids(&self) -> Option<&'static str> {
        match () {
            () if self.holds > 0 => Some("it is held"),
            () if self.open.iter().any(|seen| self.is_owed(seen)) => Some("an answer is owed"),
            () if self.rules.connections_are_use && !self.open.is_empty() => Some("somebody is connected"),
            () => None,
        }
    }

    /// Why it may not make room.
    pub fn forbids_yield(&self) -> Option<&'static str> {
        let quiet = self.shortest().min(Duration::from_secs(10));
        let moving = |seen: &Seen| self.now < World::last_byte(seen) + quiet;
        self.forbids().or(self.open.iter().any(moving).then_some("bytes have just moved"))
    }

    pub fn shortest(&self) -> Duration {
        let Rules { idle_timeout, pause_after, .. } = self.rules;
        idle_timeout.unwrap_or(Duration::MAX).min(pause_after.unwrap_or(Duration::MAX))
    }

    pub fn timeout(&self, step: Step) -> Option<Duration> {
        match step {
            Step::Pause => self.rules.pause_after,
            Step::Sleep => self.rules.idle_timeout,
        }
    }

    /// How long the CPU must have rested, as seen by two readings.
    pub fn window(timeout: Duration) -> Duration {
        (timeout / 5).max(Duration::from_millis(100)).min(Duration::from_secs(10))
    }

    pub fn measures(&self) -> bool {
        self.rules.busy_cpu.is_some() && !self.frozen
    }

    /// When `timeout` has passed since `last_use`, and no answer is owed any more.
    fn unused_at(&self, timeout: Duration, last_use: Instant) -> Instant {
        let owed = self.open.iter().filter_map(|seen| self.owed_until(seen));
        owed.fold(last_use + timeout, Instant::max)
    }

    /// Whether the engine would not pause it, and nobody has used it since so that a pause were due again.
    pub fn is_pause_refused(&self) -> bool {
        let due = self.rules.pause_after.map(|timeout| self.unused_at(timeout, self.last_use));
        self.pause_refused.is_some_and(|refused| due.is_none_or(|due| due <= refused))
    }

    /// When a step is due at the latest, should nothing more happen.
    pub fn latest(&self) -> Option<Instant> {
        if self.away || self.holds > 0 || (self.rules.connections_are_use && !self.open.is_empty()) {
            return None;
        }
        if self.measures() && self.percent > MARK {
            return None;
        }
        let settling = self.widest * 2 + LONGEST * 2;
        let seen_busy = self.busy_until.map(|until| until + settling);
        let last_use = self.last_use.max(seen_busy.unwrap_or(self.last_use));
        let sleep = self.rules.idle_timeout.map(|timeout| self.unused_at(timeout, last_use));
        let may_pause = !self.frozen && !self.is_pause_refused();
        let pause = self.rules.pause_after.filter(|_| may_pause);
        let pause = pause.map(|timeout| self.unused_at(timeout, last_use));
        let due = [sleep, pause].into_iter().flatten().min()?;
        if self.undisturbed {
            let readings = if self.measures() { self.takes * 2 } else { Duration::ZERO };
            return Some(due + readings + Duration::from_millis(1));
        }
        Some(due.max(self.changed) + self.widest * 2 + SLACK)
    }
}

fn widest(rules: &Rules) -> Duration {
    [rules.idle_timeout, rules.pause_after]
        .into_iter()
        .flatten()
        .map(World::window)
        .fold(Duration::ZERO, Duration::max)
}
