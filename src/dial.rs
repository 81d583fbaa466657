//! A connection to a container that is thought to answer.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::{sleep, timeout};

use crate::socket::{Address, Stream, is_full_table};

/// The first try's time. A lost SYN is repeated by the kernel after a second; a fresh socket need not wait for that.
const PATIENCE: Duration = Duration::from_millis(200);
/// Seven tries, 25 s: as long as a client would wait for a listener whose backlog is full.
const TRIES: u32 = 7;
/// Between two looks at a full file table. They count as tries: clients that all wait for each other's descriptors must
/// not do so for ever.
const ROOM: Duration = Duration::from_millis(500);

/// Connects to `address`, with a fresh socket whenever one try hangs. A refusal is final: this is no readiness probe.
pub async fn dial(address: &Address) -> io::Result<Stream> {
    let mut tries = 0;
    while tries < TRIES {
        match timeout(PATIENCE * (1 << tries), Stream::connect(address)).await {
            Ok(Err(error)) if is_full_table(&error) => sleep(ROOM).await,
            Ok(result) => return result,
            Err(_) => {}
        }
        tries += 1;
    }
    Err(Errno::ETIMEDOUT.into())
}
