//! The simulator's only source of random numbers.

/// A stream of random numbers, the same for the same seed on every machine (SplitMix64, Steele,
/// Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct RandomSource(u64);

/// Mixes the bits of a word; a bijection.
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl RandomSource {
    /// A random source with the stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// A random source for one part of the simulation; draws from the fork do not disturb `self`.
    pub const fn fork(&self, part: u64) -> Self {
        Self::new(self.0 ^ mix(part.wrapping_add(1)))
    }

    /// 64 random bits.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `0..n`; 0 when `n` is 0.
    pub const fn below(&mut self, n: u64) -> u64 {
        ((self.word() as u128 * n as u128) >> 64) as u64
    }

    /// Uniform in `lo..=hi`.
    pub const fn between(&mut self, lo: u64, hi: u64) -> u64 {
        lo + self.below(hi - lo + 1)
    }

    /// Uniform in `lo..=hi`, as an index.
    pub const fn index(&mut self, lo: usize, hi: usize) -> usize {
        self.between(lo as u64, hi as u64) as usize
    }

    /// `true` with a probability of `ppm` in a million.
    pub const fn chance(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < ppm as u64
    }

    /// Picks one of `items`.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(0, items.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::RandomSource;

    #[test]
    fn same_seed_same_stream() {
        let words = |seed| {
            let mut d = RandomSource::new(seed);
            [d.word(), d.word(), d.fork(3).word()]
        };
        assert_eq!(words(7), words(7));
        assert_ne!(words(7), words(8));
    }

    #[test]
    fn draws_stay_inside_and_reach_the_ends() {
        let mut d = RandomSource::new(1);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[d.index(2, 5) - 2] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert!(!d.chance(0) && d.chance(1_000_000));
        assert_eq!(d.below(0), 0);
    }
}
