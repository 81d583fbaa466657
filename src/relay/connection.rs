//! Both directions of a connection, and how it ends.

use std::io;
use std::pin::pin;

use nix::errno::Errno;
use tokio::io::Interest;

use super::meter::Meter;
use super::pipes::Pipes;
use super::pump::pump;
use crate::socket::Stream;

/// Relays between a client and its container until both have ended.
///
/// An end of one direction is passed on and the other goes on (half-close). A reset or any other error of one ends both at
/// once, with a reset.
pub async fn relay(client: Stream, container: Stream, pipes: &Pipes, meter: &Meter) -> io::Result<()> {
    let relayed = both(&client, &container, pipes, meter).await;
    if relayed.is_err() {
        // Also the one that was told of an end already: that was not the whole story.
        client.reset_on_close()?;
        container.reset_on_close()?;
    }
    relayed
}

async fn both(client: &Stream, container: &Stream, pipes: &Pipes, meter: &Meter) -> io::Result<()> {
    let mut up = pin!(pump(client, container, pipes, &meter.up));
    let mut down = pin!(pump(container, client, pipes, &meter.down));
    // Nobody reads any more from the one that has ended: its reset is seen only if it is waited for.
    tokio::select! {
        biased;
        ended = &mut up => {
            ended?;
            tokio::select! { ended = down => ended, error = broken(client) => Err(error) }
        }
        ended = &mut down => {
            ended?;
            tokio::select! { ended = up => ended, error = broken(container) => Err(error) }
        }
    }
}

/// Waits until a socket has an error.
async fn broken(stream: &Stream) -> io::Error {
    match stream.io().ready(Interest::ERROR).await {
        Ok(_) => Errno::ECONNRESET.into(),
        Err(error) => error,
    }
}
