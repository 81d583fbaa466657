//! One direction of a connection: socket → carrier → socket.
//!
//! One rule removes three kinds of fault: fill only an empty carrier, drain it by its exact count, never ask for more.
//! A pipe is full when its slots are, whatever its bytes, so EAGAIN from filling one that holds bytes does not tell
//! whether the socket or the pipe is the cause; a socket taken for empty that is not stalls for ever, one taken for
//! readable that is not spins.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;
use tokio::task::yield_now;

use super::carrier::{Buffer, Carrier};
use super::meter::Lane;
use super::pipes::Pipes;
use crate::socket::Stream;

/// A turn of a stream that has the helper to itself: the fewer pieces the bytes go in, the fewer segments they fill by half.
const TURN_ALONE: usize = 1 << 20;
/// A turn of one that others wait for: being ready costs no budget of the scheduler's, so nothing else would end it.
const TURN_BESIDE_OTHERS: usize = 256 << 10;
/// What the smallest fill counts for in a turn: the calls cost as much time as the bytes.
const SMALLEST: usize = 16 << 10;

/// Moves bytes from `src` to `dst` until `src` has ended, and passes the end on. An error of either end is the
/// connection's: a reset is reported once, and only to one side, so nothing may follow it.
///
/// Dropping it half-way loses what is in its carrier: only a connection that is given up may be dropped.
pub async fn pump(src: &Stream, dst: &Stream, pipes: &Pipes, lane: &Lane) -> io::Result<()> {
    let mut taken = 0;
    loop {
        drop(readable(src).await?);
        let turn = if pipes.taken() == taken { TURN_ALONE } else { TURN_BESIDE_OTHERS };
        let pipe = pipes.take();
        taken = pipes.taken();
        let left = match pipe {
            Some(mut pipe) => {
                let left = pass(src, dst, &mut pipe, turn, lane).await?;
                pipes.give_back(pipe);
                left
            }
            None => pass(src, dst, &mut Buffer::new(), turn, lane).await?,
        };
        match left {
            Left::Nothing => {}
            Left::More => yield_now().await,
            Left::End => {
                lane.end();
                return dst.end_writing();
            }
        }
    }
}

/// What a turn has left in the socket.
enum Left {
    /// All bytes so far have been moved.
    Nothing,
    /// There may be more bytes.
    More,
    /// There will never be more.
    End,
}

/// Moves what `src` holds through an empty carrier, about `turn` bytes at most, and leaves the carrier empty.
async fn pass(
    src: &Stream,
    dst: &Stream,
    carrier: &mut impl Carrier,
    turn: usize,
    lane: &Lane,
) -> io::Result<Left> {
    let mut used = 0;
    while used < turn {
        // The carrier is empty here, so EAGAIN can only mean that the socket is.
        let mut readable = readable(src).await?;
        let urgent = readable.ready().is_priority();
        let filled = match carrier.fill(src, turn, urgent) {
            Ok(0) => return Ok(Left::End),
            Ok(filled) => filled,
            Err(Errno::EAGAIN) => {
                readable.clear_ready();
                return Ok(Left::Nothing);
            }
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        lane.take(filled);
        let emptied = carrier.has_emptied(src, urgent, filled);
        if emptied {
            // Now, and not after the drain, which may take hours.
            readable.clear_ready();
        }
        drain(src, dst, carrier, filled, lane).await?;
        if emptied {
            return Ok(Left::Nothing);
        }
        used += filled.max(SMALLEST);
    }
    Ok(Left::More)
}

async fn readable(src: &Stream) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
    src.io().ready(Interest::READABLE | Interest::PRIORITY).await
}

/// Moves the carrier's `left` bytes on. While `dst` takes none, a reset of `src` must still be seen: it would otherwise wait
/// behind bytes that nobody fetches.
async fn drain(
    src: &Stream,
    dst: &Stream,
    carrier: &mut impl Carrier,
    mut left: usize,
    lane: &Lane,
) -> io::Result<()> {
    loop {
        let mut writable = tokio::select! {
            biased;
            writable = dst.io().ready(Interest::WRITABLE) => writable?,
            broken = src.io().ready(Interest::ERROR) => {
                drop(broken?);
                return Err(Errno::ECONNRESET.into());
            }
        };
        match carrier.drain(dst, left) {
            Ok(0) => return Err(Errno::EPIPE.into()),
            Ok(drained) => {
                lane.pass_on(drained);
                left -= drained;
                if left == 0 {
                    return Ok(());
                }
            }
            Err(Errno::EAGAIN) => writable.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
