//! The pipes that bytes pass through, borrowed only while bytes are under way.
//!
//! Giving one back costs no system call, so nobody keeps one for its next byte: a helper with thousands of connections has
//! as many pipes as it has readers that are slower than their senders, and one.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::sync::Notify;
use tokio::time::sleep;

/// So many pipes of a helper are wide. All of a user's pipes share 64 MiB (pipe(7), pipe-user-pages-soft), and nearly all
/// bytes pass through the one that was given back last.
const WIDE: usize = 4;
/// The size of a wide pipe, the most that anybody may ask for (pipe(7), pipe-max-size).
const WIDE_SIZE: i32 = 1 << 20;
/// What one slot of a pipe counts for in its size, however many bytes are in it.
const SLOT: usize = 4096;
/// How long a pipe must have been spare to be closed.
const KEPT: Duration = Duration::from_secs(1);

/// A pipe. Neither end is registered: nobody ever waits on it.
#[derive(Debug)]
pub struct Pipe {
    /// Where bytes come out.
    pub read: OwnedFd,
    /// Where bytes go in.
    pub write: OwnedFd,
    /// How many pieces it can hold: a piece is what a sender's call or a segment has left in the socket.
    pub slots: usize,
    /// Counts it among the wide ones for as long as it lives.
    width: Option<Rc<()>>,
}

/// The pipes that nobody uses at the moment.
#[derive(Debug, Default)]
pub struct Pipes {
    wide: RefCell<Vec<Pipe>>,
    narrow: RefCell<Vec<Pipe>>,
    /// How few have been spare since the last look: those that nobody has needed.
    least: Cell<usize>,
    given_back: Notify,
    width: Rc<()>,
}

impl Pipes {
    /// An empty pipe, the last one used if it is wide; none where the file table is full.
    pub fn take(&self) -> Option<Pipe> {
        let spare = self.wide.borrow_mut().pop().or_else(|| self.narrow.borrow_mut().pop());
        self.least.set(self.least.get().min(self.spare()));
        spare.or_else(|| self.open())
    }

    /// Takes back a pipe that is empty; one with bytes in it must be dropped, or they would reach a stranger.
    pub fn give_back(&self, pipe: Pipe) {
        let stack = if pipe.width.is_some() { &self.wide } else { &self.narrow };
        stack.borrow_mut().push(pipe);
        self.given_back.notify_one();
    }

    /// Closes the pipes that nobody has needed for a while; never ends.
    pub async fn close_unused(&self) {
        loop {
            self.given_back.notified().await;
            self.least.set(self.spare());
            while self.spare() > 0 {
                sleep(KEPT).await;
                let mut unused = self.least.get();
                for stack in [&self.narrow, &self.wide] {
                    let mut stack = stack.borrow_mut();
                    let kept = stack.len().saturating_sub(unused);
                    unused -= stack.len() - kept;
                    stack.truncate(kept);
                }
                self.least.set(self.spare());
            }
        }
    }

    fn spare(&self) -> usize {
        self.wide.borrow().len() + self.narrow.borrow().len()
    }

    fn open(&self) -> Option<Pipe> {
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).ok()?;
        // A user who has no more of the 64 MiB is refused (EPERM), or has got a pipe of two slots: both work.
        let width = (Rc::strong_count(&self.width) <= WIDE
            && fcntl(&write, FcntlArg::F_SETPIPE_SZ(WIDE_SIZE)).is_ok())
        .then(|| self.width.clone());
        let size = fcntl(&write, FcntlArg::F_GETPIPE_SZ).ok()?;
        Some(Pipe { read, write, slots: usize::try_from(size).ok()? / SLOT, width })
    }
}
