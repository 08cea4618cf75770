//! Which chunks have arrived.

/// A fixed number of bits, and how many of them are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    bits: u32,
    set: u32,
}

impl Bitmap {
    /// `bits` zeroes.
    pub fn new(bits: u32) -> Self {
        Self {
            words: vec![0; (bits as usize).div_ceil(64)],
            bits,
            set: 0,
        }
    }

    /// Whether bit `i` is set; beyond the end none is.
    pub fn get(&self, i: u32) -> bool {
        let word = self.words.get(i as usize / 64);
        word.is_some_and(|w| w >> (i % 64) & 1 == 1)
    }

    /// Sets bit `i`; says whether that is news. Beyond the end nothing is.
    pub fn set(&mut self, i: u32) -> bool {
        if i >= self.bits || self.get(i) {
            return false;
        }
        self.words[i as usize / 64] |= 1 << (i % 64);
        self.set += 1;
        true
    }

    /// Whether all bits are set.
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
