//! What all peers of a node share: its keys, randomness, counters, and the datagrams and events that wait for the caller.

use std::{collections::VecDeque, net::SocketAddr, sync::atomic::Ordering};

use crate::{
    Micros,
    config::Config,
    cookie::{CookieMaker, proves_address},
    counts::{Counts, Refusal},
    handshake::Local,
    random::Generator,
    rate::{AddressRates, Load},
    stamp::Stamp,
    wire::INITIATION_BYTES,
};

/// A peer of a table. It names no other peer, even if the table's place is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    pub(crate) place: u16,
    pub(crate) turn: u64,
}

/// What [`crate::Sessions::poll`] asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send a datagram of this layer.
    Send {
        /// The receiver's address.
        to: SocketAddr,
        /// The datagram, valid until the next call.
        bytes: &'a [u8],
    },
    /// Datagrams can be sealed for a peer for which none could be, or whose process is another one now.
    Established {
        /// The peer.
        peer: PeerId,
        /// True if the peer has restarted since the last session.
        restarted: bool,
    },
    /// A peer did not answer for [`crate::Times::give_up_us`]. The next datagram for it tries again.
    GaveUp {
        /// The peer.
        peer: PeerId,
    },
    /// Nothing to do before this time, the next call of another method, or ever ([`Micros::MAX`]).
    WaitUntil(Micros),
}

/// What the caller is to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Established { peer: PeerId, restarted: bool },
    GaveUp { peer: PeerId },
}

/// A short datagram that waits to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    pub to: SocketAddr,
    pub len: usize,
    pub bytes: [u8; INITIATION_BYTES],
}

/// See the module.
pub(crate) struct Shared {
    pub local: Local,
    pub config: Config,
    pub random: Generator,
    pub counts: Counts,
    pub queue: VecDeque<Waiting>,
    pub events: VecDeque<Event>,
    /// The latest time that the caller named.
    pub now: Micros,
    /// No timer of a peer is due earlier.
    pub due_us: Micros,
    boot: u64,
    initiations: u64,
    cookies: CookieMaker,
    load: Load,
    addresses: AddressRates,
}

impl Shared {
    pub(crate) fn new(local: Local, seed: [u8; 32], config: Config) -> Self {
        let mut random = Generator::new(seed);
        let boot = random.word();
        Self {
            local,
            config,
            random,
            counts: Counts::default(),
            queue: VecDeque::new(),
            events: VecDeque::new(),
            now: 0,
            due_us: Micros::MAX,
            boot,
            initiations: 0,
            cookies: CookieMaker::new(),
            load: Load::default(),
            addresses: AddressRates::default(),
        }
    }

    pub(crate) const fn boot(&self) -> u64 {
        self.boot
    }

    /// The stamp of the next initiation.
    pub(crate) const fn next_stamp(&mut self) -> Stamp {
        self.initiations += 1;
        Stamp {
            boot: self.boot,
            count: self.initiations,
        }
    }

    /// A delay that chance chooses, at most [`crate::Times::jitter_us`].
    pub(crate) fn jitter(&mut self) -> Micros {
        let most = self.config.times.jitter_us.saturating_add(1);
        self.random.word() % most.max(1)
    }

    /// A timer of a peer was set.
    pub(crate) const fn wake_at(&mut self, at: Micros) {
        if at < self.due_us {
            self.due_us = at;
        }
    }

    /// Puts a datagram into the queue, if there is room.
    pub(crate) fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let mut bytes = [0; INITIATION_BYTES];
        let place = bytes.get_mut(..datagram.len());
        let (Some(place), true) = (place, self.queue.len() < self.config.limits.queue) else {
            self.counts.queue_full += 1;
            return;
        };
        place.copy_from_slice(datagram);
        self.queue.push_back(Waiting {
            to,
            len: datagram.len(),
            bytes,
        });
    }

    /// Tells the caller of an event; the oldest gives way if the caller does not fetch them.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() >= 2 * crate::Limits::PEERS_MAX {
            self.events.pop_front();
            self.counts.events_dropped += 1;
        }
        self.events.push_back(event);
    }

    /// Whether a handshake message with a right `mac1` may cost operations on the curve. Under load its sender must prove its address.
    pub(crate) fn admit(
        &mut self,
        from: SocketAddr,
        sender: u32,
        message: &[u8],
    ) -> Result<(), Refusal> {
        let (times, limits) = (self.config.times, self.config.limits);
        if !self
            .load
            .note(self.now, limits.handshakes_per_s, times.load_us)
        {
            return Ok(());
        }
        let cookie = self
            .cookies
            .cookie(from, self.now, times.cookie_us, &mut self.random);
        if !proves_address(message, &cookie) {
            let nonce = self.random.draw();
            if let Some(reply) = self.local.macs.seal(sender, cookie, nonce, message) {
                self.counts.cookies_sent += 1;
                self.send(from, &reply);
            }
            return Err(Refusal::CookieDemanded);
        }
        let (per_s, burst) = (limits.address_per_s, limits.address_burst);
        if !self
            .addresses
            .allows(from, self.now, per_s, burst, limits.addresses)
        {
            return Err(Refusal::AddressTooFast);
        }
        Ok(())
    }

    pub(crate) fn count_curve(&mut self) {
        self.counts.curve_operations = self.local.curve.load(Ordering::Relaxed);
    }
}
