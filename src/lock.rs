//! A file that one process at a time has, and that says who.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// Takes the lock for `holder`, whose name goes into the file; or says who has it. The kernel releases it when it is dropped
/// or the process ends (flock(2)).
pub fn try_lock(path: &Path, holder: &str) -> io::Result<Result<Flock<File>, String>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        // Root may be led by no link that the helpers' user has put there.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    give_to_owner(&file, path);
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

/// What root makes in the folder of the helpers' user is that user's: a lock that he may not open keeps him from the state file
/// for good.
fn give_to_owner(file: &File, path: &Path) {
    let owner = path.parent().map(fs::metadata);
    if let (Some(Ok(owner)), Ok(made)) = (owner, file.metadata())
        && made.uid() != owner.uid()
    {
        // Only root may, and only root needs to.
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::chown;

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn a_lock_belongs_to_the_owner_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        // Whoever is not root can only be that one himself.
        let owner = if geteuid().is_root() { 4242 } else { geteuid().as_raw() };
        chown(folder.path(), Some(owner), None).unwrap();
        let path = folder.path().join("web.lock");
        let lock = try_lock(&path, "me").unwrap().unwrap();
        assert_eq!(lock.metadata().unwrap().uid(), owner);
        assert_eq!(try_lock(&path, "you").unwrap().unwrap_err(), "me");
    }
}
