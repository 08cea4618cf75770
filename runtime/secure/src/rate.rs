//! How many handshakes a node takes: when it is under load, and how often each address is heard then.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use crate::Micros;

const SECOND: Micros = 1_000_000;

/// Whether a node is under load: more handshake messages in a second than a bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    second_from: Micros,
    seen: u32,
    until: Micros,
}

impl Load {
    /// Counts a message; true if the node is under load.
    pub(crate) fn note(&mut self, now: Micros, per_s: u32, load_us: Micros) -> bool {
        if now.saturating_sub(self.second_from) >= SECOND {
            (self.second_from, self.seen) = (now, 0);
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen > per_s {
            self.until = now.saturating_add(load_us);
        }
        now < self.until
    }
}

/// A token bucket, in microseconds of credit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    credit: Micros,
    at: Micros,
}

impl Bucket {
    /// A bucket that is full.
    pub(crate) const fn full(now: Micros, price: Micros, burst: u32) -> Self {
        Self {
            credit: price.saturating_mul(burst as u64),
            at: now,
        }
    }

    /// A bucket that is empty.
    pub(crate) const fn empty(now: Micros) -> Self {
        Self { credit: 0, at: now }
    }

    fn credit_at(&self, now: Micros) -> Micros {
        self.credit.saturating_add(now.saturating_sub(self.at))
    }

    /// Pays for one message, if there is enough: `burst` in a row, then one each `price` microseconds.
    pub(crate) fn pay(&mut self, now: Micros, price: Micros, burst: u32) -> bool {
        let credit = self
            .credit_at(now)
            .min(Self::full(now, price, burst).credit);
        *self = Self {
            credit: credit.checked_sub(price).unwrap_or(credit),
            at: now,
        };
        credit >= price
    }
}

/// A rate per address. An IPv6 address counts by its first 64 bits, which is what one sender may well have.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressRates {
    buckets: BTreeMap<(bool, u64), Bucket>,
    swept_us: Micros,
}

impl AddressRates {
    /// True if the address may be heard once more.
    pub(crate) fn allows(
        &mut self,
        from: SocketAddr,
        now: Micros,
        per_s: u32,
        burst: u32,
        most: usize,
    ) -> bool {
        let price = SECOND / u64::from(per_s.max(1));
        let full = Bucket::full(now, price, burst);
        let key = match from.ip().to_canonical() {
            IpAddr::V4(ip) => (false, u64::from(ip.to_bits())),
            IpAddr::V6(ip) => (true, (ip.to_bits() >> 64) as u64),
        };
        if self.buckets.len() >= most && !self.buckets.contains_key(&key) {
            // A bucket that is full again says nothing. Looked for at most once in a second.
            if now.saturating_sub(self.swept_us) >= SECOND {
                self.swept_us = now;
                self.buckets.retain(|_, b| b.credit_at(now) < full.credit);
            }
            if self.buckets.len() >= most {
                return false;
            }
        }
        let bucket = self.buckets.entry(key).or_insert(full);
        bucket.pay(now, price, burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_begins_and_ends() {
        let mut load = Load::default();
        let seen = |load: &mut Load, from: Micros, n: u64| {
            (0..n).filter(|k| load.note(from + k, 50, SECOND)).count()
        };
        assert_eq!(seen(&mut load, 0, 50), 0);
        assert_eq!(seen(&mut load, 100, 50), 50);
        // Holds for a second behind the last sign.
        assert!(load.note(SECOND, 50, SECOND));
        assert!(!load.note(2 * SECOND + 200, 50, SECOND));
    }

    #[test]
    fn rates_per_address() {
        let mut rates = AddressRates::default();
        let mut heard = |from: &str, now| rates.allows(from.parse().unwrap(), now, 20, 5, 1024);
        let burst: Vec<bool> = (0..8).map(|_| heard("10.0.0.1:1", 0)).collect();
        assert_eq!(burst, [true, true, true, true, true, false, false, false]);
        assert!(heard("10.0.0.2:1", 0));
        assert!(!heard("10.0.0.1:2", 49_999), "the port does not count");
        assert!(heard("10.0.0.1:2", 50_000));
        // 20 in a second, whatever is asked.
        let second = (0..1000)
            .filter(|k| heard("10.0.0.1:1", SECOND + k * 1000))
            .count();
        assert!((20..=25).contains(&second), "{second}");
        for k in 0..5 {
            assert!(heard(&format!("[2001:db8::{k}]:1"), 0));
        }
        assert!(!heard("[2001:db8::77]:1", 0), "one /64");
        assert!(heard("[2001:db8:0:1::77]:1", 0));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut rates = AddressRates::default();
        let mut heard = |k: u32, now| rates.allows((k.to_be_bytes(), 1).into(), now, 20, 5, 100);
        assert_eq!((0..1000).filter(|&k| heard(k, 0)).count(), 100);
        assert!(heard(5000, 2 * SECOND), "those that are idle make room");
        assert!(rates.buckets.len() <= 100);
    }
}
