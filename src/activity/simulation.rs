//! Whatever happens, and however long the engine takes: a life in simulated time, beside a world that keeps its own account
//! of use.
//!
//! The driver does with the decisions what `sidecar/serve.rs` and `sidecar/steps.rs` do with them.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::time::Instant;

use super::{Activity, Next, Rules, Seen, Sight, Step};

/// As in `sidecar/serve.rs`.
const SOON: Duration = Duration::from_millis(100);
const RECHECK: Duration = Duration::from_secs(1);
/// How far two readings are apart where somebody waits.
const HURRY: Duration = Duration::from_secs(1);
/// The longest that the engine takes for anything.
const LONGEST: Duration = Duration::from_millis(1200);
/// What a decision may be late for reasons of its own: questions to the engine that were under way, and looks a while apart.
const SLACK: Duration = Duration::from_secs(6);
/// Above it the container is busy, where that counts.
const MARK: u32 = 10;

/// What somebody else does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A client comes, and is accepted so much later.
    Connect(Duration),
    /// A byte from the client.
    Up(usize),
    /// A byte from the container.
    Down(usize),
    /// The client has sent all.
    UpEnd(usize),
    /// The container has sent all.
    DownEnd(usize),
    /// The connection is over.
    End(usize),
    Hold,
    Release,
    /// Another sidecar needs the group.
    Yield,
    /// From now on the container uses so many percent of a core.
    Cpu(u32),
    Reload(Rules),
    /// By hand.
    Freeze,
    Thaw,
    /// The engine is away, or back.
    Away(bool),
    /// From now on the engine takes so long, and refuses to pause and stop or does not.
    Engine(Duration, bool),
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn rules() -> impl Strategy<Value = Rules> {
    let idle = option::weighted(0.9, millis(300..20_000));
    let reply = prop_oneof![millis(100..3_000), millis(1_000..60_000)];
    let busy = option::weighted(0.7, Just(MARK));
    (idle, option::of(millis(200..10_000)), prop::bool::weighted(0.2), reply, busy).prop_map(
        |(idle_timeout, pause_after, connections_are_use, reply_timeout, busy_cpu)| Rules {
            idle_timeout,
            pause_after,
            connections_are_use,
            reply_timeout,
            busy_cpu,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let which = || 0..4usize;
    let coming = prop_oneof![3 => Just(Duration::ZERO), 1 => millis(1..400)];
    let takes = prop_oneof![3 => millis(0..30), 1 => millis(0..1200)];
    prop_oneof![
        4 => coming.prop_map(Act::Connect),
        6 => which().prop_map(Act::Up),
        6 => which().prop_map(Act::Down),
        1 => which().prop_map(Act::UpEnd),
        1 => which().prop_map(Act::DownEnd),
        3 => which().prop_map(Act::End),
        2 => Just(Act::Hold),
        3 => Just(Act::Release),
        3 => Just(Act::Yield),
        3 => prop_oneof![Just(0), Just(3), Just(40), Just(100)].prop_map(Act::Cpu),
        2 => rules().prop_map(Act::Reload),
        1 => Just(Act::Freeze),
        2 => Just(Act::Thaw),
        1 => Just(Act::Away(true)),
        2 => Just(Act::Away(false)),
        2 => (takes, prop::bool::weighted(0.2)).prop_map(|(takes, refuses)| Act::Engine(takes, refuses)),
    ]
}

fn acts() -> impl Strategy<Value = Vec<(Duration, Act)>> {
    let gap = prop_oneof![2 => Just(Duration::ZERO), 3 => millis(0..300), 4 => millis(0..3_000), 2 => millis(0..40_000)];
    vec((gap, act()), 1..80)
}

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

/// What is true, kept apart from what is under test.
#[derive(Debug)]
struct World {
    now: Instant,
    rules: Rules,
    /// Those that are open.
    open: Vec<Seen>,
    /// The last use of all: bytes, connections, ends of holds, the wake.
    last_use: Instant,
    holds: usize,
    frozen: bool,
    away: bool,
    takes: Duration,
    refuses: bool,
    percent: u32,
    cpu_time: Duration,
    cpu_until: Instant,
    /// Since when it is busy and the engine could have told so.
    busy_since: Option<Instant>,
    /// When it last was.
    busy_until: Option<Instant>,
    /// When something last happened that a decision may have to wait for.
    changed: Instant,
    /// That was plain use, and nothing else was under way.
    undisturbed: bool,
    /// Of all rules so far.
    widest: Duration,
}

impl World {
    fn pass(&mut self, now: Instant) {
        if !self.frozen {
            self.cpu_time += (now - self.cpu_until) * self.percent / 100;
        }
        (self.now, self.cpu_until) = (now, now);
    }

    /// What the container does has changed, or what the engine can tell of it.
    fn mind_cpu(&mut self) {
        let was_busy = self.busy_since.take().is_some();
        if was_busy || self.percent > MARK {
            self.busy_until = Some(self.now);
        }
        self.busy_since = (self.percent > MARK && !self.frozen && !self.away).then_some(self.now);
    }

    fn used(&mut self) {
        self.last_use = self.now;
    }

    fn last_byte(seen: &Seen) -> Instant {
        if seen.last_up > seen.last_down { seen.last_up } else { seen.last_down }
    }

    /// Until when an answer is owed.
    fn owed_until(&self, seen: &Seen) -> Option<Instant> {
        let awaited = seen.up_ended || seen.last_up > seen.last_down;
        (awaited && !seen.down_ended).then(|| World::last_byte(seen) + self.rules.reply_timeout)
    }

    fn is_owed(&self, seen: &Seen) -> bool {
        self.owed_until(seen).is_some_and(|until| self.now < until)
    }

    /// Why it may not be taken down at all at this moment.
    fn forbids(&self) -> Option<&'static str> {
        match () {
            () if self.holds > 0 => Some("it is held"),
            () if self.open.iter().any(|seen| self.is_owed(seen)) => Some("an answer is owed"),
            () if self.rules.connections_are_use && !self.open.is_empty() => Some("somebody is connected"),
            () => None,
        }
    }

    /// Why it may not make room.
    fn forbids_yield(&self) -> Option<&'static str> {
        let quiet = self.shortest().min(Duration::from_secs(10));
        let moving = |seen: &Seen| self.now < World::last_byte(seen) + quiet;
        self.forbids().or(self.open.iter().any(moving).then_some("bytes have just moved"))
    }

    fn shortest(&self) -> Duration {
        let Rules { idle_timeout, pause_after, .. } = self.rules;
        idle_timeout.unwrap_or(Duration::MAX).min(pause_after.unwrap_or(Duration::MAX))
    }

    fn timeout(&self, step: Step) -> Option<Duration> {
        match step {
            Step::Pause => self.rules.pause_after,
            Step::Sleep => self.rules.idle_timeout,
        }
    }

    /// How long the CPU must have rested, as seen by two readings.
    fn window(timeout: Duration) -> Duration {
        (timeout / 5).max(Duration::from_millis(100)).min(Duration::from_secs(10))
    }

    fn measures(&self) -> bool {
        self.rules.busy_cpu.is_some() && !self.frozen
    }

    /// When a step is due at the latest, should nothing more happen.
    fn latest(&self) -> Option<Instant> {
        if self.away || self.holds > 0 || (self.rules.connections_are_use && !self.open.is_empty()) {
            return None;
        }
        if self.measures() && self.percent > MARK {
            return None;
        }
        let settling = self.widest * 2 + LONGEST * 2;
        let seen_busy = self.busy_until.map(|until| until + settling);
        let last_use = self.last_use.max(seen_busy.unwrap_or(self.last_use));
        let due = |timeout: Duration| {
            let owed = self.open.iter().filter_map(|seen| self.owed_until(seen));
            owed.fold(last_use + timeout, Instant::max)
        };
        let sleep = self.rules.idle_timeout.map(due);
        let pause = self.rules.pause_after.filter(|_| !self.frozen).map(due);
        let due = [sleep, pause].into_iter().flatten().min()?;
        if self.undisturbed {
            let readings = if self.measures() { self.takes * 2 } else { Duration::ZERO };
            return Some(due + readings + Duration::from_millis(1));
        }
        Some(due.max(self.changed) + self.widest * 2 + SLACK)
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
        let world = World {
            now,
            rules,
            open: Vec::new(),
            last_use: now,
            holds: 0,
            frozen: false,
            away: false,
            takes: Duration::ZERO,
            refuses: false,
            percent: 0,
            cpu_time: Duration::ZERO,
            cpu_until: now,
            busy_since: None,
            busy_until: None,
            changed: now,
            undisturbed: true,
            widest: widest(&rules),
        };
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
            holders: vec!["somebody".to_owned(); self.world.holds],
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
            Some(Question::Container(_)) => {
                if self.world.frozen != self.knows_frozen {
                    self.knows_frozen = self.world.frozen;
                    self.frozen_since = self.world.frozen.then_some(now);
                    self.world.changed = now;
                }
            }
            None => {}
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
                self.activity.count_use(now);
                self.world.used();
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
            self.world.open.push(Seen { last_up: now, last_down: now, up_ended: false, down_ended: false });
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

    fn act(&mut self, act: Act) -> TestCaseResult {
        let now = self.world.now;
        let count = self.world.open.len();
        let chosen = |which: usize| (count > 0).then(|| which % count);
        self.world.changed = now;
        let before = self.world.last_use;
        let nothing_else = self.doing == Doing::Serving
            && self.question.is_none()
            && self.recheck.is_none()
            && self.yields.is_none()
            && self.queue.is_empty()
            && self.world.busy_until.is_none()
            && !self.world.away;
        match act {
            Act::Connect(later) => {
                self.came += 1;
                self.queue.push(now + later);
            }
            Act::Up(which) => {
                let open = &mut self.world.open;
                if let Some(seen) = chosen(which).map(|which| &mut open[which]).filter(|seen| !seen.up_ended)
                {
                    seen.last_up = now;
                    self.world.used();
                }
            }
            // A frozen container says nothing.
            Act::Down(which) if !self.world.frozen => {
                let open = &mut self.world.open;
                if let Some(seen) =
                    chosen(which).map(|which| &mut open[which]).filter(|seen| !seen.down_ended)
                {
                    seen.last_down = now;
                    self.world.used();
                }
            }
            Act::UpEnd(which) => {
                if let Some(which) = chosen(which) {
                    self.world.open[which].up_ended = true;
                }
            }
            Act::DownEnd(which) if !self.world.frozen => {
                if let Some(which) = chosen(which) {
                    self.world.open[which].down_ended = true;
                }
            }
            Act::End(which) => {
                if let Some(which) = chosen(which) {
                    let seen = self.world.open.remove(which);
                    self.ended += 1;
                    self.connections_last_use =
                        self.connections_last_use.max(seen.last_up).max(seen.last_down);
                    if self.world.rules.connections_are_use {
                        self.connections_last_use = now;
                        self.world.used();
                    }
                }
            }
            Act::Hold => self.holds_asked += 1,
            Act::Release if self.world.holds > 0 => {
                self.world.holds -= 1;
                self.world.used();
                self.activity.count_use(now);
            }
            Act::Yield if self.doing != Doing::Asleep => self.yields_asked += 1,
            Act::Cpu(percent) => {
                self.world.percent = percent;
                self.world.mind_cpu();
            }
            Act::Reload(rules) => {
                self.world.mind_cpu();
                self.world.rules = rules;
                self.world.widest = self.world.widest.max(widest(&rules));
                self.activity.set(rules);
                self.look = now;
            }
            Act::Freeze | Act::Thaw if self.doing == Doing::Serving => {
                self.world.frozen = matches!(act, Act::Freeze);
                self.world.mind_cpu();
                self.recheck = Some(now);
            }
            Act::Away(away) => {
                self.world.away = away;
                self.world.mind_cpu();
                self.recheck = (self.doing == Doing::Serving && !away).then_some(now).or(self.recheck);
            }
            Act::Engine(takes, refuses) => (self.world.takes, self.world.refuses) = (takes, refuses),
            _ => {}
        }
        self.wake_if_asked()?;
        self.let_in();
        self.world.undisturbed = nothing_else && before < self.world.last_use && self.world.last_use == now;
        self.stir()
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

fn widest(rules: &Rules) -> Duration {
    [rules.idle_timeout, rules.pause_after].into_iter().flatten().map(World::window).fold(SOON, Duration::max)
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
