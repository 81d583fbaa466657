//! What carries bytes from one socket to another: a pipe, or a buffer where no pipe is to be had.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::unistd::write;

use super::pipes::Pipe;
use crate::socket::Stream;

/// The size of a buffer.
const BUFFER_SIZE: usize = 16 << 10;

/// Carries bytes in two steps that never block: all it was filled with is drained before it is filled again.
pub trait Carrier {
    /// Takes what `src` holds, `most` bytes of it or as much as fits: how many bytes, 0 at the end of them. `urgent` says
    /// that there may be urgent data.
    fn fill(&mut self, src: &Stream, most: usize, urgent: bool) -> nix::Result<usize>;

    /// Passes on some of the last `left` bytes of what it was filled with.
    fn drain(&mut self, dst: &Stream, left: usize) -> nix::Result<usize>;

    /// Whether a fill with so many bytes shows that `src` held no more, without asking it once again.
    fn has_emptied(&self, src: &Stream, urgent: bool, filled: usize) -> bool;
}

impl Carrier for Pipe {
    fn fill(&mut self, src: &Stream, most: usize, urgent: bool) -> nix::Result<usize> {
        match splice_some(src, &self.write, most) {
            // The end, or urgent data before it: `urgent` may be older than the data.
            Ok(0) => self.step_over_urgent(src),
            Err(Errno::EAGAIN) if urgent => self.step_over_urgent(src),
            result => result,
        }
    }

    /// Asking for more than there is can cork the last segment for 200 ms (kernel ≥ 6.5, `splice_to_socket` in fs/splice.c
    /// sets MSG_MORE).
    fn drain(&mut self, dst: &Stream, left: usize) -> nix::Result<usize> {
        splice_some(&self.read, dst, left)
    }

    /// No piece is smaller than a byte, so a slot was free, and TCP leaves none free but for urgent data: what was not
    /// known to be urgent before the fill is told by a readiness that is still to come. A unix socket also stops at passed
    /// descriptors (unix(7)).
    fn has_emptied(&self, src: &Stream, urgent: bool, filled: usize) -> bool {
        filled < self.slots && !urgent && src.is_tcp()
    }
}

impl Pipe {
    /// A splice stops before urgent data (tcp(7)) and says that there is nothing, or even that all has ended. recv steps
    /// over the mark, and the byte is in line there.
    fn step_over_urgent(&self, src: &Stream) -> nix::Result<usize> {
        let mut byte = [0];
        match recv(src.io().as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT)? {
            0 => Ok(0),
            _ => write(&self.write, &byte),
        }
    }
}

/// Bytes that pass through this process: a crash loses them, so only a lack of pipes brings them here.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// An empty one.
    pub fn new() -> Buffer {
        Buffer { bytes: vec![0; BUFFER_SIZE].into(), filled: 0 }
    }
}

impl Carrier for Buffer {
    fn fill(&mut self, src: &Stream, _most: usize, _urgent: bool) -> nix::Result<usize> {
        self.filled = recv(src.io().as_raw_fd(), &mut self.bytes, MsgFlags::MSG_DONTWAIT)?;
        Ok(self.filled)
    }

    fn drain(&mut self, dst: &Stream, left: usize) -> nix::Result<usize> {
        let bytes = &self.bytes[self.filled - left..self.filled];
        send(dst.io().as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
    }

    /// A recv stops at urgent data, and this path is too rare for a shortcut.
    fn has_emptied(&self, _src: &Stream, _urgent: bool, _filled: usize) -> bool {
        false
    }
}

fn splice_some(from: &impl AsFd, to: &impl AsFd, most: usize) -> nix::Result<usize> {
    splice(from, None, to, None, most, SpliceFFlags::SPLICE_F_NONBLOCK)
}
