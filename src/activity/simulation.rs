//! Whatever happens, and however long the engine takes: a life in simulated time, beside a world that keeps its own account
//! of use.
//!
//! The driver does with the decisions what `sidecar/serve.rs` and `sidecar/steps.rs` do with them, so that what is shown is what
//! they lead to. That the real one makes one call at a time and forgets nobody is shown by `tests/it/lives.rs`.

mod act; // what others do to a sidecar, and sequences of that
mod others; // what becomes of what they do
mod world; // what is true, kept apart from what is under test

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::time::Instant;

use super::{Activity, Next, Rules, Seen, Sight, Step};
use crate::why::Holder;
use act::{Act, acts, rules};
use world::{LONGEST, World};

/// As in `sidecar/serve.rs`.
const SOON: Duration = Duration::from_millis(100);
const RECHECK: Duration = Duration::from_secs(1);
/// How far two readings are apart where somebody waits.
const HURRY: Duration = Duration::from_secs(1);

/// What the engine is asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Start,
    Pause,
    Unpause,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Asleep,
    Serving,
    /// One call, and when it is answered.
    Ordering(Order, Instant),
}

/// One question, and when it is answered.
#[derive(Clone, Copy, Debug)]
enum Question {
    CpuTime(Instant),
    Container(Instant),
}

impl Question {
    fn answered(self) -> Instant {
        match self {
            Question::CpuTime(at) | Question::Container(at) => at,
        }
    }
}

/// The driver: what the sidecar knows and does.
#[derive(Debug)]
struct Life {
    world: World,
    doing: Doing,
    activity: Activity,
    /// As `Connections` has it.
    connections_last_use: Instant,
    frozen_since: Option<Instant>,
    knows_frozen: bool,
    look: Instant,
    recheck: Option<Instant>,
    question: Option<Question>,
    /// When the CPU time was last read.
    read: Option<Instant>,
    yields: Option<Instant>,
    /// In the kernel's queue, each from when on it can be accepted.
    queue: Vec<Instant>,
    /// Callers that are not answered yet.
    holds_asked: usize,
    yields_asked: usize,
    /// Clients that came, and what became of them.
    came: usize,
    ended: usize,
}

impl Life {
    fn new(rules: Rules) -> Life {
        let now = Instant::now() + Duration::from_secs(100_000);
        let world = World::new(now, rules);
        Life {
            world,
            doing: Doing::Serving,
            activity: Activity::new(rules, now),
            connections_last_use: now,
            frozen_since: None,
            knows_frozen: false,
            look: now,
            recheck: None,
            question: None,
            read: None,
            yields: None,
            queue: Vec::new(),
            holds_asked: 0,
            yields_asked: 0,
            came: 0,
            ended: 0,
        }
    }

    fn sight(&self) -> Sight {
        Sight {
            open: self.world.open.clone(),
            last_use: self.connections_last_use,
            holders: vec![Holder::named("somebody"); self.world.holds],
            paused: self.knows_frozen,
        }
    }

    /// The next moment at which the driver does something.
    fn due(&self) -> Option<Instant> {
        match self.doing {
            Doing::Asleep => None,
            Doing::Ordering(_, answered) => Some(answered),
            Doing::Serving => {
                let question = self.question.map(Question::answered);
                let recheck = self.recheck.filter(|_| question.is_none());
                let client = self.queue.iter().min().copied();
                [question, recheck, client, Some(self.look)].into_iter().flatten().min()
            }
        }
    }

    fn pass(&mut self, until: Instant) -> TestCaseResult {
        let mut turns = 0;
        while let Some(due) = self.due().filter(|due| *due <= until) {
            turns = if due > self.world.now { 0 } else { turns + 1 };
            prop_assert!(turns < 100, "it spins");
            self.not_late(due)?;
            self.world.pass(due.max(self.world.now));
            self.turn()?;
        }
        self.not_late(until)?;
        self.world.pass(until);
        Ok(())
    }

    fn not_late(&self, then: Instant) -> TestCaseResult {
        if self.doing == Doing::Serving && self.knows_frozen == self.world.frozen && self.queue.is_empty() {
            let late = self.world.latest().filter(|latest| *latest < then);
            prop_assert!(late.is_none(), "{:?} late", then - late.unwrap_or(then));
            let asked = self.yields.filter(|_| !self.world.away);
            // A question that is under way, two readings a second apart, and a look in between.
            let patience = LONGEST + HURRY + self.world.takes * 4 + SOON * 2;
            let late = asked.filter(|asked| (*asked).max(self.world.changed) + patience < then);
            prop_assert!(late.is_none(), "who asks for the group waits for ever");
        }
        Ok(())
    }

    fn turn(&mut self) -> TestCaseResult {
        let now = self.world.now;
        match self.doing {
            Doing::Asleep => Ok(()),
            Doing::Ordering(order, _) => self.ordered(order),
            Doing::Serving if self.question.is_some_and(|question| question.answered() <= now) => {
                self.answered();
                Ok(())
            }
            Doing::Serving
                if self.question.is_none() && self.recheck.is_some_and(|recheck| recheck <= now) =>
            {
                self.recheck = None;
                self.question = Some(Question::Container(now + self.world.takes));
                Ok(())
            }
            Doing::Serving if self.queue.iter().any(|accepted| *accepted <= now) => {
                self.let_in();
                self.stir()
            }
            Doing::Serving => self.look(),
        }
    }

    fn answered(&mut self) {
        let now = self.world.now;
        match self.question.take() {
            Some(_) if self.world.away => self.recheck = Some(now + RECHECK),
            Some(Question::CpuTime(_)) => {
                let sight = self.sight();
                let busy = self.activity.measured(now, self.world.cpu_time, &sight);
                self.read = Some(now);
                if busy.is_some() {
                    // It says so itself, and is held to it.
                    self.world.used();
                    if self.yields.take().is_some() {
                        self.activity.hurry(None);
                    }
                }
            }
            Some(Question::Container(_)) if self.world.frozen != self.knows_frozen => {
                self.knows_frozen = self.world.frozen;
                self.frozen_since = self.world.frozen.then_some(now);
                self.world.changed = now;
            }
            _ => {}
        }
        self.look = now;
    }

    fn look(&mut self) -> TestCaseResult {
        let now = self.world.now;
        let sight = self.sight();
        if self.yields.is_some()
            && let Some(why) = self.activity.use_seen(now, &sight)
        {
            prop_assert!(self.world.forbids_yield().is_some(), "it does not make room: {why}");
            self.activity.hurry(None);
            self.yields = None;
        }
        let sure = self.recheck.is_none() && self.question.is_none() && !self.world.away;
        let is_asked = !self.queue.is_empty();
        match self.activity.next(now, &sight) {
            Next::Wait(then) => {
                prop_assert!(now < then, "it waits for the past");
                self.look = then;
            }
            Next::Measure if sure => {
                prop_assert!(self.world.rules.busy_cpu.is_some() && !self.knows_frozen, "nothing to measure");
                self.question = Some(Question::CpuTime(now + self.world.takes));
                self.look = now + self.activity.longest_wait();
            }
            Next::Take(step) if sure && !is_asked => {
                self.is_right(step)?;
                self.yields = None;
                self.order(if step == Step::Pause { Order::Pause } else { Order::Stop })?;
            }
            Next::Measure | Next::Take(_) => self.look = now + SOON,
        }
        Ok(())
    }

    /// What must be true whenever a step is taken.
    fn is_right(&self, step: Step) -> TestCaseResult {
        let world = &self.world;
        if let Some(why) = world.forbids() {
            prop_assert!(false, "{step:?} though {why}");
        }
        let window = if self.yields.is_some() {
            prop_assert_eq!(step, Step::Sleep);
            prop_assert_eq!(world.forbids_yield(), None);
            world.rules.idle_timeout.map_or(HURRY, World::window).min(HURRY)
        } else {
            let timeout = world.timeout(step);
            let unused = world.now - world.last_use;
            prop_assert!(
                timeout.is_some_and(|timeout| timeout <= unused),
                "{step:?} {unused:?} after the last use"
            );
            World::window(timeout.unwrap_or_default())
        };
        prop_assert!(step == Step::Sleep || !self.knows_frozen, "it is frozen already");
        prop_assert!(step == Step::Sleep || !world.is_pause_refused(), "a pause anew though unused since");
        if world.measures() && !self.knows_frozen {
            let read = self.read.is_some_and(|read| world.now <= read + window);
            prop_assert!(
                read,
                "{step:?} though the CPU time was last read {:?} ago",
                self.read.map(|read| world.now - read)
            );
            let busy = world.busy_since.map_or(Duration::ZERO, |since| world.now - since);
            prop_assert!(busy <= window * 2 + LONGEST * 2, "{step:?} though busy for {busy:?}");
        }
        Ok(())
    }

    /// Asks the engine for one thing; serving ends meanwhile, and its questions with it.
    fn order(&mut self, order: Order) -> TestCaseResult {
        prop_assert!(!matches!(self.doing, Doing::Ordering(..)), "two calls at once");
        (self.question, self.recheck) = (None, None);
        if order == Order::Pause {
            self.frozen_since = Some(self.world.now);
        }
        self.doing = Doing::Ordering(order, self.world.now + self.world.takes);
        Ok(())
    }

    fn ordered(&mut self, order: Order) -> TestCaseResult {
        let now = self.world.now;
        self.doing = Doing::Serving;
        self.activity.hurry(None);
        (self.world.changed, self.world.undisturbed, self.look) = (now, false, now);
        match order {
            Order::Pause | Order::Stop if self.world.refuses => {
                if !self.knows_frozen {
                    self.frozen_since = None;
                }
                if order == Order::Pause {
                    self.activity.refuse_pause(now);
                    self.world.pause_refused = Some(now);
                } else {
                    self.activity.count_use(now);
                    self.world.used();
                }
            }
            Order::Pause => (self.world.frozen, self.knows_frozen) = (true, true),
            Order::Unpause => {
                (self.world.frozen, self.knows_frozen, self.frozen_since) = (false, false, None);
            }
            Order::Stop => {
                self.ended += self.world.open.len();
                self.world.open.clear();
                (self.world.frozen, self.knows_frozen, self.frozen_since) = (false, false, None);
                self.yields_asked = 0;
                self.doing = Doing::Asleep;
            }
            Order::Start => {
                self.activity = Activity::new(self.world.rules, now);
                self.connections_last_use = now;
                self.world.used();
                self.world.pause_refused = None;
                // It is just waking.
                self.yields_asked = 0;
                self.queue.iter_mut().for_each(|accepted| *accepted = now);
            }
        }
        self.world.mind_cpu();
        match self.doing {
            Doing::Asleep => self.wake_if_asked(),
            _ => {
                self.let_in();
                self.stir()
            }
        }
    }

    fn wake_if_asked(&mut self) -> TestCaseResult {
        if self.doing == Doing::Asleep && (!self.queue.is_empty() || self.holds_asked > 0) {
            self.order(Order::Start)?;
        }
        Ok(())
    }

    /// Accepts whoever can be, and answers callers.
    fn let_in(&mut self) {
        let now = self.world.now;
        if self.doing != Doing::Serving {
            return;
        }
        if std::mem::take(&mut self.yields_asked) > 0 {
            self.yields = Some(now);
            self.activity.hurry(Some(now));
            self.look = now;
        }
        let before = self.queue.len();
        self.queue.retain(|accepted| *accepted > now);
        for _ in self.queue.len()..before {
            self.world.open.push(Seen {
                last_up: now,
                last_down: now,
                up_ended: false,
                down_ended: false,
                is_awaited: false,
            });
            self.connections_last_use = now;
            self.world.used();
            self.world.changed = now;
        }
        if !self.knows_frozen {
            self.world.holds += std::mem::take(&mut self.holds_asked);
        }
    }

    /// Thaws it if somebody wants something of it.
    fn stir(&mut self) -> TestCaseResult {
        let wanted = |since: Instant| self.world.open.iter().any(|seen| since <= seen.last_up);
        let stirred = self.frozen_since.is_some_and(wanted) || (self.knows_frozen && self.holds_asked > 0);
        if self.doing == Doing::Serving && stirred {
            self.yields = None;
            self.order(Order::Unpause)?;
        }
        Ok(())
    }

    /// Nobody does anything any more: it sleeps in the end, if it may at all.
    fn comes_to_rest(&mut self) -> TestCaseResult {
        for act in [Act::Away(false), Act::Cpu(0), Act::Engine(Duration::ZERO, false)] {
            self.act(act)?;
        }
        self.pass(self.world.now + LONGEST * 4)?;
        while self.world.holds > 0 {
            self.act(Act::Release)?;
        }
        if self.world.rules.connections_are_use {
            while !self.world.open.is_empty() {
                self.act(Act::End(0))?;
            }
        }
        self.pass(self.world.now + Duration::from_secs(200))?;
        prop_assert_eq!(self.came, self.ended + self.world.open.len() + self.queue.len());
        prop_assert!(self.queue.is_empty() && self.holds_asked == 0, "somebody is forgotten");
        prop_assert!(self.yields.is_none() && self.yields_asked == 0, "who asks for the group is forgotten");
        let sleeps = self.world.rules.idle_timeout.is_some();
        prop_assert!(self.doing == Doing::Asleep || !sleeps, "it never sleeps");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_it_is_taken_down_when_nobody_uses_it_and_never_before(rules in rules(), acts in acts()) {
        let mut life = Life::new(rules);
        for (gap, act) in acts {
            life.pass(life.world.now + gap)?;
            life.act(act)?;
        }
        life.comes_to_rest()?;
    }
}
