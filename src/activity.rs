//! What counts as use, and when a sidecar is to be paused or put to sleep: pure, over observations and a clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::why::{Holder, Step, Why};

/// How long a connection must have moved nothing to be quiet, where no timeout is shorter.
const QUIET: Duration = Duration::from_secs(10);
/// How far two readings of the CPU time are apart: a fifth of the timeout that runs out, within these bounds.
const WINDOW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// The most of it that somebody waits for who asks for the group.
const WINDOW_IN_A_HURRY: Duration = Duration::from_secs(1);
/// A look at a sidecar of which nothing is ever due.
const SELDOM: Duration = Duration::from_secs(60 * 60);

/// The settings that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Idle after so long without use; none for never.
    pub idle_timeout: Option<Duration>,
    /// Paused after so long without use; none for never.
    pub pause_after: Option<Duration>,
    /// Whether any open connection counts as use, also a quiet one.
    pub connections_are_use: bool,
    /// How long an owed answer counts as in use.
    pub reply_timeout: Duration,
    /// CPU use above so many percent of one core counts as use; none if it never does.
    pub busy_cpu: Option<u32>,
}

/// One open connection, as it is seen at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When the last byte went to the container, or when the connection began.
    pub last_up: Instant,
    /// When the last byte came from the container, or when the connection began.
    pub last_down: Instant,
    /// The client has sent all that it will send.
    pub up_ended: bool,
    /// The container has sent all that it will send.
    pub down_ended: bool,
    /// Something is under way that the client has not had yet: the connection itself, or bytes that it does not fetch.
    pub is_awaited: bool,
}

/// A sidecar that is up, as it is seen at some moment.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Its open connections.
    pub open: Vec<Seen>,
    /// The last use that none of them shows: a new connection, the last byte of one that has ended.
    pub last_use: Instant,
    /// Who keeps it awake.
    pub holders: Vec<Holder>,
    /// Whether its container is frozen.
    pub paused: bool,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: look again then.
    Wait(Instant),
    /// Read the CPU time that the container has used, and tell [`Activity::measured`].
    Measure,
    /// This step.
    Take(Step),
}

/// The use of one sidecar that is up, apart from its connections; and what is known of its CPU time.
#[derive(Debug)]
pub struct Activity {
    rules: Rules,
    last_use: Instant,
    /// When it was not to be paused though that was due: not before its next use is it again.
    pause_refused: Option<Instant>,
    /// Since when somebody waits for it to make room.
    hurried: Option<Instant>,
    /// The first of two readings.
    first: Option<Reading>,
    /// When a second one showed that the container rested.
    rested: Option<Instant>,
    /// When a second one showed that the container computed, and how much, in percent of one core.
    busy: Option<(Instant, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    cpu_time: Duration,
}

/// What is due, when, and how far the readings before it are apart.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    step: Step,
    window: Duration,
}

impl Due {
    /// When the second reading is due: by what is due now, since rules and hurry may have changed after the first one.
    fn second_after(&self, first: &Reading) -> Instant {
        self.at.max(first.at + self.window)
    }
}

impl Seen {
    fn last_use(&self) -> Instant {
        self.last_up.max(self.last_down)
    }

    /// An answer is due: the last byte went to the container, the client has ended and waits for the rest, or not all of it
    /// has reached the client.
    fn owes(&self) -> bool {
        self.is_awaited || (!self.down_ended && (self.up_ended || self.last_up > self.last_down))
    }

    /// Until when this connection alone counts as in use; none for as long as it is open.
    fn in_use_until(&self, rules: &Rules, timeout: Duration) -> Option<Instant> {
        let unused = self.last_use() + timeout;
        match self.owes() {
            _ if rules.connections_are_use => None,
            true => Some(unused.max(self.last_use() + rules.reply_timeout)),
            false => Some(unused),
        }
    }
}

impl Rules {
    fn quiet(&self) -> Duration {
        [self.idle_timeout, self.pause_after].into_iter().flatten().fold(QUIET, Duration::min)
    }

    /// When `timeout` has passed without use; none if it never will, as things are.
    fn unused_at(&self, timeout: Duration, last_use: Instant, open: &[Seen]) -> Option<Instant> {
        open.iter().try_fold(last_use + timeout, |latest, connection| {
            Some(latest.max(connection.in_use_until(self, timeout)?))
        })
    }
}

fn window(timeout: Duration) -> Duration {
    (timeout / 5).clamp(WINDOW.0, WINDOW.1)
}

impl Activity {
    /// What has made the container run counts as use.
    pub fn new(rules: Rules, now: Instant) -> Activity {
        Activity {
            rules,
            last_use: now,
            pause_refused: None,
            hurried: None,
            first: None,
            rested: None,
            busy: None,
        }
    }

    /// From now on these decide.
    pub fn set(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Something that was no byte counts as use: a wake, the end of a hold.
    pub fn count_use(&mut self, now: Instant) {
        self.last_use = now;
    }

    /// The engine would not pause it, or somebody has unpaused it: that stands until it is used.
    pub fn refuse_pause(&mut self, now: Instant) {
        self.pause_refused = Some(now);
    }

    /// Somebody needs its group and waits for it to make room, or waits no longer.
    pub fn hurry(&mut self, since: Option<Instant>) {
        self.hurried = since;
    }

    /// What is to be done at `now`.
    pub fn next(&mut self, now: Instant, sight: &Sight) -> Next {
        let look = now + self.wait(sight);
        let Some(due) = self.due(sight) else { return Next::Wait(look) };
        let take = |at: Instant| if at <= now { Next::Take(due.step) } else { Next::Wait(at.min(look)) };
        if self.rules.busy_cpu.is_none() || sight.paused {
            return take(due.at);
        }
        // What it rested before it was last used says nothing, and what it rested long ago says little.
        if self.rested.is_some_and(|rested| due.at <= rested && now < rested + due.window) {
            return take(due.at);
        }
        let from = due.at.checked_sub(due.window).unwrap_or(due.at);
        self.first = self.first.filter(|first| from <= first.at);
        match self.first {
            None if now < from => Next::Wait(from.min(look)),
            // Meanwhile something may come that is due before.
            Some(first) if now < due.second_after(&first) => Next::Wait(due.second_after(&first).min(look)),
            _ => Next::Measure,
        }
    }

    /// The container had used so much CPU time by `now`, which is past. In percent of one core what it has used since the first reading, if
    /// that counts as use.
    pub fn measured(&mut self, now: Instant, cpu_time: Duration, sight: &Sight) -> Option<u32> {
        let mark = self.rules.busy_cpu?;
        let due = self.due(sight)?;
        match self.first.take_if(|first| due.second_after(first) <= now) {
            None => {
                self.first = Some(Reading { at: now, cpu_time });
                None
            }
            Some(first) => {
                let used = cpu_time.saturating_sub(first.cpu_time).as_secs_f64();
                let percent = (100.0 * used / now.duration_since(first.at).as_secs_f64()) as u32;
                if percent > mark {
                    self.last_use = now;
                    self.busy = Some((now, percent));
                    return Some(percent);
                }
                self.rested = Some(now);
                None
            }
        }
    }

    /// How long nothing needs to be looked at: an owed answer may come at any time, and what follows it is due a timeout
    /// later.
    pub fn longest_wait(&self) -> Duration {
        let waits = [self.rules.idle_timeout, self.rules.pause_after].into_iter().flatten();
        waits.map(|timeout| timeout.saturating_sub(window(timeout)).max(WINDOW.0)).fold(SELDOM, Duration::min)
    }

    /// The same while it is up as it is: an owed answer may also end without a byte, and what it has put off is due at once then.
    fn wait(&self, sight: &Sight) -> Duration {
        let owed = sight.open.iter().any(Seen::owes);
        let timeouts = [self.rules.idle_timeout, self.rules.pause_after].into_iter().flatten();
        timeouts.filter(|_| owed).map(window).fold(self.longest_wait(), Duration::min)
    }

    /// Why it makes no room for another of its group; none if it may, as far as its connections tell.
    pub fn use_seen(&self, now: Instant, sight: &Sight) -> Option<String> {
        let (rules, open) = (&self.rules, &sight.open);
        let moving = |seen: &&Seen| seen.in_use_until(rules, rules.quiet()).is_none_or(|until| until > now);
        let owed = open.iter().filter(|seen| seen.owes()).filter(moving).count();
        let moving = open.iter().filter(moving).count();
        match (sight.holders.as_slice(), owed, moving) {
            ([], 0, 0) => None,
            ([], 0, count) => Some(format!("connections in use: {count}")),
            ([], count, _) => Some(format!("answers owed: {count}")),
            (holders, ..) => Some(Why::Held { by: holders.to_vec() }.text(clock::now_ms())),
        }
    }

    /// Why it stays up at `now`, which is `now_ms` by the clock on the wall.
    pub fn why(&self, now: Instant, now_ms: u64, sight: &Sight) -> Why {
        let open = &sight.open;
        let owes = |seen: &&Seen| seen.owes() && now < seen.last_use() + self.rules.reply_timeout;
        let last_use =
            open.iter().map(Seen::last_use).chain([self.last_use, sight.last_use]).max().unwrap_or(now);
        match (open.iter().filter(owes).count(), self.busy) {
            _ if !sight.holders.is_empty() => Why::Held { by: sight.holders.clone() },
            (answers @ 1.., _) => Why::Owes { answers },
            _ if self.rules.connections_are_use && !open.is_empty() => {
                Why::Connected { connections: open.len() }
            }
            (0, Some((measured, percent))) if measured == last_use => Why::Busy { percent },
            _ => match self.due(sight) {
                Some(Due { at, step, .. }) => {
                    let wait = at.saturating_duration_since(now);
                    Why::Unused { next: step, at_ms: clock::after(wait, now_ms) }
                }
                None => Why::Never,
            },
        }
    }

    fn due(&self, sight: &Sight) -> Option<Due> {
        let rules = &self.rules;
        if !sight.holders.is_empty() {
            return None;
        }
        if let Some(since) = self.hurried {
            // Whoever has left needs it no more: only those who are here count.
            let window = rules.idle_timeout.map_or(WINDOW.1, window).min(WINDOW_IN_A_HURRY);
            let quiet = rules.quiet();
            let at = rules.unused_at(quiet, since.checked_sub(quiet).unwrap_or(since), &sight.open)?;
            return Some(Due { at, step: Step::Sleep, window });
        }
        let last_use = self.last_use.max(sight.last_use);
        let due = |timeout: Option<Duration>, step| {
            let at = rules.unused_at(timeout?, last_use, &sight.open)?;
            Some(Due { at, step, window: window(timeout?) })
        };
        let sleep = due(rules.idle_timeout, Step::Sleep);
        let refused = |due: &Due| self.pause_refused.is_some_and(|refused| due.at <= refused);
        let pause = due(rules.pause_after, Step::Pause).filter(|due| !sight.paused && !refused(due));
        match (pause, sleep) {
            (Some(pause), Some(sleep)) => Some(if pause.at < sleep.at { pause } else { sleep }),
            (pause, sleep) => pause.or(sleep),
        }
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RULES: Rules = Rules {
        idle_timeout: Some(Duration::from_secs(300)),
        pause_after: None,
        connections_are_use: false,
        reply_timeout: Duration::from_secs(3600),
        busy_cpu: None,
    };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn seen(start: Instant, up: u64, down: u64) -> Seen {
        Seen {
            last_up: at(start, up),
            last_down: at(start, down),
            up_ended: false,
            down_ended: false,
            is_awaited: false,
        }
    }

    fn sight(start: Instant, open: impl IntoIterator<Item = Seen>) -> Sight {
        Sight { open: open.into_iter().collect(), last_use: start, holders: Vec::new(), paused: false }
    }

    /// When the step is due, in seconds after `start`.
    fn due(rules: Rules, start: Instant, sight: &Sight) -> Option<(u64, Step)> {
        let due = Activity::new(rules, start).due(sight)?;
        Some(((due.at - start).as_secs(), due.step))
    }

    #[test]
    fn with_nobody_connected_it_is_idle_after_the_timeout() {
        let start = Instant::now();
        assert_eq!(due(RULES, start, &sight(start, [])), Some((300, Step::Sleep)));
        assert_eq!(due(Rules { idle_timeout: None, ..RULES }, start, &sight(start, [])), None);
    }

    #[test]
    fn a_silent_connection_does_not_keep_it_awake_unless_connections_are_use() {
        let start = Instant::now();
        let sight = sight(start, [seen(start, 10, 20)]);
        assert_eq!(due(RULES, start, &sight), Some((320, Step::Sleep)));
        assert_eq!(due(Rules { connections_are_use: true, ..RULES }, start, &sight), None);
    }

    #[test]
    fn an_owed_answer_keeps_it_awake_for_the_reply_timeout() {
        let start = Instant::now();
        let due = |seen| due(RULES, start, &sight(start, [seen])).unwrap().0;
        assert_eq!(due(seen(start, 20, 10)), 20 + 3600);
        let half_closed = Seen { up_ended: true, ..seen(start, 10, 20) };
        assert_eq!(due(half_closed), 20 + 3600);
        assert_eq!(due(Seen { down_ended: true, ..half_closed }), 320);
    }

    #[test]
    fn a_new_connection_without_a_byte_owes_nothing() {
        let start = Instant::now();
        assert_eq!(due(RULES, start, &sight(start, [seen(start, 0, 0)])), Some((300, Step::Sleep)));
    }

    #[test]
    fn who_is_held_neither_pauses_nor_sleeps() {
        let start = Instant::now();
        let rules = Rules { pause_after: Some(Duration::from_secs(60)), ..RULES };
        assert_eq!(due(rules, start, &sight(start, [])), Some((60, Step::Pause)));
        let held = Sight { holders: vec![Holder::named("web")], ..sight(start, []) };
        assert_eq!(due(rules, start, &held), None);
    }

    #[test]
    fn a_pause_comes_first_and_sleep_counts_from_the_last_use_all_the_same() {
        let start = Instant::now();
        let rules = Rules { pause_after: Some(Duration::from_secs(60)), ..RULES };
        let paused = Sight { paused: true, ..sight(start, []) };
        assert_eq!(due(rules, start, &paused), Some((300, Step::Sleep)));
        let owing = sight(start, [seen(start, 10, 0)]);
        assert_eq!(due(rules, start, &owing).unwrap().0, 3610);
        assert_eq!(due(Rules { idle_timeout: None, ..rules }, start, &paused), None);
    }

    #[test]
    fn a_pause_that_was_refused_is_due_again_after_the_next_use_and_does_not_put_off_sleep() {
        let start = Instant::now();
        let rules = Rules { pause_after: Some(Duration::from_secs(60)), ..RULES };
        let mut activity = Activity::new(rules, start);
        activity.refuse_pause(at(start, 60));
        let unused = sight(start, []);
        assert_eq!(activity.next(at(start, 60), &unused), Next::Wait(at(start, 110)));
        assert_eq!(activity.next(at(start, 300), &unused), Next::Take(Step::Sleep));
        let used = sight(start, [seen(start, 70, 80)]);
        assert_eq!(activity.next(at(start, 140), &used), Next::Take(Step::Pause));
    }

    #[test]
    fn an_owed_answer_that_ends_without_a_byte_puts_off_nothing_for_long() {
        let start = Instant::now();
        let mut activity = Activity::new(RULES, start);
        let owing = seen(start, 10, 0);
        assert_eq!(activity.next(at(start, 400), &sight(start, [owing])), Next::Wait(at(start, 410)));
        let ended = Seen { down_ended: true, ..owing };
        assert_eq!(activity.next(at(start, 410), &sight(start, [ended])), Next::Take(Step::Sleep));
    }

    #[test]
    fn cpu_time_is_read_twice_at_the_end_of_the_timeout_and_work_begins_it_anew() {
        let start = Instant::now();
        let sight = sight(start, []);
        let mut activity = Activity::new(Rules { busy_cpu: Some(10), ..RULES }, start);
        let next = |activity: &mut Activity, seconds| activity.next(at(start, seconds), &sight);
        assert_eq!(next(&mut activity, 0), Next::Wait(at(start, 290)));
        assert_eq!(next(&mut activity, 290), Next::Measure);
        assert_eq!(activity.measured(at(start, 290), Duration::from_secs(7), &sight), None);
        assert_eq!(next(&mut activity, 290), Next::Wait(at(start, 300)));
        assert_eq!(next(&mut activity, 300), Next::Measure);
        let busy = activity.measured(at(start, 300), Duration::from_secs(12), &sight);
        assert_eq!(busy, Some(50));
        assert_eq!(next(&mut activity, 300), Next::Wait(at(start, 590)));
        assert_eq!(next(&mut activity, 590), Next::Measure);
        activity.measured(at(start, 590), Duration::from_secs(20), &sight);
        assert_eq!(next(&mut activity, 601), Next::Measure);
        assert_eq!(activity.measured(at(start, 601), Duration::from_secs(21), &sight), None);
        assert_eq!(next(&mut activity, 601), Next::Take(Step::Sleep));
    }

    #[test]
    fn somebody_in_a_hurry_waits_for_those_who_are_here_and_for_nobody_else() {
        let start = Instant::now();
        let mut activity = Activity::new(RULES, at(start, 99));
        let quiet = sight(start, [seen(start, 80, 80)]);
        activity.hurry(Some(at(start, 100)));
        assert_eq!(activity.use_seen(at(start, 100), &quiet), None);
        assert_eq!(activity.next(at(start, 100), &quiet), Next::Take(Step::Sleep));
        let moving = sight(start, [seen(start, 80, 95)]);
        assert_eq!(activity.use_seen(at(start, 100), &moving).unwrap(), "connections in use: 1");
        let owing = sight(start, [seen(start, 80, 20)]);
        assert_eq!(activity.use_seen(at(start, 100), &owing).unwrap(), "answers owed: 1");
        let held = Sight { holders: vec![Holder::named("web")], ..sight(start, []) };
        assert_eq!(activity.use_seen(at(start, 100), &held).unwrap(), "held by web");
    }
}
