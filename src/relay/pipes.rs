//! The pipes that bytes pass through, borrowed only while bytes are under way.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::time::sleep;

/// How many empty pipes are kept; one costs two descriptors and no pages.
const SPARE: usize = 64;
/// Between two tries while the file table is full.
const PAUSE: Duration = Duration::from_millis(10);

/// An empty or filled pipe. Neither end is registered: nobody ever waits on it.
#[derive(Debug)]
pub struct Pipe {
    /// Where bytes come out.
    pub read: OwnedFd,
    /// Where bytes go in.
    pub write: OwnedFd,
}

/// The pipes that nobody uses at the moment.
#[derive(Debug, Default)]
pub struct Pipes {
    spare: RefCell<Vec<Pipe>>,
}

impl Pipes {
    /// An empty pipe, of the kernel's default size: larger ones use up the user's budget (pipe(7), pipe-user-pages-soft)
    /// with a few dozen connections. Waits while the file table is full.
    pub async fn take(&self) -> io::Result<Pipe> {
        loop {
            if let Some(pipe) = self.spare.borrow_mut().pop() {
                return Ok(pipe);
            }
            match pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC) {
                Ok((read, write)) => return Ok(Pipe { read, write }),
                // Somebody gives one back soon, or a connection ends.
                Err(Errno::EMFILE | Errno::ENFILE) => sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes back a pipe that is empty; one with bytes in it must be dropped, or they would reach a stranger.
    pub fn give_back(&self, pipe: Pipe) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}
