//! The engine's log frames: a byte for the stream, three zeros, the payload's length in four bytes, big-endian.

use super::Container;

/// The engine knows stdin, stdout, stderr and its own errors.
pub const STREAMS: usize = 4;
const HEADER: usize = 8;

/// Takes frames apart, however they are cut.
#[derive(Debug)]
pub struct Frames {
    /// What has come of the next frame's header.
    header: Vec<u8>,
    /// The stream of the frame at hand.
    stream: usize,
    /// What is still to come of it.
    left: usize,
    /// There are no frames: all is payload.
    bare: bool,
}

impl Frames {
    /// As the log of this container comes: with a terminal it has no frames.
    pub fn of(container: &Container) -> Frames {
        match container.has_terminal() {
            true => Frames::bare(),
            false => Frames::marked(),
        }
    }

    /// A log in frames.
    pub fn marked() -> Frames {
        Frames { header: Vec::with_capacity(HEADER), stream: 0, left: 0, bare: false }
    }

    /// A log without frames.
    pub fn bare() -> Frames {
        Frames { bare: true, ..Frames::marked() }
    }

    /// Gives out the payload in `bytes`, each piece with its stream (less than [`STREAMS`]).
    pub fn feed(&mut self, mut bytes: &[u8], mut out: impl FnMut(usize, &[u8])) {
        while !bytes.is_empty() {
            if self.bare {
                return out(0, bytes);
            }
            if self.left > 0 {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                out(self.stream, payload);
                self.left -= payload.len();
                bytes = rest;
                continue;
            }
            let (missing, rest) = bytes.split_at((HEADER - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(missing);
            bytes = rest;
            if !may_begin_a_frame(&self.header) {
                // Podman sends a container's log bare where it has a terminal, whatever the configuration says.
                self.bare = true;
                out(0, &self.header);
            } else if let [stream, _, _, _, a, b, c, d] = *self.header {
                self.stream = stream.into();
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.header.clear();
            }
        }
    }
}

fn may_begin_a_frame(header: &[u8]) -> bool {
    header.iter().take(4).enumerate().all(|(at, byte)| match at {
        0 => usize::from(*byte) < STREAMS,
        _ => *byte == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::Frames;

    fn unframe(body: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        Frames::marked().feed(body, |_, payload| text.extend_from_slice(payload));
        text
    }

    #[test]
    fn log_frames_are_taken_apart_even_when_cut_short() {
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\x03ab\n\x02\0\0\0\0\0\0\x03cd\n"), b"ab\ncd\n");
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\x09ab\n"), b"ab\n");
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\x03ab\n\x02\0\0"), b"ab\n");
        assert_eq!(unframe(b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01a"), b"a");
        assert_eq!(unframe(b""), b"");
    }

    #[test]
    fn what_is_no_frame_is_taken_as_it_is() {
        assert_eq!(unframe(b"bare\n"), b"bare\n");
        assert_eq!(unframe(b"\x1b[0m"), b"\x1b[0m");
        let mut frames = Frames::marked();
        let mut text = Vec::new();
        for byte in b"\x01\0bare and long" {
            frames.feed(&[*byte], |_, payload| text.extend_from_slice(payload));
        }
        assert_eq!(text, b"\x01\0bare and long");
    }
}
