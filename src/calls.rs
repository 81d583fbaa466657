//! What can be asked of a sidecar by those who are not its clients: calls over a channel to its owner.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::holds::Hold;
use crate::name::Name;
use crate::why::Holder;

/// Something asked of a sidecar.
#[derive(Debug)]
pub enum Call {
    /// Wake, and keep awake until the hold is dropped. Answered when it is ready, or with the reason why not.
    Hold {
        /// Who wants it.
        holder: Holder,
        /// How long the hold lasts by itself; `None`: for as long as whoever gets it keeps it.
        lasting: Option<Duration>,
        /// Where the hold goes.
        answer: Answer<Hold>,
    },
    /// Sleep. Answered when it sleeps, or with the reason why not.
    Sleep {
        /// What for.
        cause: Cause,
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// Count as use, and wake nothing.
    Touch(Answer<()>),
    /// Say anew what it does, for somebody who looks.
    Tell(Answer<()>),
}

/// Why a sidecar is to sleep now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This one needs its group: if nobody uses it.
    Yield(Name),
    /// Somebody says so: if nobody uses it.
    Told,
    /// Somebody says so, whoever uses it.
    Forced,
}

impl Call {
    /// Why it is not done.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Call::Hold { answer, .. } => answer.refuse(refusal),
            Call::Sleep { answer, .. } | Call::Touch(answer) | Call::Tell(answer) => answer.refuse(refusal),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Call::Hold { answer, .. } => answer.is_closed(),
            Call::Sleep { answer, .. } | Call::Touch(answer) | Call::Tell(answer) => answer.is_closed(),
        }
    }
}

/// The way back to the caller. One that is dropped tells them that the sidecar's life has ended.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<Result<T, Refusal>>);

impl<T> Answer<T> {
    /// What was asked for. A caller who has gone gets nothing: a hold ends at once.
    pub fn give(self, what: T) {
        self.end(Ok(what));
    }

    /// Why not.
    pub fn refuse(self, refusal: Refusal) {
        self.end(Err(refusal));
    }

    /// One or the other.
    pub fn end(self, done: Result<T, Refusal>) {
        let _ = self.0.send(done);
    }

    /// Whether the caller has gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    #[cfg(test)]
    pub async fn closed(&mut self) {
        self.0.closed().await;
    }
}

/// Why something that was asked for is not done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What stands in the way.
    #[serde(skip)]
    pub kind: RefusalKind,
    /// The reason.
    pub error: String,
    /// The cure.
    pub hint: String,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalKind {
    /// Somebody uses it, or keeps it awake.
    InUse,
    /// It was tried, and has failed.
    #[default]
    Failed,
    /// There is no sidecar of this name.
    NoSuchSidecar,
}

impl Refusal {
    /// A reason and its cure.
    pub fn new(kind: RefusalKind, error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { kind, error: error.into(), hint: hint.into() }
    }

    /// Somebody uses it.
    pub fn in_use(why: &str) -> Refusal {
        Refusal::new(RefusalKind::InUse, why, "ask again when it is quiet")
    }

    /// It cannot be woken.
    pub fn failed(why: &str) -> Refusal {
        Refusal::new(RefusalKind::Failed, why, "journalctl has the whole story")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.error, self.hint)
    }
}

/// The sidecars of this process, and whom to call for each.
pub type Directory = BTreeMap<Name, Caller>;

/// The callers' end of one sidecar's line.
#[derive(Clone, Debug)]
pub struct Caller(mpsc::UnboundedSender<Call>);

/// The sidecar's end of its line.
#[derive(Debug)]
pub struct Calls {
    queue: mpsc::UnboundedReceiver<Call>,
    first: Option<Call>,
}

/// A line to one sidecar. Who may call bounds how many calls wait on it.
pub fn line() -> (Caller, Calls) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Caller(sender), Calls { queue: receiver, first: None })
}

impl Caller {
    /// Wakes the sidecar and keeps it awake. Cancelling it ends the hold, or the wish for one.
    pub async fn hold(&self, holder: Holder) -> Result<Hold, Refusal> {
        self.ask(|answer| Call::Hold { holder, lasting: None, answer }).await
    }

    /// Wakes the sidecar and keeps it awake for so long from then on.
    pub async fn keep(&self, holder: Holder, lasting: Duration) -> Result<(), Refusal> {
        self.ask(|answer| Call::Hold { holder, lasting: Some(lasting), answer }).await.map(drop)
    }

    /// Has the sidecar sleep.
    pub async fn sleep(&self, cause: Cause) -> Result<(), Refusal> {
        self.ask(|answer| Call::Sleep { cause, answer }).await
    }

    /// Counts as use of it.
    pub async fn touch(&self) -> Result<(), Refusal> {
        self.ask(Call::Touch).await
    }

    /// Has the sidecar say anew what it does.
    pub async fn tell(&self) -> Result<(), Refusal> {
        self.ask(Call::Tell).await
    }

    async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, Refusal> {
        let (sender, answer) = oneshot::channel();
        // A line whose end has gone drops the call, and the answer with it.
        let _ = self.0.send(call(Answer(sender)));
        let gone = "its helper was leaving and has not answered";
        answer.await.unwrap_or_else(|_| Err(Refusal::new(RefusalKind::Failed, gone, "ask again")))
    }
}

impl Calls {
    /// The next call whose caller still waits. Cancelling it loses none; it never ends.
    pub async fn next(&mut self) -> Call {
        loop {
            let call = match self.first.take() {
                Some(call) => Some(call),
                None => self.queue.recv().await,
            };
            match call {
                Some(call) if call.is_abandoned() => {}
                Some(call) => return call,
                None => pending().await,
            }
        }
    }

    /// Takes back a call that another shall answer: it is the next one again.
    pub fn give_back(&mut self, call: Call) {
        self.first = Some(call);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::holds::Holds;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test(flavor = "local")]
    async fn a_hold_is_given_or_refused() {
        let (caller, mut calls) = line();
        let holds = Holds::default();
        let owner = async {
            for turn in 0..2 {
                let Call::Hold { holder, answer, .. } = calls.next().await else { panic!("no hold") };
                match turn {
                    0 => answer.give(holds.take(holder)),
                    _ => answer.refuse(Refusal::new(RefusalKind::Failed, "it is broken", "mend it")),
                }
            }
        };
        let asker = async {
            let hold = caller.hold(Holder::named("web")).await.unwrap();
            assert_eq!(holds.by(), [Holder::named("web")]);
            drop(hold);
            assert!(holds.by().is_empty());
            assert_eq!(
                caller.hold(Holder::named("web")).await.unwrap_err().to_string(),
                "it is broken: mend it"
            );
        };
        tokio::join!(owner, asker);
    }

    #[tokio::test(flavor = "local")]
    async fn whose_caller_has_gone_is_passed_over() {
        let (caller, mut calls) = line();
        let web = Name::new("web").unwrap();
        assert!(timeout(SOON, caller.hold(Holder::named("impatient"))).await.is_err());
        assert!(timeout(SOON, caller.hold(Holder::named("impatient"))).await.is_err());
        let owner = async {
            let Call::Sleep { cause, answer } = calls.next().await else { panic!("no sleep") };
            assert_eq!(cause, Cause::Yield(web.clone()));
            answer.give(());
        };
        assert_eq!(tokio::join!(caller.sleep(Cause::Yield(web.clone())), owner).0, Ok(()));
    }

    #[tokio::test(flavor = "local")]
    async fn a_call_that_is_given_back_comes_before_those_that_wait() {
        let (caller, mut calls) = line();
        let owner = async {
            let first = calls.next().await;
            assert!(matches!(first, Call::Touch(_)));
            calls.give_back(first);
            for _ in 0..2 {
                match calls.next().await {
                    Call::Touch(answer) => answer.give(()),
                    Call::Sleep { answer, .. } => return answer.give(()),
                    _ => panic!("nobody asked for that"),
                }
            }
        };
        let (touched, slept, ()) = tokio::join!(caller.touch(), caller.sleep(Cause::Told), owner);
        assert_eq!((touched, slept), (Ok(()), Ok(())));
    }

    #[tokio::test(flavor = "local")]
    async fn nobody_waits_for_a_sidecar_that_has_left() {
        let (caller, mut calls) = line();
        let (answer, ()) = tokio::join!(caller.hold(Holder::named("a")), async { drop(calls.next().await) });
        assert_eq!(answer.unwrap_err().kind, RefusalKind::Failed);
        drop(calls);
        assert_eq!(caller.hold(Holder::named("b")).await.unwrap_err().kind, RefusalKind::Failed);
    }
}
