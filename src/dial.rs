//! A connection to a container that is thought to answer.

use std::io::{self, ErrorKind};
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::{Instant, sleep, timeout};

use crate::socket::{Address, Stream, is_full_table};

/// The first try's time, which doubles with each. A lost SYN is repeated by the kernel after a second; a fresh socket need
/// not wait for that.
const PATIENCE: Duration = Duration::from_millis(200);
/// When to give up: a listener whose backlog is full for so long, or a file table in which clients wait for each other.
const LIMIT: Duration = Duration::from_secs(25);
/// Between two looks at a full file table or backlog.
const ROOM: Duration = Duration::from_millis(100);

/// Connects to `address`, with a fresh socket whenever one try hangs. A refusal is final: this is no readiness probe.
pub async fn dial(address: &Address) -> io::Result<Stream> {
    let begun = Instant::now();
    let mut patience = PATIENCE;
    while begun.elapsed() < LIMIT {
        match timeout(patience, Stream::connect(address)).await {
            // A unix socket with a full backlog says so at once (connect(2), EAGAIN).
            Ok(Err(error)) if is_full_table(&error) || error.kind() == ErrorKind::WouldBlock => {
                sleep(ROOM).await
            }
            Ok(result) => return result,
            Err(_) => patience *= 2,
        }
    }
    Err(Errno::ETIMEDOUT.into())
}
