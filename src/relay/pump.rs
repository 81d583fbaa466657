//! One direction of a connection: socket → pipe → socket, by splice(2).
//!
//! One rule removes three kinds of fault: fill only an empty pipe, drain it by its exact count, never ask for more.
//! A pipe is full when its slots are, whatever its bytes, so EAGAIN from filling one that holds bytes does not tell
//! whether the socket or the pipe is the cause; a socket taken for empty that is not stalls for ever, one taken for
//! readable that is not spins. Asking to drain more than there is can cork the last segment for 200 ms (kernel ≥ 6.5,
//! `splice_to_socket` in fs/splice.c sets MSG_MORE).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::unistd::write;
use tokio::io::Interest;
use tokio::task::yield_now;

use super::meter::Lane;
use super::pipes::{Pipe, Pipes};
use crate::socket::Stream;

/// After so many fills, about a mebibyte, the other tasks have their turn: waiting for a socket that is ready costs no
/// budget of the scheduler's.
const TURN: usize = 16;
/// More than a pipe of any size takes: how much is filled is the pipe's to say.
const FILL: usize = 1 << 20;

/// Moves bytes from `src` to `dst` until `src` has ended, and passes the end on. An error of either end is the
/// connection's: a reset is reported once, and only to one side, so nothing may follow it.
///
/// Dropping it half-way loses what is in its pipe: only a connection that is given up may be dropped.
pub async fn pump(src: &Stream, dst: &Stream, pipes: &Pipes, lane: &Lane) -> io::Result<()> {
    loop {
        drop(src.io().ready(Interest::READABLE | Interest::PRIORITY).await?);
        let pipe = pipes.take().await?;
        let ended = pass(src, dst, &pipe, lane).await?;
        pipes.give_back(pipe);
        if ended {
            lane.end();
            return dst.end_writing();
        }
    }
}

/// Moves what `src` holds through an empty pipe and leaves it empty; true when `src` has ended.
async fn pass(src: &Stream, dst: &Stream, pipe: &Pipe, lane: &Lane) -> io::Result<bool> {
    for turn in 1.. {
        if turn % TURN == 0 {
            yield_now().await;
        }
        // The pipe is empty here, so EAGAIN can only mean that the socket is.
        let mut readiness = src.io().ready(Interest::READABLE | Interest::PRIORITY).await?;
        let filled = match splice_some(src, &pipe.write, FILL) {
            // The end, or urgent data before it: readiness may be older than the data.
            Ok(0) => step_over_urgent(src, pipe),
            Err(Errno::EAGAIN) if readiness.ready().is_priority() => step_over_urgent(src, pipe),
            result => result,
        };
        match filled {
            Ok(0) => return Ok(true),
            Ok(filled) => {
                lane.take(filled);
                drain(src, dst, pipe, filled, lane).await?;
            }
            Err(Errno::EAGAIN) => {
                readiness.clear_ready();
                return Ok(false);
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Moves the pipe's `left` bytes on. While `dst` takes none, a reset of `src` must still be seen: it would otherwise wait
/// behind bytes that nobody fetches.
async fn drain(src: &Stream, dst: &Stream, pipe: &Pipe, mut left: usize, lane: &Lane) -> io::Result<()> {
    while left > 0 {
        let mut writable = tokio::select! {
            biased;
            writable = dst.io().ready(Interest::WRITABLE) => writable?,
            broken = src.io().ready(Interest::ERROR) => {
                drop(broken?);
                return Err(Errno::ECONNRESET.into());
            }
        };
        match splice_some(&pipe.read, dst, left) {
            Ok(0) => return Err(Errno::EPIPE.into()),
            Ok(drained) => {
                lane.pass_on(drained);
                left -= drained;
            }
            Err(Errno::EAGAIN) => writable.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn splice_some(from: &impl AsFd, to: &impl AsFd, most: usize) -> nix::Result<usize> {
    splice(from, None, to, None, most, SpliceFFlags::SPLICE_F_NONBLOCK)
}

/// A splice stops before urgent data (tcp(7)) and says that there is nothing, or even that all has ended. recv steps over
/// the mark; in line, so that the byte is kept as an ordinary one.
fn step_over_urgent(src: &Stream, pipe: &Pipe) -> nix::Result<usize> {
    setsockopt(src, sockopt::OobInline, &true)?;
    let mut byte = [0];
    match recv(src.io().as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT)? {
        0 => Ok(0),
        _ => write(&pipe.write, &byte),
    }
}
