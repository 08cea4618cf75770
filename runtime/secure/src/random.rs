//! Randomness out of one seed: the caller gives 32 bytes of the system's at start-up, tests and the simulator a fixed seed.

use zeroize::{Zeroize, Zeroizing};

use crate::hash::derive;

/// A generator whose state is replaced at each draw, so that a state that leaks tells nothing of earlier draws.
pub(crate) struct Generator(Zeroizing<[u8; 32]>);

impl Generator {
    pub(crate) fn new(mut seed: [u8; 32]) -> Self {
        let state = derive(&seed, &[b"tessera random"]);
        seed.zeroize();
        Self(Zeroizing::new(state))
    }

    /// 32 new bytes.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        let bytes = derive(&self.0, &[b"draw"]);
        *self.0 = derive(&self.0, &[b"next"]);
        bytes
    }

    /// A number below 2^64.
    pub(crate) fn word(&mut self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.draw();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_follow_from_the_seed() {
        let draws = |seed| {
            let mut g = Generator::new([seed; 32]);
            (0..100)
                .map(|_| g.draw())
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(draws(1).len(), 100);
        assert_eq!(draws(1), draws(1));
        assert!(draws(1).is_disjoint(&draws(2)));
    }
}
