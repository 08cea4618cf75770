//! The set of arrived chunks.

/// A fixed number of bits, and how many of them are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    bits: u32,
    set: u32,
}

impl Bitmap {
    /// A bitmap of `bits` zeroes.
    pub fn new(bits: u32) -> Self {
        Self {
            words: vec![0; (bits as usize).div_ceil(64)],
            bits,
            set: 0,
        }
    }

    /// True when bit `i` is set; false beyond the end.
    pub fn get(&self, i: u32) -> bool {
        let word = self.words.get(i as usize / 64);
        word.is_some_and(|w| w >> (i % 64) & 1 == 1)
    }

    /// Sets bit `i`; returns true when the bit was clear. Beyond the end the call is a no-op.
    pub fn set(&mut self, i: u32) -> bool {
        if i >= self.bits || self.get(i) {
            return false;
        }
        self.words[i as usize / 64] |= 1 << (i % 64);
        self.set += 1;
        true
    }

    /// True when all bits are set.
    pub const fn full(&self) -> bool {
        self.set == self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_bit_once() {
        for bits in [0, 1, 63, 64, 65, 200] {
            let mut b = Bitmap::new(bits);
            assert_eq!(b.full(), bits == 0);
            for i in (0..bits).rev() {
                assert!(!b.full() && !b.get(i) && b.set(i) && b.get(i) && !b.set(i));
            }
            assert!(b.full());
            assert!(!b.set(bits) && !b.get(bits) && !b.set(u32::MAX));
        }
    }
}
