//! Bytes that know their place: a stream that is told from any other, and from itself elsewhere.

use std::sync::OnceLock;

/// A prime, so that no power of two shifts the stream onto itself.
const LENGTH: usize = 1_048_573;
/// Where one stream begins after another.
const STRIDE: usize = 104_729;

/// A stream of bytes without an end, at some place of it.
#[derive(Clone, Debug)]
pub struct Tape {
    number: usize,
    passed: usize,
}

impl Tape {
    /// The beginning of stream `number`.
    pub fn new(number: usize) -> Tape {
        Tape { number, passed: 0 }
    }

    /// How many bytes lie behind.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// The next bytes, at least one and at most `most`.
    pub fn ahead(&self, most: usize) -> &'static [u8] {
        let rest = &loop_of_bytes()[(self.number * STRIDE + self.passed) % LENGTH..];
        &rest[..most.min(rest.len())]
    }

    /// Goes on by `bytes`.
    pub fn pass(&mut self, bytes: usize) {
        self.passed += bytes;
    }

    /// Whether `bytes` come next; goes on behind them.
    pub fn is_continued_by(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let ahead = self.ahead(bytes.len());
            if bytes[..ahead.len()] != *ahead {
                return false;
            }
            bytes = &bytes[ahead.len()..];
            self.pass(ahead.len());
        }
        true
    }
}

/// Noise, the same in every run.
fn loop_of_bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..LENGTH).map(|_| next()).collect()
    })
}
