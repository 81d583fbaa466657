//! Those who want it asleep and wait for that: another sidecar that needs the group, or somebody who says so.

use tokio::time::Instant;

use super::serve::End;
use crate::activity::{Activity, Sight};
use crate::calls::{Cause, Refusal};
use crate::room::Sleeper;
use crate::why::Step;

/// Who waits; while somebody does, `activity` is in a hurry.
#[derive(Debug, Default)]
pub struct Sleepers(Vec<Sleeper>);

impl Sleepers {
    /// One more.
    pub fn add(&mut self, sleeper: Sleeper, activity: &mut Activity) {
        self.0.push(sleeper);
        activity.hurry(Some(Instant::now()));
    }

    /// Nobody is waited for any more, and whoever waited is told why.
    pub fn refuse(&mut self, why: &Refusal, activity: &mut Activity) {
        if !self.0.is_empty() {
            self.0.drain(..).for_each(|sleeper| sleeper.answer.refuse(why.clone()));
            activity.hurry(None);
        }
    }

    /// Refuses while the sidecar is in use, as far as that can be seen at once, and forgets who has gone. Whether somebody
    /// wants it asleep all the same.
    pub fn consider(&mut self, now: Instant, sight: &Sight, activity: &mut Activity) -> bool {
        let before = self.0.len();
        self.0.retain(|sleeper| !sleeper.answer.is_closed());
        if self.0.is_empty() && before > 0 {
            activity.hurry(None);
        }
        if self.0.iter().any(|sleeper| sleeper.cause == Cause::Forced) {
            return true;
        }
        if !self.0.is_empty()
            && let Some(why) = activity.use_seen(now, sight)
        {
            self.refuse(&Refusal::in_use(&why), activity);
        }
        false
    }

    /// What ends serving when this step is due.
    pub fn end(self, step: Step) -> End {
        if self.0.is_empty() { End::Unused(step) } else { End::Unwanted(self) }
    }

    /// What its sleep is for: what somebody says comes before what another needs.
    pub fn cause(&self) -> Option<&Cause> {
        let said = |cause: &&Cause| !matches!(cause, Cause::Yield(_));
        let mut causes = self.0.iter().map(|sleeper| &sleeper.cause);
        causes.clone().find(said).or_else(|| causes.next())
    }

    /// Whether it is to sleep whoever uses it.
    pub fn are_forceful(&self) -> bool {
        self.0.iter().any(|sleeper| sleeper.cause == Cause::Forced)
    }

    /// It sleeps, or this is why not.
    pub fn answer(self, slept: Result<(), Refusal>) {
        self.0.into_iter().for_each(|sleeper| sleeper.answer.end(slept.clone()));
    }
}
