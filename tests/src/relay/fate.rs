//! Fates of datagrams: loss, duplication and delay.

use std::time::Duration;

use crate::random::{RandomSource, unit};

/// How a relay treats datagrams. Probabilities lie between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that a datagram that is not lost arrives twice; the copy has a delay of its own.
    pub duplicate: f64,
    /// Probability that a datagram is held back for [`Faults::hold`], so that later datagrams overtake it.
    pub reorder: f64,
    /// Extra delay of a datagram that is held back.
    pub hold: Duration,
    /// Delay of every datagram.
    pub delay: Duration,
    /// Upper bound of the random extra delay of every datagram, which is uniformly distributed.
    pub jitter: Duration,
    /// Longer datagrams are lost in silence, as on a path with a small MTU whose routers send no ICMP.
    pub bytes_max: Option<usize>,
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        hold: Duration::ZERO,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        bytes_max: None,
    };

    /// A bad radio: `loss`, 5 % duplicates, 10 % held back for 5 ms, up to 1 ms of jitter.
    pub const fn rough(loss: f64) -> Self {
        Self {
            loss,
            duplicate: 0.05,
            reorder: 0.1,
            hold: Duration::from_millis(5),
            delay: Duration::ZERO,
            jitter: Duration::from_millis(1),
            bytes_max: None,
        }
    }

    /// Draws the fate of one datagram.
    pub(super) fn draw(&self, random: &mut RandomSource) -> Fate {
        // Always as many draws: changing one share does not move the others' victims.
        let [lost, doubled, held] =
            [self.loss, self.duplicate, self.reorder].map(|share| f64::from(unit(random)) < share);
        let jitter = [(); 2].map(|()| self.jitter.mul_f32(unit(random)));
        if lost {
            return Fate {
                copies: Vec::new(),
                held: false,
            };
        }
        let mut copies =
            vec![self.delay + jitter[0] + if held { self.hold } else { Duration::ZERO }];
        if doubled {
            copies.push(self.delay + jitter[1]);
        }
        Fate { copies, held }
    }
}

/// Delays of the copies that arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub copies: Vec<Duration>,
    pub held: bool,
}
