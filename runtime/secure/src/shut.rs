//! The nodes of which nothing is opened for a while, for those who look on and for the socket.

use crate::{Micros, config::Limits, wire};

/// A node of which nothing is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutOut {
    /// The node's number in the cluster.
    pub number: u16,
    /// The node's name.
    pub name: String,
    /// What [`ShutOuts::place`] finds in the head of the node's data.
    pub place: u16,
    /// For how long, in microseconds.
    pub for_us: Micros,
    /// Until when.
    pub until_us: Micros,
}

/// All of them. At most one entry for each peer.
#[derive(Clone, Debug, Default)]
pub struct ShutOuts {
    all: Vec<ShutOut>,
    version: u64,
}

impl ShutOuts {
    /// First byte of data.
    pub const KIND: u8 = wire::DATA;
    /// Where in data the receiver's number lies whose low bits name the sender's place: bytes of a little-endian word.
    pub const RECEIVER_AT: usize = 4;
    /// These bits of it.
    pub const PLACE_MASK: u32 = Limits::PEERS_MAX as u32 - 1;

    /// The place that the head of a datagram names, if it is data.
    pub fn place(datagram: &[u8]) -> Option<u16> {
        let is_data = datagram.first() == Some(&Self::KIND);
        let word = wire::u32_at(datagram, Self::RECEIVER_AT);
        is_data.then_some((word & Self::PLACE_MASK) as u16)
    }

    /// The nodes that are shut out, the latest last.
    pub fn iter(&self) -> impl Iterator<Item = &ShutOut> {
        self.all.iter()
    }

    /// Another number after each change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn add(&mut self, shut: ShutOut) {
        self.remove(shut.number);
        self.all.push(shut);
        self.version += 1;
    }

    pub(crate) fn remove(&mut self, number: u16) {
        self.keep(|s| s.number != number);
    }

    /// Forgets those whose time is over.
    pub(crate) fn look(&mut self, now: Micros) {
        if now >= self.next_end() {
            self.keep(|s| now < s.until_us);
        }
    }

    fn keep(&mut self, stays: impl Fn(&ShutOut) -> bool) {
        let before = self.all.len();
        self.all.retain(stays);
        self.version += u64::from(before != self.all.len());
    }

    /// When the next one's time is over.
    pub(crate) fn next_end(&self) -> Micros {
        let ends = self.all.iter().map(|s| s.until_us);
        ends.min().unwrap_or(Micros::MAX)
    }
}
