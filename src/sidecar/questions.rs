//! What the engine is asked about a container that is up: one question at a time, beside everything else, so that an engine
//! that hangs keeps nobody waiting.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use crate::engine::{Container, CpuTime, Docker, Error};

/// How soon the engine is asked again for what it did not tell.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an answer shows that the engine answers.
const FRESH: Duration = Duration::from_millis(100);

/// So many refusals in a row are no accident.
const MOST_REFUSALS: u32 = 3;

/// What the engine says.
pub enum Told {
    /// The container, and since when something was thought to have happened to it.
    Container(Instant, Box<Result<Container, Error>>),
    /// How much CPU time it had used at some moment since the question.
    CpuTime(Result<(Instant, Duration), Error>),
}

/// The questions about one container.
pub struct Questions {
    engine: Rc<Docker>,
    name: String,
    asked: Option<Question>,
    /// When the container is to be looked at.
    look_at: Option<Instant>,
    heard: Option<Instant>,
    /// Refusals in a row to tell the CPU time.
    refusals: u32,
}

struct Question {
    /// What may take a second, and gives way to a look.
    can_wait: bool,
    told: Pin<Box<dyn Future<Output = Told>>>,
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

impl Questions {
    /// None yet, of the container of this name.
    pub fn new(engine: Rc<Docker>, name: String) -> Questions {
        Questions { engine, name, asked: None, look_at: None, heard: None, refusals: 0 }
    }

    /// Something has happened to the container: it is looked at now.
    pub fn look(&mut self) {
        self.look_at = Some(Instant::now());
    }

    /// It could not be connected to, which may mean that something has happened: it is looked at, though not at every client's
    /// word.
    pub fn doubt(&mut self) {
        let now = Instant::now();
        let then = self.heard.map_or(now, |heard| now.max(heard + FRESH));
        self.look_at.get_or_insert(then);
    }

    /// What became of it is still unknown: it is looked at again soon.
    pub fn look_again(&mut self) {
        self.look_at = Some(Instant::now() + AGAIN);
    }

    /// What was asked may be of another run by now: it is forgotten, and the container looked at.
    pub fn begin_anew(&mut self) {
        self.asked = None;
        self.look();
    }

    /// Asks how much CPU time the container of this id has used.
    pub fn measure(&mut self, id: &str) {
        let (engine, id) = (self.engine.clone(), id.to_owned());
        let asked = Instant::now();
        let told = Box::pin(async move {
            let told = engine.cpu(&id).await;
            Told::CpuTime(told.map(|time| (moment(&time, asked), time.used)))
        });
        self.asked = Some(Question { can_wait: true, told });
    }

    /// Whether the engine will not tell the CPU time: one refusal may have to do with what happens to the container.
    pub fn keep_being_refused(&self) -> bool {
        self.refusals >= MOST_REFUSALS
    }

    /// Whether nothing is asked, and nothing is to be.
    pub fn are_answered(&self) -> bool {
        self.asked.is_none() && self.look_at.is_none()
    }

    /// Whether the engine has just answered: what keeps clients waiting is asked of no other.
    pub fn were_just_answered(&self) -> bool {
        self.heard.is_some_and(|heard| heard.elapsed() <= FRESH)
    }

    /// Waits for an answer, and asks what is to be asked; `id` is that of the container so far. Cancelling it loses nothing.
    pub async fn told(&mut self, id: &str) -> Told {
        loop {
            let may_look = self.asked.as_ref().is_none_or(|asked| asked.can_wait);
            tokio::select! {
                biased;
                told = answered(&mut self.asked) => {
                    self.asked = None;
                    if told.is_answer() {
                        self.heard = Some(Instant::now());
                    }
                    match &told {
                        Told::CpuTime(Ok(_)) => self.refusals = 0,
                        Told::CpuTime(Err(Error::Refused { .. })) => self.refusals += 1,
                        _ => {}
                    }
                    return told;
                }
                since = at(self.look_at), if may_look => {
                    self.look_at = None;
                    let (engine, name, id) = (self.engine.clone(), self.name.clone(), id.to_owned());
                    let told = async move { Told::Container(since, Box::new(look_up(&engine, &name, &id).await)) };
                    self.asked = Some(Question { can_wait: false, told: Box::pin(told) });
                }
            }
        }
    }
}

/// When a reading was taken that was asked for at `asked`: an answer may be late, and work between the two looks like rest.
fn moment(time: &CpuTime, asked: Instant) -> Instant {
    let age = time.read.and_then(|read| SystemTime::now().duration_since(read).ok()).unwrap_or_default();
    Instant::now() - age.min(asked.elapsed())
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

async fn answered(asked: &mut Option<Question>) -> Told {
    match asked {
        Some(asked) => (&mut asked.told).await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) -> Instant {
    match moment {
        Some(moment) => {
            sleep_until(moment).await;
            moment
        }
        None => pending().await,
    }
}
