//! Another sidecar that needs the group and waits for this one to make room.

use tokio::time::Instant;

use super::serve::End;
use crate::activity::{Activity, Sight, Step};
use crate::calls::{Answer, Refusal};
use crate::name::Name;

/// Who waits, if anybody; while somebody does, `activity` is in a hurry.
#[derive(Debug, Default)]
pub struct Asker(Option<(Name, Answer<()>)>);

impl Asker {
    /// Somebody asks.
    pub fn comes(&mut self, to: Name, answer: Answer<()>, activity: &mut Activity) {
        self.refuse("it is asked twice", activity);
        self.0 = Some((to, answer));
        activity.hurry(Some(Instant::now()));
    }

    /// Nobody is waited for any more, and whoever waited is told why.
    pub fn refuse(&mut self, why: &str, activity: &mut Activity) {
        if let Some((_, answer)) = self.0.take() {
            answer.refuse(Refusal::in_use(why));
            activity.hurry(None);
        }
    }

    /// Refuses while the sidecar is in use, as far as that can be seen at once, and forgets who has gone.
    pub fn consider(&mut self, now: Instant, sight: &Sight, activity: &mut Activity) {
        if self.0.take_if(|(_, answer)| answer.is_closed()).is_some() {
            activity.hurry(None);
        }
        if self.0.is_some()
            && let Some(why) = activity.use_seen(now, sight)
        {
            self.refuse(&why, activity);
        }
    }

    /// What ends serving when this step is due.
    pub fn end(self, step: Step) -> End {
        match self.0 {
            Some((to, answer)) => End::Yields(to, answer),
            None => End::Unused(step),
        }
    }
}
