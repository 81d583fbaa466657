//! Starting processes with exactly the descriptors meant for them.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// Held around every spawn: while one child's descriptors are open for inheritance no other child may start.
static SPAWNING: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    SPAWNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Starts `command`, which inherits nothing but what its stdio says.
#[track_caller]
pub fn spawn(command: &mut Command) -> Child {
    let _held = lock();
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs `command` to its end and collects what it wrote.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
        .wait_with_output()
        .unwrap()
}

/// Starts what `build` makes of the descriptors' numbers, and only that process inherits them.
#[track_caller]
pub fn spawn_with(fds: &[BorrowedFd<'_>], build: impl FnOnce(&[RawFd]) -> Command) -> Child {
    let _held = lock();
    let copies: Vec<RawFd> = fds.iter().map(|fd| copy_high(*fd)).collect();
    let child = build(&copies).spawn();
    for copy in copies {
        close(copy).unwrap();
    }
    child.unwrap()
}

/// A copy that is inherited, with a number far from those that bash and the child use themselves.
fn copy_high(fd: BorrowedFd<'_>) -> RawFd {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    fcntl(fd.as_fd(), FcntlArg::F_DUPFD(i32::try_from(soft.min(20_000)).unwrap() - 64)).unwrap()
}

/// Lets this process open as many files as it ever may: a test with 200 clients holds many.
pub fn raise_limits() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
