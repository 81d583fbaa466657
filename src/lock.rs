//! A file that one process at a time has, and that says who.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Takes the lock for `holder`, whose name goes into the file; or says who has it. The kernel releases it when it is dropped
/// or the process ends (flock(2)).
pub fn try_lock(path: &Path, holder: &str) -> io::Result<Result<Flock<File>, String>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)?;
            write!(lock, "{holder}")?;
            Ok(Ok(lock))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut other = String::new();
            file.read_to_string(&mut other)?;
            Ok(Err(other))
        }
        Err((_, error)) => Err(error.into()),
    }
}
