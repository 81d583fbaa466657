//! Who keeps a sidecar awake: the guards that were handed out, and their owner's list of them.
//!
//! A hold is a channel over which nothing is ever sent: each end notices when the other is dropped.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::why::Holder;

/// Holds that outlive their requests are bounded by nothing else.
const MOST_TIMED: usize = 64;

/// Keeps a sidecar awake until it is dropped or ended from the other side.
#[derive(Debug)]
pub struct Hold(mpsc::Sender<Infallible>);

/// The other end of one [`Hold`]; dropping it ends the hold.
#[derive(Debug)]
pub struct Held(mpsc::Receiver<Infallible>);

/// A hold, and the end to keep for whoever gives it.
pub fn hold() -> (Hold, Held) {
    let (sender, receiver) = mpsc::channel(1);
    (Hold(sender), Held(receiver))
}

impl Hold {
    /// Waits until it keeps nothing awake any more: the container has died, or its helper has.
    pub async fn ended(&self) {
        self.0.closed().await;
    }
}

impl Held {
    /// Waits until the hold has been dropped.
    pub async fn released(&mut self) {
        poll_fn(|context| self.poll_released(context)).await;
    }

    fn poll_released(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_recv(context).map(|None| ())
    }

    fn is_released(&self) -> bool {
        self.0.is_closed()
    }
}

/// The holds on one sidecar, as its owner sees them.
#[derive(Debug, Default)]
pub struct Holds {
    /// Who has each; those that were dropped stay until [`Holds::one_ended`] has told of them.
    list: RefCell<Vec<(Holder, Held)>>,
    /// Who waits for an end, and has not seen the holds that were taken since.
    waiting: RefCell<Option<Waker>>,
}

impl Holds {
    /// One more hold.
    pub fn take(&self, holder: Holder) -> Hold {
        let (hold, held) = hold();
        self.list.borrow_mut().push((holder, held));
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        hold
    }

    /// One more hold, which lasts by itself for so long; whoever has one already has it renewed. False if there are too many.
    pub fn keep(&self, holder: Holder, lasting: Duration) -> bool {
        let is_renewed = |(other, _): &(Holder, Held)| other.until_ms.is_some() && other.by == holder.by;
        if self.list.borrow().iter().any(|held| is_renewed(held) && holder.until_ms < held.0.until_ms) {
            return true;
        }
        self.list.borrow_mut().retain(|held| !is_renewed(held));
        if self.timed().len() >= MOST_TIMED {
            return false;
        }
        let hold = self.take(holder);
        spawn_local(async move {
            tokio::select! {
                () = sleep(lasting) => {}
                () = hold.ended() => {}
            }
        });
        true
    }

    /// Who has those that last by themselves.
    pub fn timed(&self) -> Vec<Holder> {
        let mut by = self.by();
        by.retain(|holder| holder.until_ms.is_some());
        by
    }

    /// Who has them, each once.
    pub fn by(&self) -> Vec<Holder> {
        let list = self.list.borrow();
        let mut by: Vec<_> =
            list.iter().filter(|(_, held)| !held.is_released()).map(|(by, _)| by.clone()).collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    /// Waits until one has been dropped, if none was since the last time. Cancelling it loses no end.
    pub async fn one_ended(&self) {
        let ended = |context: &mut Context<'_>| {
            self.waiting.replace(Some(context.waker().clone()));
            let mut list = self.list.borrow_mut();
            let before = list.len();
            list.retain_mut(|(_, held)| held.poll_released(context).is_pending());
            if list.len() < before { Poll::Ready(()) } else { Poll::Pending }
        };
        poll_fn(ended).await;
    }

    /// Ends all of them: the container has died by itself, and there is nothing to keep awake.
    pub fn end_all(&self) {
        self.list.take();
    }

    /// Ends those by which nobody requires it: somebody's hand has put it to sleep, and what requires it must not undo that.
    pub fn end_unrequired(&self) {
        self.list.borrow_mut().retain(|(holder, _)| holder.requires);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::task::{spawn_local, yield_now};
    use tokio::time::timeout;

    use super::*;

    /// Nothing comes, as far as one can see.
    const SOON: Duration = Duration::from_millis(20);
    /// Longer than anything here takes.
    const ENOUGH: Duration = Duration::from_secs(10);

    #[tokio::test(flavor = "local")]
    async fn a_dropped_hold_stops_counting_and_is_told_of_once() {
        let holds = Holds::default();
        let (first, second) = (holds.take(Holder::named("b")), holds.take(Holder::named("a")));
        let _third = holds.take(Holder::named("b"));
        assert_eq!(holds.by(), ["a", "b"].map(Holder::named));
        drop((first, second));
        assert_eq!(holds.by(), ["b"].map(Holder::named));
        holds.one_ended().await;
        assert!(timeout(SOON, holds.one_ended()).await.is_err(), "nothing has ended since");
    }

    #[tokio::test(flavor = "local")]
    async fn an_end_is_told_of_also_where_the_hold_is_younger_than_the_wait() {
        let holds = Rc::new(Holds::default());
        let list = holds.clone();
        let waiting = spawn_local(async move { list.one_ended().await });
        yield_now().await;
        let hold = holds.take(Holder::named("late"));
        yield_now().await;
        drop(hold);
        timeout(ENOUGH, waiting).await.unwrap().unwrap();
        assert!(holds.by().is_empty());
    }

    #[tokio::test(flavor = "local")]
    async fn every_hold_hears_that_all_have_ended() {
        let holds = Holds::default();
        let held = [holds.take(Holder::named("a")), holds.take(Holder::named("b"))];
        assert!(timeout(SOON, held[0].ended()).await.is_err());
        holds.end_all();
        assert!(holds.by().is_empty());
        for hold in &held {
            timeout(ENOUGH, hold.ended()).await.unwrap();
        }
        assert!(timeout(SOON, holds.one_ended()).await.is_err(), "none of them was dropped");
    }

    #[tokio::test(flavor = "local")]
    async fn a_hold_that_lasts_by_itself_ends_by_itself() {
        let holds = Holds::default();
        let until = |until_ms| Holder { until_ms: Some(until_ms), ..Holder::named("a") };
        let begun = tokio::time::Instant::now();
        assert!(holds.keep(until(1), SOON));
        let _other = holds.take(Holder::named("b"));
        assert_eq!(holds.timed(), [until(1)]);
        timeout(ENOUGH, holds.one_ended()).await.unwrap();
        assert!(begun.elapsed() >= SOON);
        assert_eq!(holds.by(), [Holder::named("b")]);
        let minute = Duration::from_secs(60);
        for until_ms in [5, 7, 6] {
            assert!(holds.keep(until(until_ms), minute));
        }
        assert_eq!(holds.timed(), [until(7)], "renewed, and never shortened");
        for number in 1..MOST_TIMED {
            assert!(holds.keep(Holder { by: number.to_string(), ..until(9) }, minute));
        }
        assert!(!holds.keep(Holder { by: "one too many".into(), ..until(9) }, minute));
        assert!(holds.keep(until(8), minute), "a renewal is none more");
    }

    #[tokio::test(flavor = "local")]
    async fn a_hand_ends_all_but_those_that_require_it() {
        let holds = Holds::default();
        let _required = holds.take(Holder { requires: true, ..Holder::named("app") });
        let held = holds.take(Holder::named("a"));
        holds.end_unrequired();
        timeout(ENOUGH, held.ended()).await.unwrap();
        assert_eq!(holds.by().len(), 1);
    }
}
