//! What is likely to be wrong, by facts. Each check is a pure function.

mod clock;
mod cpu;
mod memory;
mod network;
mod power;
mod reach;
mod udp;
mod way;

use std::net::Ipv4Addr;

pub use reach::{Reach, Tcp, Udp as UdpReach, reach};
pub use way::{Way, way};

use crate::{
    Finding, Health,
    facts::{Board, ReceiveBuffer},
};

/// What the board is for, as far as checks need it.
#[derive(Clone, Debug, Default)]
pub struct Aims {
    /// Addresses of the other boards; `None` if they are not known.
    pub others: Option<Vec<Ipv4Addr>>,
    /// The address that the cluster file has for this board.
    pub own: Option<Ipv4Addr>,
    /// Addresses of this board's interfaces.
    pub addresses: Vec<Ipv4Addr>,
    /// Longest packet of a node, with the heads of IP and UDP, in bytes.
    pub packet_bytes: u32,
    /// The receive buffer that the kernel gave.
    pub receive: Option<ReceiveBuffer>,
}

/// All that is likely to be wrong with a board, by two looks at it, one a moment after the other.
pub fn board(before: &Board, now: &Board, aims: &Aims) -> Vec<Finding> {
    let mut found = power::check(now);
    found.extend(cpu::check(now));
    found.extend(memory::check(before, now));
    found.extend(network::check(before, now, aims));
    found.extend(udp::check(before, now, aims));
    found.extend(clock::check(now));
    found
}

/// What is likely to be wrong with a board by what it told its gateway.
pub fn told(health: &Health) -> Vec<Finding> {
    let now = Board {
        power: health.power(),
        temperature_c: health.temperature_c,
        ..Board::default()
    };
    let mut found = power::check(&now);
    found.extend(cpu::check(&now));
    found
}

#[cfg(test)]
mod tests;
