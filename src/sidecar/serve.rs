//! Serving: from a container that is up, awake or paused, to one that is unused or dead.

use std::pin::Pin;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep, sleep_until};

use super::questions::Questions;
use super::yielding::Sleepers;
use super::{Sidecar, Up};
use crate::activity::{Activity, Sight};
use crate::config::Idle;
use crate::connections::{Connections, Happening};
use crate::engine::{Container, Error, Watch};
use crate::failure::Failure;
use crate::record::State;
use crate::room::Room;
use crate::wake::until_answering;
use crate::why::{Step, Why};

/// How often the status line follows the count of connections.
pub(super) const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// How soon an unused sidecar is looked at again that something keeps as it is: a client is just coming, or the engine is
/// away. And how soon it says that somebody uses or holds it.
pub(super) const SOON: Duration = Duration::from_millis(100);
/// How long clients wait at most for the look that an end or a start of the container makes necessary.
pub(super) const UNCERTAIN: Duration = Duration::from_secs(1);
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

/// What is under way while it serves.
pub(super) struct Service {
    /// When it is looked at whether it is unused.
    look: Pin<Box<Sleep>>,
    /// What the engine is asked.
    pub(super) questions: Questions,
    /// Who wants it asleep.
    pub(super) sleepers: Sleepers,
    /// When somebody last sent it a signal that ends it.
    pub(super) killed: Option<Instant>,
    /// Until when nobody is let in: it may be another run than the one whose address is known.
    pub(super) uncertain_until: Option<Instant>,
    /// When what is new is said at the latest: calls may come one after another.
    news: Option<Instant>,
}

impl Service {
    /// Looks now at whether it is unused.
    pub(super) fn look(&mut self) {
        self.look_at(Instant::now());
    }

    /// Looks then.
    pub(super) fn look_at(&mut self, then: Instant) {
        self.look.as_mut().reset(then);
    }

    /// Something is to be said, with what else comes soon.
    pub(super) fn is_news(&mut self) {
        self.news.get_or_insert_with(|| Instant::now() + SOON);
    }

    /// The container is dead.
    pub(super) fn died(&self, found: Option<Box<Container>>) -> End {
        End::Died { found, by_hand: self.killed.is_some_and(|killed| killed.elapsed() < DYING) }
    }
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
        let mut service = Service {
            look: Box::pin(sleep(Duration::ZERO)),
            questions: Questions::new(self.engine.clone(), self.settings.container.clone()),
            sleepers: Sleepers::default(),
            killed: None,
            uncertain_until: None,
            news: None,
        };
        // Whoever was in a hurry before has had an answer: what came in between has made it stay up.
        activity.hurry(None);
        room.sleepers().for_each(|sleeper| service.sleepers.add(sleeper, activity));
        let mut period = interval(STATUS_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if up.route.is_none() && room.is_waited_in() {
                if up.is_paused {
                    return Ok(End::Stirred);
                }
                service.questions.begin_anew();
                match self.open(up, room, watch, connections).await {
                    // It was on its way down when it was found; who waits has it woken.
                    Err(Failure::Died { .. }) => {
                        return match self.engine.inspect(&self.settings.container).await {
                            Err(Error::NoSuchContainer { .. }) => Ok(service.died(None)),
                            found => Ok(service.died(Some(Box::new(found?)))),
                        };
                    }
                    opened => opened?,
                }
                // By force, while it was waited for.
                room.sleepers().for_each(|sleeper| service.sleepers.add(sleeper, activity));
                service.look();
            }
            if up.route.is_some() && self.state.record().doing() == State::Waking {
                // Whoever has just been let through has had no byte yet, and finds it awake.
                self.show(up, activity, connections);
                service.is_news();
            }
            let full = connections.len() >= self.settings.max_connections;
            let uncertain_until = service.uncertain_until;
            let end = tokio::select! {
                // What is rare comes first: a flood of clients must not hide it.
                biased;
                change = watch.next() => {
                    self.hear(change, up, &mut service);
                    None
                }
                told = service.questions.told(&up.container.id) => {
                    let end = self.learn(told, up, activity, &mut service, room, connections);
                    watch.follow(&up.container.id);
                    end
                }
                happening = connections.next(up.is_paused) => match happening {
                    Happening::Stirred => Some(End::Stirred),
                    Happening::Ended => {
                        if self.settings.idle == Idle::Connections {
                            connections.count_use();
                        }
                        if connections.have_unserved() {
                            service.questions.doubt();
                        }
                        None
                    }
                },
                () = self.holds.one_ended() => {
                    activity.count_use(Instant::now());
                    service.is_news();
                    None
                }
                Ok(()) = self.latest.changed() => {
                    self.retime();
                    activity.set(self.rules());
                    service.look();
                    None
                }
                () = &mut service.look => {
                    // The reactor is heard first: what has just arrived is use.
                    yield_now().await;
                    self.consider(up, activity, &mut service, room, watch, connections)
                }
                () = sleep_until(service.news.unwrap_or_else(Instant::now)), if service.news.is_some() => {
                    service.news = None;
                    self.show(up, activity, connections);
                    None
                }
                _ = period.tick() => {
                    self.show(up, activity, connections);
                    None
                }
                () = sleep_until(uncertain_until.unwrap_or_else(Instant::now)), if uncertain_until.is_some() => {
                    service.uncertain_until = None;
                    None
                }
                visit = room.visit(!full && uncertain_until.is_none()) => {
                    self.receive(visit, up, activity, &mut service, room, connections)
                }
            };
            if let Some(end) = end {
                return Ok(end);
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
