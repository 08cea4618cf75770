//! Datagrams that no honest node sends: noise, mutations of real ones, and old ones again.

use std::{collections::VecDeque, net::SocketAddr};

use super::{core::Flight, draw::Draw};
use tessera_protocol::TransferConfig;

/// What a storm is made of. Weights are relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormConfig {
    /// Microseconds between two datagrams; 0 for no storm.
    pub every: u64,
    /// Random bytes.
    pub noise: u32,
    /// Real datagrams with a few bits or words changed.
    pub mutated: u32,
    /// Real datagrams cut short or grown.
    pub resized: u32,
    /// Real datagrams of any age, again.
    pub replayed: u32,
}

impl StormConfig {
    /// Nothing.
    pub const CALM: Self = Self {
        every: 0,
        noise: 0,
        mutated: 0,
        resized: 0,
        replayed: 0,
    };
}

/// Remembers real datagrams and spoils them.
#[derive(Debug)]
pub(super) struct Storm {
    pub config: StormConfig,
    recent: VecDeque<Flight>,
    /// A fair sample of all so far.
    sample: Vec<Flight>,
    seen: u64,
    draw: Draw,
}

impl Storm {
    const RECENT: usize = 128;
    const SAMPLE: usize = 256;

    pub const fn new(config: StormConfig, draw: Draw) -> Self {
        Self {
            config,
            recent: VecDeque::new(),
            sample: Vec::new(),
            seen: 0,
            draw,
        }
    }

    /// A real datagram was sent.
    pub fn saw(&mut self, flight: &Flight) {
        if self.config.every == 0 {
            return;
        }
        self.seen += 1;
        if self.recent.len() == Self::RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(flight.clone());
        if self.sample.len() < Self::SAMPLE {
            self.sample.push(flight.clone());
        } else if let Some(place) = self.sample.get_mut(self.draw.below(self.seen) as usize) {
            place.clone_from(flight);
        }
    }

    /// Real datagrams of any age, `(from, to, bytes)`.
    pub fn seen(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, &[u8])> {
        let all = self.recent.iter().chain(&self.sample);
        all.map(|f| (f.from, f.to, &*f.bytes))
    }

    /// The next bad datagram; `None` while no real one was seen.
    pub fn next(&mut self, strangers: &[SocketAddr]) -> Option<Flight> {
        let c = self.config;
        let d = &mut self.draw;
        if self.recent.is_empty() {
            return None;
        }
        let real = if d.chance(600_000) {
            &self.recent[d.index(0, self.recent.len() - 1)]
        } else {
            &self.sample[d.index(0, self.sample.len() - 1)]
        };
        let mut flight = real.clone();
        let kind = d.below(u64::from(c.noise + c.mutated + c.resized + c.replayed)) as u32;
        if kind < c.noise {
            let len = d.index(0, TransferConfig::MAX_DATAGRAM + 28);
            flight.bytes = (0..len).map(|_| d.word() as u8).collect();
        } else if kind < c.noise + c.mutated {
            flight.bytes = mutate(&real.bytes, d).into();
        } else if kind < c.noise + c.mutated + c.resized {
            flight.bytes = resize(&real.bytes, d).into();
        } else {
            return Some(flight);
        }
        if d.chance(200_000) && !strangers.is_empty() {
            flight.from = d.pick(strangers);
        }
        Some(flight)
    }
}

/// Changes a few bits, bytes or words.
pub fn mutate(bytes: &[u8], d: &mut Draw) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    for _ in 0..d.index(1, 4) {
        // Headers matter most.
        let most = if d.chance(700_000) {
            bytes.len().min(96)
        } else {
            bytes.len()
        };
        let at = d.index(0, most - 1);
        match d.below(4) {
            0 => bytes[at] ^= 1 << d.below(8),
            1 => bytes[at] = d.word() as u8,
            2 => bytes[at] = d.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            _ => {
                let word = d.pick(&[0, 1, u32::MAX, i32::MAX as u32, d.clone().word() as u32]);
                let n = 4.min(bytes.len() - at);
                bytes[at..at + n].copy_from_slice(&word.to_le_bytes()[..n]);
            }
        }
    }
    bytes
}

/// Cuts short, or grows by noise.
pub fn resize(bytes: &[u8], d: &mut Draw) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if d.chance(600_000) && !bytes.is_empty() {
        bytes.truncate(d.index(0, bytes.len() - 1));
    } else {
        let more = d.index(1, 64);
        bytes.extend((0..more).map(|_| d.word() as u8));
    }
    bytes
}
