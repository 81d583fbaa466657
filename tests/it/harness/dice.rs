//! Numbers that nobody foresees, the same in every run.

/// An xorshift generator.
pub struct Dice(u64);

impl Dice {
    /// Other seeds, other numbers.
    pub fn new(seed: u64) -> Dice {
        Dice(0x9E37_79B9_7F4A_7C15 ^ seed)
    }

    /// The next number, below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }
}
