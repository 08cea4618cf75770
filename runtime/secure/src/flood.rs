//! What an invited node may send, and what comes of more.
//!
//! Each node has [`RATES`]. What is beyond them is dropped, but it has been received and opened, and that is most of what a
//! datagram costs. So a node that goes on is shut out: nothing of it is opened any more, for a second at first, and four times as long
//! each time that it goes on at once. Only payloads that were opened count, so nobody else can bring that upon a node.

use crate::{Micros, rate::Bucket};

const SECOND: Micros = 1_000_000;

/// Microseconds between two payloads of a weight that a node may send in the long run, and how many in a row. Weight 0 has no
/// limit. These are several times what a busy cluster sends; a node that sends more takes time of the others.
pub const RATES: [(Micros, u32); 2] = [(50, 10_000), (100, 5_000)];

/// Payloads beyond [`RATES`] that are only dropped: 2,000 in a row, and 200 a second. A node that does not see its payloads answered sends
/// fewer of them, so one that works does not come far beyond its rate.
const EXCESS: (Micros, u32) = (SECOND / 200, 2_000);

/// How long a node is shut out, first, second, and so on; the last for all further times.
const SHUT_US: [Micros; 5] = [SECOND, 4 * SECOND, 16 * SECOND, 64 * SECOND, 256 * SECOND];

/// After so long without being shut out, a time is forgotten.
const FORGIVEN_US: Micros = 300 * SECOND;

/// What comes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Taken,
    /// It is dropped.
    Dropped,
    /// It is dropped, and so is all that comes for this long.
    ShutOut(Micros),
}

/// What a node has sent lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    rates: [Bucket; 2],
    excess: Bucket,
    /// How often it was shut out, as far as that is not forgotten.
    times: usize,
    /// When the last time that it was shut out ends, or when the latest one was forgotten.
    since: Micros,
}

impl Meter {
    /// A node that has not sent anything.
    pub(crate) fn new() -> Self {
        Self {
            rates: RATES.map(|(gap, burst)| Bucket::full(0, gap, burst)),
            excess: Bucket::full(0, EXCESS.0, EXCESS.1),
            times: 0,
            since: 0,
        }
    }

    /// Counts a payload of a weight.
    pub(crate) fn note(&mut self, now: Micros, weight: u8) -> Verdict {
        let kind = usize::from(weight).checked_sub(1);
        let rate = kind.and_then(|k| Some((self.rates.get_mut(k)?, RATES.get(k)?)));
        let Some((bucket, &(gap, burst))) = rate else {
            return Verdict::Taken;
        };
        if bucket.pay(now, gap, burst) {
            return Verdict::Taken;
        }
        if self.excess.pay(now, EXCESS.0, EXCESS.1) {
            return Verdict::Dropped;
        }
        let calm = now.saturating_sub(self.since) / FORGIVEN_US;
        self.times = self
            .times
            .saturating_sub(usize::try_from(calm).unwrap_or(usize::MAX));
        let for_us = SHUT_US[self.times.min(SHUT_US.len() - 1)];
        self.times = (self.times + 1).min(SHUT_US.len());
        self.since = now.saturating_add(for_us);
        // Then its rate holds at once, without anything in a row.
        self.rates = self.rates.map(|_| Bucket::empty(self.since));
        self.excess = Bucket::full(self.since, EXCESS.0, EXCESS.1);
        Verdict::ShutOut(for_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `per_s` payloads of a weight a second for a time, except while shut out; the times that it was shut out for, in seconds.
    fn send(meter: &mut Meter, from: Micros, for_us: Micros, per_s: u64, weight: u8) -> Vec<u64> {
        let (mut now, mut shut) = (from, Vec::new());
        while now < from + for_us {
            if let Verdict::ShutOut(us) = meter.note(now, weight) {
                shut.push(us / SECOND);
                now += us;
            }
            now += SECOND / per_s;
        }
        shut
    }

    #[test]
    fn who_keeps_to_the_rates_is_always_heard() {
        for (weight, per_s) in [(0, 500_000), (1, 20_000), (2, 10_000), (9, 500_000)] {
            let mut meter = Meter::new();
            for second in 0..5 {
                let shut = send(&mut meter, second * SECOND, SECOND, per_s, weight);
                assert_eq!(shut, [0; 0], "{weight}");
            }
            assert_eq!(meter.note(5 * SECOND, weight), Verdict::Taken);
        }
    }

    /// What has piled up while a node could not hear.
    #[test]
    fn a_burst_is_no_flood() {
        let mut meter = Meter::new();
        for k in 0..10 {
            let now = k * 11 * SECOND;
            let all = 0..RATES[1].1 + EXCESS.1;
            let dropped = all.filter(|_| meter.note(now, 2) == Verdict::Dropped);
            assert_eq!(dropped.count(), EXCESS.1 as usize);
        }
        assert!(matches!(
            meter.note(99 * SECOND, 2),
            Verdict::ShutOut(SECOND)
        ));
    }

    #[test]
    fn who_goes_on_is_shut_out_for_longer_and_longer() {
        let mut meter = Meter::new();
        let shut = send(&mut meter, 0, 500 * SECOND, 50_000, 2);
        assert_eq!(shut, [1, 4, 16, 64, 256, 256]);
        // Of a minute of flood hardly anything is opened.
        let mut opened = 0;
        let (mut meter, mut now) = (Meter::new(), 0);
        while now < 60 * SECOND {
            opened += 1;
            if let Verdict::ShutOut(us) = meter.note(now, 1) {
                now += us;
            }
            now += 20;
        }
        assert!(opened < 60_000, "{opened} of 3,000,000");
        // A time is forgotten after a while.
        let later = now + 1000 * SECOND;
        assert_eq!(
            send(&mut meter, later, 2 * SECOND, 50_000, 1).first(),
            Some(&4)
        );
        let later = later + 3000 * SECOND;
        assert_eq!(send(&mut meter, later, SECOND, 50_000, 1).first(), Some(&1));
    }
}
