//! The lock of an exclusive group: one wake at a time among its sidecars, whichever helpers they have.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use tokio::time::sleep;

use crate::lock::try_lock;
use crate::name::Name;

/// Between two tries at first; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The lock of one group. It is released when this is dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub struct GroupLock(Flock<File>);

impl GroupLock {
    /// Waits until `sidecar` has the lock of its group. Cancelling it gives up the wish.
    ///
    /// It tries over and over, since a thread that waited in flock(2) could not be cancelled.
    pub async fn take(directory: &Path, group: &Name, sidecar: &Name) -> io::Result<GroupLock> {
        let path = path(directory, group);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(lock) = try_lock(&path, sidecar.as_str())? {
                return Ok(GroupLock(lock));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who has the lock of a group, for messages: what its file says at this moment.
    pub fn holder(directory: &Path, group: &Name) -> Option<String> {
        fs::read_to_string(path(directory, group)).ok().filter(|holder| !holder.is_empty())
    }
}

impl Drop for GroupLock {
    fn drop(&mut self) {
        // Only what a crashed helper has left can name somebody who has it no more.
        let _ = self.0.set_len(0);
    }
}

/// No sidecar's name begins with '@', so no sidecar's lock is this file.
fn path(directory: &Path, group: &Name) -> PathBuf {
    directory.join(format!("@{group}.lock"))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(150);
    const ENOUGH: Duration = Duration::from_secs(10);

    fn names() -> (Name, Name, Name) {
        (Name::new("gpu0").unwrap(), Name::new("ollama").unwrap(), Name::new("whisper").unwrap())
    }

    #[tokio::test(flavor = "local")]
    async fn one_waits_for_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (gpu, ollama, whisper) = names();
        let first = GroupLock::take(directory, &gpu, &ollama).await.unwrap();
        assert_eq!(GroupLock::holder(directory, &gpu).as_deref(), Some("ollama"));
        assert!(timeout(SOON, GroupLock::take(directory, &gpu, &whisper)).await.is_err());
        let (second, ()) = tokio::join!(GroupLock::take(directory, &gpu, &whisper), async {
            sleep(FIRST_PAUSE).await;
            drop(first);
        });
        assert_eq!(GroupLock::holder(directory, &gpu).as_deref(), Some("whisper"));
        drop(second);
        assert_eq!(GroupLock::holder(directory, &gpu), None);
    }

    #[tokio::test(flavor = "local")]
    async fn groups_do_not_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let (gpu, ollama, whisper) = names();
        let _first = GroupLock::take(directory.path(), &gpu, &ollama).await.unwrap();
        // A group may have the name of a sidecar.
        timeout(ENOUGH, GroupLock::take(directory.path(), &whisper, &whisper)).await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "local")]
    async fn without_a_directory_it_says_so() {
        let (gpu, ollama, _) = names();
        assert!(GroupLock::take(Path::new("/proc/nowhere"), &gpu, &ollama).await.is_err());
    }
}
