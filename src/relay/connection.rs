//! Both directions of a connection, and how it ends.

use std::io;

use super::meter::Meter;
use super::pipes::Pipes;
use super::pump::pump;
use crate::socket::Stream;

/// Relays between a client and its container until both have ended.
///
/// An end of one direction is passed on and the other goes on (half-close). A reset or any other error ends both at
/// once: the streams are dropped, and dropping a [`Stream`] resets its peer.
pub async fn relay(client: Stream, container: Stream, pipes: &Pipes, meter: &Meter) -> io::Result<()> {
    tokio::try_join!(
        pump(&client, &container, pipes, &meter.up),
        pump(&container, &client, pipes, &meter.down),
    )?;
    container.close()?;
    client.close()
}
