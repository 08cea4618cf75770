//! The checksum of datagrams.
//!
//! UDP's checksum has 16 bits, and not every adapter verifies it; a chunk with a wrong bit would be merged for good. This
//! checksum uses no secret and does not protect against forgery.

/// A checksum of what was added so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds a word. One-to-one in both arguments: a single changed word always changes the result.
    pub const fn word(self, word: u64) -> Self {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let h = (self.0 ^ word).wrapping_mul(ODD);
        Self(h ^ h >> 29)
    }

    /// Adds bytes, the last of them filled up with zeroes.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let h = (words.iter()).fold(self, |h, w| h.word(u64::from_le_bytes(*w)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        h.word(u64::from_le_bytes(last))
    }

    /// The checksum of all that was added.
    pub const fn end(self) -> u32 {
        (self.0 ^ self.0 >> 32) as u32
    }
}
