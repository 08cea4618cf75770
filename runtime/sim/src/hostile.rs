//! Datagrams that no honest node sends: noise, mutated datagrams, and replayed ones.

use std::{collections::VecDeque, net::SocketAddr};

use super::{datagram::Datagram, random::RandomSource};
use tessera_protocol::TransferConfig;

/// The mix of hostile datagrams. The kinds' weights are relative to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostileConfig {
    /// Microseconds between two hostile datagrams; 0 for no hostile traffic.
    pub interval_us: u64,
    /// Weight of datagrams with random bytes.
    pub noise: u32,
    /// Weight of real datagrams with a few bits or words changed.
    pub mutated: u32,
    /// Weight of real datagrams that are truncated or extended.
    pub resized: u32,
    /// Weight of unchanged real datagrams of any age.
    pub replayed: u32,
}

impl HostileConfig {
    /// No hostile traffic.
    pub const NONE: Self = Self {
        interval_us: 0,
        noise: 0,
        mutated: 0,
        resized: 0,
        replayed: 0,
    };
}

/// Samples real datagrams and makes hostile ones from them.
#[derive(Debug)]
pub(super) struct HostileTraffic {
    pub config: HostileConfig,
    recent: VecDeque<Datagram>,
    /// A uniform sample of all real datagrams so far.
    sample: Vec<Datagram>,
    seen: u64,
    random: RandomSource,
}

impl HostileTraffic {
    const RECENT_MAX: usize = 128;
    const SAMPLE_MAX: usize = 256;

    pub const fn new(config: HostileConfig, random: RandomSource) -> Self {
        Self {
            config,
            recent: VecDeque::new(),
            sample: Vec::new(),
            seen: 0,
            random,
        }
    }

    /// Considers a real datagram for the sample.
    pub fn saw(&mut self, datagram: &Datagram) {
        if self.config.interval_us == 0 {
            return;
        }
        self.seen += 1;
        if self.recent.len() == Self::RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(datagram.clone());
        if self.sample.len() < Self::SAMPLE_MAX {
            self.sample.push(datagram.clone());
        } else if let Some(place) = self.sample.get_mut(self.random.below(self.seen) as usize) {
            place.clone_from(datagram);
        }
    }

    /// The sampled real datagrams, as `(from, to, bytes)`.
    pub fn seen(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, &[u8])> {
        let all = self.recent.iter().chain(&self.sample);
        all.map(|f| (f.from, f.to, &*f.bytes))
    }

    /// The next hostile datagram; `None` before the first real datagram.
    pub fn next(&mut self, strangers: &[SocketAddr]) -> Option<Datagram> {
        let c = self.config;
        let random = &mut self.random;
        if self.recent.is_empty() {
            return None;
        }
        let real = if random.chance(600_000) {
            &self.recent[random.index(0, self.recent.len() - 1)]
        } else {
            &self.sample[random.index(0, self.sample.len() - 1)]
        };
        let mut datagram = real.clone();
        let kind = random.below(u64::from(c.noise + c.mutated + c.resized + c.replayed)) as u32;
        if kind < c.noise {
            let len = random.index(0, TransferConfig::DATAGRAM_BYTES_MAX + 28);
            datagram.bytes = (0..len).map(|_| random.word() as u8).collect();
        } else if kind < c.noise + c.mutated {
            datagram.bytes = mutate(&real.bytes, random).into();
        } else if kind < c.noise + c.mutated + c.resized {
            datagram.bytes = resize(&real.bytes, random).into();
        } else {
            return Some(datagram);
        }
        if random.chance(200_000) && !strangers.is_empty() {
            datagram.from = random.pick(strangers);
        }
        Some(datagram)
    }
}

/// Changes a few bits, bytes or words of a datagram.
pub fn mutate(bytes: &[u8], random: &mut RandomSource) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    for _ in 0..random.index(1, 4) {
        // Headers matter most.
        let most = if random.chance(700_000) {
            bytes.len().min(96)
        } else {
            bytes.len()
        };
        let at = random.index(0, most - 1);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.word() as u8,
            2 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            _ => {
                let word = random.pick(&[
                    0,
                    1,
                    u32::MAX,
                    i32::MAX as u32,
                    random.clone().word() as u32,
                ]);
                let n = 4.min(bytes.len() - at);
                bytes[at..at + n].copy_from_slice(&word.to_le_bytes()[..n]);
            }
        }
    }
    bytes
}

/// Truncates a datagram, or extends the datagram with noise.
pub fn resize(bytes: &[u8], random: &mut RandomSource) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if random.chance(600_000) && !bytes.is_empty() {
        bytes.truncate(random.index(0, bytes.len() - 1));
    } else {
        let more = random.index(1, 64);
        bytes.extend((0..more).map(|_| random.word() as u8));
    }
    bytes
}
