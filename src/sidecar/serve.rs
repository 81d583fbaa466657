//! Serving: from a container that is up, awake or paused, to one that is unused or dead.

use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::{Run, Sidecar, Up};
use crate::activity::{Activity, Next, Rules, Sight, Step};
use crate::calls::{Answer, Refusal};
use crate::config::Idle;
use crate::connections::{Connections, Happening};
use crate::engine::{Change, Container, Docker, Error, Event, Watch};
use crate::failure::Failure;
use crate::name::Name;
use crate::room::{Room, Visit};
use crate::state::State;
use crate::wake::until_answering;

/// How often the status line follows the count of connections.
const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// How soon the engine is asked again for what it did not tell.
const RECHECK: Duration = Duration::from_secs(1);
/// How old an answer of the engine may be for something to be asked of it that keeps clients waiting: one that hangs is not.
const FRESH: Duration = Duration::from_millis(100);
/// How soon an unused sidecar is looked at again that something keeps as it is: a client is just coming, or the engine is
/// away.
const SOON: Duration = Duration::from_millis(100);

/// How long after a signal by somebody's hand a death is taken for what the signal was sent for.
const DYING: Duration = Duration::from_secs(60);

/// What ended serving.
#[derive(Debug)]
pub enum End {
    /// Unused for so long that this is due.
    Unused(Step),
    /// Frozen, and somebody wants something of it.
    Stirred,
    /// Unused, and another one needs its group.
    Yields(Name, Answer<()>),
    /// Ended, though not by us.
    Died {
        /// The container; none if it is not even there any more.
        found: Option<Box<Container>>,
        /// Somebody sent it a signal before.
        by_hand: bool,
    },
}

/// What the engine was asked, and says.
enum Told {
    /// And since when something was thought to have happened to it.
    Container(Instant, Box<Result<Container, Error>>),
    CpuTime(Result<Duration, Error>),
}

impl Told {
    /// Whether the engine answers, be it with a no.
    fn is_answer(&self) -> bool {
        match self {
            Told::Container(_, found) => !matches!(&**found, Err(error) if error.is_open()),
            Told::CpuTime(time) => !matches!(time, Err(error) if error.is_open()),
        }
    }
}

/// One question to the engine at a time, beside everything else: an engine that hangs keeps nobody waiting.
struct Question {
    /// What may take a second, and gives way to what is urgent.
    can_wait: bool,
    told: Pin<Box<dyn Future<Output = Told>>>,
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
        let mut recheck = None;
        let mut question: Option<Question> = None;
        let mut yields: Option<(Name, Answer<()>)> = None;
        // Whoever was in a hurry before has had an answer: what came in between has made it stay up.
        activity.hurry(None);
        let mut killed: Option<Instant> = None;
        let mut heard: Option<Instant> = None;
        let by_hand = |killed: Option<Instant>| killed.is_some_and(|killed| killed.elapsed() < DYING);
        let mut period = interval(STATUS_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if up.route.is_none() && room.is_waited_in() {
                if up.is_paused {
                    return Ok(End::Stirred);
                }
                // What was asked meanwhile may be of another run.
                (question, recheck) = (None, Some(Instant::now()));
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
            }
            let full = connections.len() >= self.settings.max_connections;
            tokio::select! {
                // What is rare comes first: a flood of clients must not hide it.
                biased;
                change = watch.next() => match change {
                    Change::Lost(error) => self.tell_unreachable(&error.to_string(), 0),
                    Change::Happened(Event::Healthy) => {}
                    Change::Happened(Event::Killed) => killed = Some(Instant::now()),
                    Change::Happened(_) => recheck = Some(Instant::now()),
                    // An answer alone may be one that was on its way when the engine went.
                    Change::Subscribed => (self.is_away, recheck) = (false, Some(Instant::now())),
                },
                told = answered(&mut question) => {
                    question = None;
                    if told.is_answer() {
                        heard = Some(Instant::now());
                    }
                    match told {
                        Told::Container(since, found) => match self.compare(up, since, *found, activity, connections) {
                            Found::Up => watch.follow(&up.container.id),
                            Found::Unknown => recheck = Some(Instant::now() + RECHECK),
                            Found::Dead(found) => return Ok(End::Died { found, by_hand: by_hand(killed) }),
                        },
                        Told::CpuTime(Ok(time)) => {
                            let now = Instant::now();
                            let busy = activity.measured(now, time, &self.sight(up, connections));
                            if let Some(percent) = busy && let Some((_, answer)) = yields.take() {
                                answer.refuse(Refusal::in_use(&format!("busy: {percent} % CPU")));
                                activity.hurry(None);
                            }
                        }
                        Told::CpuTime(Err(error)) if error.is_open() => recheck = Some(Instant::now() + RECHECK),
                        Told::CpuTime(Err(error)) => {
                            self.warnings.of_stats(&self.settings, &error);
                            activity.set(Rules { busy_cpu: None, ..self.rules() });
                        }
                    }
                    look.as_mut().reset(Instant::now());
                }
                () = at(recheck), if question.as_ref().is_none_or(|question| question.can_wait) => {
                    let since = recheck.take().unwrap_or_else(Instant::now);
                    question = Some(self.ask_for_container(up, since));
                }
                happening = connections.next() => match happening {
                    Happening::Stirred => return Ok(End::Stirred),
                    Happening::Ended if self.settings.idle == Idle::Connections => connections.count_use(),
                    Happening::Ended => {}
                },
                () = self.holds.one_ended() => activity.count_use(Instant::now()),
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
                    if yields.take_if(|(_, answer)| answer.is_closed()).is_some() {
                        activity.hurry(None);
                    }
                    if yields.is_some() && let Some(why) = activity.use_seen(now, &sight) {
                        activity.hurry(None);
                        yields.take().into_iter().for_each(|(_, answer)| answer.refuse(Refusal::in_use(&why)));
                    }
                    // Nothing is done on stale knowledge.
                    let sure = recheck.is_none() && question.is_none() && watch.is_subscribed();
                    match activity.next(now, &sight) {
                        Next::Wait(then) => look.as_mut().reset(then),
                        Next::Measure if sure => {
                            question = Some(self.ask_for_cpu_time(up));
                            look.as_mut().reset(now + activity.longest_wait());
                        }
                        Next::Take(step) if sure && !room.is_asked() => {
                            if heard.is_none_or(|heard| heard.elapsed() > FRESH) {
                                recheck = Some(now);
                                look.as_mut().reset(now + SOON);
                                continue;
                            }
                            return Ok(match yields {
                                Some((to, answer)) => End::Yields(to, answer),
                                None => End::Unused(step),
                            });
                        }
                        Next::Measure | Next::Take(_) => look.as_mut().reset(now + SOON),
                    }
                }
                _ = period.tick() => self.show(up, connections),
                visit = room.visit(!full) => match (visit, &up.route) {
                    (Visit::Yield(to, answer), _) => {
                        let earlier = yields.replace((to, answer));
                        earlier.into_iter().for_each(|(_, answer)| answer.refuse(Refusal::in_use("it is asked twice")));
                        activity.hurry(Some(Instant::now()));
                        look.as_mut().reset(Instant::now());
                    }
                    // A frozen container accepts too: it is dialled while it thaws.
                    (Visit::Client(client), Some(route)) => if let Ok(address) = route.address(client.port) {
                        connections.dial(client.stream, address.clone(), route.grace(&address));
                    },
                    (Visit::Caller(caller), Some(_)) if !up.is_paused => {
                        caller.answer.give(self.holds.take(&caller.by));
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
        let answering = until_answering(self.place(), room, watch, deadline).await?;
        self.woken(&answering, begun, room);
        connections.thaw();
        self.enter(State::Awake, Some(&answering.container));
        *up = self.admit(answering, room, connections);
        Ok(())
    }

    /// What has become of the container that is up.
    fn compare(
        &mut self,
        up: &mut Up,
        since: Instant,
        found: Result<Container, Error>,
        activity: &mut Activity,
        connections: &mut Connections,
    ) -> Found {
        let found = match found {
            Err(Error::NoSuchContainer { .. }) => return Found::Dead(None),
            Err(_) => return Found::Unknown,
            Ok(found) if !found.is_up() => return Found::Dead(Some(Box::new(found))),
            Ok(found) => found,
        };
        self.told = None;
        if found.is_restarting() || Run::of(&found) != Run::of(&up.container) {
            // Another run, or none between two of them: its address is another one, and whether it answers yet is unknown.
            self.part_with(connections);
            self.run = Some(Run::of(&found));
            *up = Up::found(found);
            if up.is_paused {
                connections.freeze();
            }
            self.enter(if up.is_paused { State::Paused } else { State::Awake }, Some(&up.container));
            return Found::Up;
        }
        match (up.is_paused, found.is_paused()) {
            (false, true) => self.frozen(up, since, connections),
            (true, false) => {
                self.thawed(up, None, connections);
                activity.refuse_pause(Instant::now());
            }
            _ => {}
        }
        up.container = found;
        self.show(up, connections);
        Found::Up
    }

    fn sight(&self, up: &Up, connections: &Connections) -> Sight {
        Sight {
            open: connections.seen(),
            last_use: connections.last_use(),
            holders: self.holds.by(),
            paused: up.is_paused,
        }
    }

    fn show(&self, up: &Up, connections: &Connections) {
        let state = if up.is_paused { "paused" } else { "awake" };
        self.status.set(format!("{state}, open connections: {}", connections.len()));
    }

    fn ask_for_container(&self, up: &Up, since: Instant) -> Question {
        let (engine, name, id) =
            (self.engine.clone(), self.settings.container.clone(), up.container.id.clone());
        let told = async move { Told::Container(since, Box::new(look_up(&engine, &name, &id).await)) };
        Question { can_wait: false, told: Box::pin(told) }
    }

    fn ask_for_cpu_time(&self, up: &Up) -> Question {
        let (engine, id) = (self.engine.clone(), up.container.id.clone());
        Question { can_wait: true, told: Box::pin(async move { Told::CpuTime(engine.cpu(&id).await) }) }
    }
}

/// What a look at the container showed.
enum Found {
    Up,
    Unknown,
    Dead(Option<Box<Container>>),
}

/// The container that has the name now; the one that has served so far if it was renamed and no other has taken its place.
async fn look_up(engine: &Docker, name: &str, id: &str) -> Result<Container, Error> {
    let found = engine.inspect(name).await;
    let replaced = match &found {
        Err(Error::NoSuchContainer { .. }) => true,
        Ok(found) => found.id != id && !found.is_up(),
        Err(_) => false,
    };
    match replaced {
        true => match engine.inspect(id).await {
            Ok(renamed) if renamed.is_up() => Ok(renamed),
            Err(error) if error.is_open() => Err(error),
            _ => found,
        },
        false => found,
    }
}

async fn answered(question: &mut Option<Question>) -> Told {
    match question {
        Some(question) => (&mut question.told).await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
