//! Which counters of a session have been received (RFC 6479): a ring of bits around the greatest one.

/// Words of the ring. The word of the greatest counter may be partly used, so one word does not count as window.
const WORDS: usize = 128;

/// The replay window of a session: 8,192 bits, as the Linux kernel's WireGuard has it.
#[derive(Clone, Debug)]
pub struct Window {
    /// One more than the greatest counter received; 0 before the first.
    next: u64,
    ring: Box<[u64; WORDS]>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            next: 0,
            ring: Box::new([0; WORDS]),
        }
    }
}

impl Window {
    /// How far behind the greatest counter a counter may be: 8,128.
    pub const BEHIND_MAX: u64 = (WORDS as u64 - 1) * 64;
    /// The first counter that is refused, whatever has been received: as in WireGuard, 2^64 - 1 less the bits of the ring.
    pub const COUNTER_END: u64 = u64::MAX - WORDS as u64 * 64;

    /// Takes a counter whose datagram was authentic: `None` if it came before or is too old, else whether it is the greatest so far.
    pub fn take(&mut self, counter: u64) -> Option<bool> {
        if counter >= Self::COUNTER_END || counter.saturating_add(Self::BEHIND_MAX) + 1 < self.next
        {
            return None;
        }
        let word = counter / 64;
        let newest = counter >= self.next;
        if newest {
            // Words between the last greatest counter's and this one's belong to counters that were never seen.
            let last = self.next.saturating_sub(1) / 64;
            for w in (last + 1..=word).take(WORDS) {
                self.ring[(w % WORDS as u64) as usize] = 0;
            }
            self.next = counter + 1;
        }
        let bits = &mut self.ring[(word % WORDS as u64) as usize];
        let bit = 1 << (counter % 64);
        if *bits & bit != 0 {
            return None;
        }
        *bits |= bit;
        Some(newest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const BEHIND: u64 = Window::BEHIND_MAX;
    const END: u64 = Window::COUNTER_END;

    fn check(steps: &[(u64, bool)]) {
        let mut window = Window::default();
        for (k, &(counter, taken)) in steps.iter().enumerate() {
            assert_eq!(window.take(counter).is_some(), taken, "step {k}: {counter}");
        }
    }

    #[test]
    fn sizes_are_wireguards() {
        assert_eq!((WORDS * 64, BEHIND), (8192, 8128));
        assert_eq!(END, u64::MAX - 8192);
    }

    /// What the kernel's self-test of WireGuard asks of a window.
    #[test]
    fn order_repeats_and_edges() {
        check(&[
            (0, true),
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
        ]);
        let top = BEHIND + 1;
        check(&[
            (1, true),
            (top, true),
            (top - 1, true),
            (top - 1, false),
            (top - 2, true),
            (2, true),
            (2, false),
            (top + 16, true),
            (3, false),
            (top + 16, false),
            (top * 4, true),
            (top * 4 - BEHIND, true),
            (10, false),
            (top * 4 - BEHIND - 1, false),
            (top * 4 - BEHIND - 2, false),
            (top * 4 - BEHIND + 1, true),
            (top * 4 - BEHIND, false),
            (0, false),
        ]);
    }

    #[test]
    fn the_last_counters() {
        check(&[
            (END, false),
            (END - 1, true),
            (END, false),
            (END - 1, false),
            (END - 2, true),
            (END + 1, false),
            (u64::MAX, false),
            (END - 2, false),
            (END - 3, true),
            (0, false),
        ]);
    }

    #[test]
    fn whole_windows_forwards_and_backwards() {
        let up = (1..=BEHIND).map(|k| (k, true));
        check(
            &up.clone()
                .chain([(0, true), (0, false)])
                .collect::<Vec<_>>(),
        );
        check(
            &up.chain([(BEHIND + 1, true), (0, false), (1, false)])
                .collect::<Vec<_>>(),
        );
        let down: Vec<_> = (0..=BEHIND).rev().map(|k| (k, true)).collect();
        check(&down);
        check(&[&down[..], &[(0, false), (BEHIND + 1, true), (0, false)]].concat());
    }

    /// A jump of 2^32 is a jump like any other, on targets with words of 32 bits too.
    #[test]
    fn jumps() {
        let far = 1 << 32;
        check(&[
            (5, true),
            (far + 5, true),
            (5, false),
            (far + 4, true),
            (far + 5 - BEHIND, true),
            (far + 4 - BEHIND, false),
        ]);
        for jump in [
            63, 64, 65, 127, 8063, 8064, 8127, 8128, 8129, 8191, 8192, 8193, 16384,
        ] {
            check(&[
                (7, true),
                (7 + jump, true),
                (7 + jump, false),
                (7, false),
                (6, jump < BEHIND),
            ]);
        }
    }

    proptest! {
        /// Against a set of all counters that came.
        #[test]
        fn as_a_set_would(steps in prop::collection::vec((0u64..40_000, any::<bool>()), 1..400)) {
            let (mut window, mut seen, mut top) = (Window::default(), BTreeSet::new(), 0u64);
            for (counter, near) in steps {
                let counter = if near { top.saturating_sub(counter % 9_000) } else { counter };
                let old = counter + BEHIND < top;
                let fresh = !old && seen.insert(counter);
                prop_assert_eq!(window.take(counter).is_some(), fresh);
                if fresh {
                    top = top.max(counter);
                }
            }
        }
    }
}
