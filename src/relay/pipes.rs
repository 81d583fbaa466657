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
use rustix::param::page_size;
use tokio::sync::Notify;
use tokio::time::sleep;

/// So many pipes of a helper are wide: all of a user's pipes share 64 MiB (pipe(7), pipe-user-pages-soft).
const WIDE: usize = 4;
/// The size of a wide pipe, the most that anybody may ask for (pipe(7), pipe-max-size): for its slots, which are what a
/// pipe runs out of.
const WIDE_SIZE: i32 = 1 << 20;
/// How many slots a pipe has by default. A user who has no more of the 64 MiB gets pipes of two.
const SLOTS: usize = 16;
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
    /// Its place among all pipes, and among the wide ones, for as long as it lives.
    _open: Place,
    wide: Option<Place>,
}

impl Pipe {
    fn open(place: Place) -> nix::Result<Pipe> {
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let slots = size_in_slots(&write)?;
        Ok(Pipe { read, write, slots, _open: place, wide: None })
    }

    /// Takes a place among the wide pipes, unless the user has no more of the 64 MiB (EPERM).
    fn widen(&mut self, place: Place) {
        if fcntl(&self.write, FcntlArg::F_SETPIPE_SZ(WIDE_SIZE)).is_ok()
            && let Ok(slots) = size_in_slots(&self.write)
        {
            (self.slots, self.wide) = (slots, Some(place));
        }
    }
}

/// A slot counts for a page in a pipe's size, however many bytes are in it.
fn size_in_slots(pipe: &OwnedFd) -> nix::Result<usize> {
    let size = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    Ok(usize::try_from(size).unwrap_or(0) / page_size())
}

/// One of a limited number of places, free again when it is dropped.
type Place = Rc<()>;

/// How many places there are.
#[derive(Debug)]
struct Places {
    taken: Place,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Places {
        Places { taken: Rc::new(()), most }
    }

    fn take(&self) -> Option<Place> {
        // One of the references is our own.
        (Rc::strong_count(&self.taken) <= self.most).then(|| self.taken.clone())
    }
}

/// The pipes that nobody uses at the moment.
#[derive(Debug)]
pub struct Pipes {
    wide: RefCell<Vec<Pipe>>,
    narrow: RefCell<Vec<Pipe>>,
    /// How few have been spare since the last look: so many has nobody needed.
    unneeded: Cell<usize>,
    taken: Cell<u64>,
    given_back: Notify,
    places: Places,
    wide_places: Places,
}

impl Pipes {
    /// At most so many.
    pub fn new(most: usize) -> Pipes {
        Pipes {
            wide: RefCell::default(),
            narrow: RefCell::default(),
            unneeded: Cell::default(),
            taken: Cell::default(),
            given_back: Notify::new(),
            places: Places::new(most),
            wide_places: Places::new(WIDE),
        }
    }

    /// An empty pipe, the one that was given back last, if possible a wide one; none where all are in use and there is no
    /// place, or no descriptor, for another.
    pub fn take(&self) -> Option<Pipe> {
        self.taken.set(self.taken.get() + 1);
        let spare = self.wide.borrow_mut().pop().or_else(|| self.narrow.borrow_mut().pop());
        self.unneeded.set(self.unneeded.get().min(self.spare()));
        spare.or_else(|| {
            let mut pipe = Pipe::open(self.places.take()?).ok()?;
            self.widen(&mut pipe);
            Some(pipe)
        })
    }

    /// How often a pipe has been asked for: if no more often than by oneself, nobody else has bytes.
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Takes back a pipe that is empty; one with bytes in it must be dropped, or they would reach a stranger.
    pub fn give_back(&self, pipe: Pipe) {
        if pipe.slots < SLOTS {
            // Opened while there was no more of the 64 MiB: the next one may be whole again.
            return;
        }
        let stack = if pipe.wide.is_some() { &self.wide } else { &self.narrow };
        stack.borrow_mut().push(pipe);
        self.given_back.notify_one();
    }

    /// Closes the pipes that nobody has needed for a while, and gives free places among the wide ones to those that are
    /// needed; never ends.
    pub async fn tend(&self) {
        loop {
            self.given_back.notified().await;
            while self.spare() > 0 {
                self.unneeded.set(self.spare());
                sleep(KEPT).await;
                let mut unneeded = self.unneeded.get();
                for stack in [&self.narrow, &self.wide] {
                    let mut stack = stack.borrow_mut();
                    let closed = unneeded.min(stack.len());
                    drop(stack.drain(..closed));
                    unneeded -= closed;
                }
                self.widen_last();
            }
        }
    }

    /// The narrow pipe that is used first.
    fn widen_last(&self) {
        let last = self.narrow.borrow_mut().pop();
        if let Some(mut pipe) = last {
            self.widen(&mut pipe);
            self.give_back(pipe);
        }
    }

    fn widen(&self, pipe: &mut Pipe) {
        if let Some(place) = self.wide_places.take() {
            pipe.widen(place);
        }
    }

    fn spare(&self) -> usize {
        self.wide.borrow().len() + self.narrow.borrow().len()
    }
}
