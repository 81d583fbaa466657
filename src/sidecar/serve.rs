//! Serving: from a container that is up, awake or paused, to one that is unused or dead.

use std::pin::pin;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::following::Found;
use super::questions::{Questions, Told};
use super::yielding::Sleepers;
use super::{Sidecar, Up};
use crate::activity::{Activity, Next, Rules, Sight};
use crate::calls::Refusal;
use crate::config::Idle;
use crate::connections::{Connections, Happening};
use crate::engine::{Change, Container, Error, Event, Watch};
use crate::failure::Failure;
use crate::record::State;
use crate::room::{Room, Visit};
use crate::wake::until_answering;
use crate::why::{Step, Why};

/// How often the status line follows the count of connections.
pub(super) const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// How soon an unused sidecar is looked at again that something keeps as it is: a client is just coming, or the engine is
/// away. And how soon it says that somebody uses or holds it.
const SOON: Duration = Duration::from_millis(100);

/// How long after a signal by somebody's hand a death is taken for what the signal was sent for: a stop may have a long grace.
const DYING: Duration = Duration::from_secs(600);

/// What ended serving.
#[derive(Debug)]
pub enum End {
    /// Unused for so long that this is due.
    Unused(Step),
    /// Frozen, and somebody wants something of it.
    Stirred,
    /// Somebody wants it asleep, and nobody uses it, or that is no reason.
    Unwanted(Sleepers),
    /// Ended, though not by us.
    Died {
        /// The container; none if it is not even there any more.
        found: Option<Box<Container>>,
        /// Somebody sent it a signal before.
        by_hand: bool,
    },
}

impl Sidecar {
    /// Serves until unused or dead.
    pub(super) async fn serve(
        &mut self,
        up: &mut Up,
        activity: &mut Activity,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) -> Result<End, Failure> {
        let mut look = pin!(sleep(Duration::ZERO));
        let mut questions = Questions::new(self.engine.clone(), self.settings.container.clone());
        let mut sleepers = Sleepers::default();
        // Whoever was in a hurry before has had an answer: what came in between has made it stay up.
        activity.hurry(None);
        room.sleepers().for_each(|sleeper| sleepers.add(sleeper, activity));
        let mut killed: Option<Instant> = None;
        let by_hand = |killed: Option<Instant>| killed.is_some_and(|killed| killed.elapsed() < DYING);
        // When what is new is said at the latest: calls may come one after another.
        let mut news: Option<Instant> = None;
        let mut period = interval(STATUS_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if up.route.is_none() && room.is_waited_in() {
                if up.is_paused {
                    return Ok(End::Stirred);
                }
                questions.begin_anew();
                match self.open(up, room, watch, connections).await {
                    // It was on its way down when it was found; who waits has it woken.
                    Err(Failure::Died { .. }) => {
                        let found = match self.engine.inspect(&self.settings.container).await {
                            Err(Error::NoSuchContainer { .. }) => None,
                            found => Some(Box::new(found?)),
                        };
                        return Ok(End::Died { found, by_hand: by_hand(killed) });
                    }
                    opened => opened?,
                }
                // By force, while it was waited for.
                room.sleepers().for_each(|sleeper| sleepers.add(sleeper, activity));
                look.as_mut().reset(Instant::now());
            }
            let full = connections.len() >= self.settings.max_connections;
            tokio::select! {
                // What is rare comes first: a flood of clients must not hide it.
                biased;
                change = watch.next() => match change {
                    Change::Lost(error) => {
                        self.tell_unreachable(&error.to_string(), 0);
                        look.as_mut().reset(Instant::now());
                    }
                    Change::Happened(Event::Healthy) => {}
                    Change::Happened(Event::Killed(signal)) => if up.container.is_ended_by(signal) {
                        killed = Some(Instant::now());
                    },
                    Change::Happened(_) => questions.look(),
                    // An answer alone may be one that was on its way when the engine went.
                    Change::Subscribed => {
                        if self.is_away {
                            // An engine that ends has ended its containers too, and nobody meant this one.
                            (self.is_away, killed) = (false, None);
                        }
                        questions.look();
                    }
                },
                told = questions.told(&up.container.id) => {
                    match told {
                        Told::Container(since, found) => match self.compare(up, since, *found, activity, connections) {
                            Found::Up => watch.follow(&up.container.id),
                            Found::Unknown => {
                                questions.look_again();
                                sleepers.refuse(&unsure(), activity);
                            }
                            Found::Dead(found) => return Ok(End::Died { found, by_hand: by_hand(killed) }),
                        },
                        Told::CpuTime(Ok((at, used))) => {
                            if let Some(percent) = activity.measured(at, used, &self.sight(up, connections)) {
                                let busy = format!("busy: {percent} % CPU");
                                sleepers.refuse(&Refusal::in_use(&busy), activity);
                            }
                        }
                        Told::CpuTime(Err(error)) => {
                            questions.look_again();
                            if error.is_open() {
                                sleepers.refuse(&unsure(), activity);
                            }
                            if questions.keep_being_refused() {
                                self.warnings.of_stats(&self.settings, &error);
                                activity.set(Rules { busy_cpu: None, ..self.rules() });
                            }
                        }
                    }
                    look.as_mut().reset(Instant::now());
                }
                happening = connections.next(up.is_paused) => match happening {
                    Happening::Stirred => return Ok(End::Stirred),
                    Happening::Ended if self.settings.idle == Idle::Connections => connections.count_use(),
                    Happening::Ended => {}
                },
                () = self.holds.one_ended() => {
                    activity.count_use(Instant::now());
                    news.get_or_insert_with(|| Instant::now() + SOON);
                }
                Ok(()) = self.latest.changed() => {
                    self.retime();
                    activity.set(self.rules());
                    look.as_mut().reset(Instant::now());
                }
                () = &mut look => {
                    // The reactor is heard first: what has just arrived is use.
                    yield_now().await;
                    let now = Instant::now();
                    let sight = self.sight(up, connections);
                    if sleepers.consider(now, &sight, activity) {
                        return Ok(End::Unwanted(sleepers));
                    }
                    // Nothing is done on stale knowledge, and an engine may be away for long.
                    if !watch.is_subscribed() {
                        sleepers.refuse(&unsure(), activity);
                    }
                    let sure = questions.are_answered() && watch.is_subscribed();
                    match activity.next(now, &sight) {
                        Next::Wait(then) => look.as_mut().reset(then),
                        Next::Measure if sure => {
                            questions.measure(&up.container.id);
                            look.as_mut().reset(now + activity.longest_wait());
                        }
                        // Where it is full, whoever is queued is served after the sleep rather than never.
                        Next::Take(step) if sure && (full || !room.is_asked()) => {
                            if questions.were_just_answered() {
                                return Ok(sleepers.end(step));
                            }
                            questions.look();
                            look.as_mut().reset(now + SOON);
                        }
                        Next::Measure | Next::Take(_) => look.as_mut().reset(now + SOON),
                    }
                }
                () = sleep_until(news.unwrap_or_else(Instant::now)), if news.is_some() => {
                    news = None;
                    self.show(up, activity, connections);
                }
                _ = period.tick() => self.show(up, activity, connections),
                visit = room.visit(!full) => match (visit, &up.route) {
                    (Visit::Sleeper(sleeper), _) => {
                        sleepers.add(sleeper, activity);
                        look.as_mut().reset(Instant::now());
                    }
                    (Visit::Touch(answer), _) => {
                        activity.count_use(Instant::now());
                        news.get_or_insert_with(|| Instant::now() + SOON);
                        answer.give(());
                    }
                    (Visit::Watcher(answer), _) => {
                        self.show(up, activity, connections);
                        answer.give(());
                    }
                    // A frozen container accepts too: it is dialled while it thaws.
                    (Visit::Client(client), Some(route)) => if let Ok(address) = route.address(client.port) {
                        connections.dial(client.stream, address.clone(), route.grace(&address));
                    },
                    (Visit::Caller(caller), Some(_)) if !up.is_paused => {
                        let outlives_us = caller.lasting.is_some();
                        self.give_hold(caller);
                        if outlives_us {
                            self.show(up, activity, connections);
                        } else {
                            news.get_or_insert_with(|| Instant::now() + SOON);
                        }
                    }
                    (visit, Some(_)) => {
                        room.keep(visit);
                        return Ok(End::Stirred);
                    }
                    (visit, None) => room.keep(visit),
                },
            }
        }
    }

    /// Waits until a container that was found up answers, and lets those who wait through to it.
    async fn open(
        &mut self,
        up: &mut Up,
        room: &mut Room,
        watch: &mut Watch,
        connections: &mut Connections,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let deadline = begun + self.settings.wake_timeout;
        self.explain(Why::Unready { awaited: self.awaited() });
        let answering = until_answering(self.place(), room, watch, deadline).await?;
        // It was up already: how long that took tells nothing of a wake.
        self.woken(&answering, begun, room, |_| {});
        connections.thaw();
        self.enter(State::Awake, Some(&answering.container));
        *up = self.admit(answering, room, connections);
        Ok(())
    }

    pub(super) fn sight(&self, up: &Up, connections: &Connections) -> Sight {
        Sight {
            open: connections.seen(),
            last_use: connections.last_use(),
            holders: self.holds.by(),
            paused: up.is_paused,
        }
    }
}

/// Why nobody who wants it asleep can be told whether it is in use.
fn unsure() -> Refusal {
    Refusal::failed("the engine does not answer, and nobody else can tell what its container does")
}
