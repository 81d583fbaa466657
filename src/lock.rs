//! A file that one process at a time has, and that says who.

use std::fs::{self, File, OpenOptions};
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

/// The process that has the lock now, if it wrote its id into the file: found in /proc/locks (proc_locks(5)), without a lock of
/// our own. None where that process is not to be seen from here.
pub fn holder(path: &Path) -> Option<u32> {
    let pid = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // Not by device and inode, which overlayfs tells otherwise than /proc/locks.
    let is_its = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = [words.next(), words.next(), words.next()];
        kind == [Some("FLOCK"), Some("ADVISORY"), Some("WRITE")]
            && words.next().and_then(|word| word.parse().ok()) == Some(pid)
    };
    locks.lines().any(is_its).then_some(pid)
}
