//! What a board's files say at one time.

mod addresses;
mod busy;
mod clock;
mod heat;
mod memory;
mod network;
mod power;
mod receive;
mod speed;
mod udp;

pub use addresses::addresses;
pub use busy::ProcessorTime;
pub use clock::Clock;
pub use heat::{HOT_C, temperature_c};
pub use memory::{Group, Memory};
pub use network::{Interface, Network, Route, Wifi, signal_dbm};
pub use power::Power;
pub use receive::{PACKET_BYTES, RECEIVE_BYTES, ReceiveBuffer, given as receive_buffer};
pub use speed::{CoreClock, clocks};
pub use udp::{Node, Udp};

use crate::Root;

/// A board at one time. What is `None` or empty is unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// `Raspberry Pi 4 Model B Rev 1.4`.
    pub model: Option<String>,
    /// Voltage and throttling.
    pub power: Power,
    /// Degrees Celsius of the hottest part of the processor.
    pub temperature_c: Option<f64>,
    /// How fast cores may run.
    pub clocks: Vec<CoreClock>,
    /// Memory.
    pub memory: Memory,
    /// Network interfaces and routes.
    pub network: Network,
    /// Datagrams that were lost, and the sockets of nodes.
    pub udp: Udp,
    /// The time of day.
    pub clock: Clock,
}

impl Board {
    /// Reads everything. Processes called `node_name` are nodes.
    pub fn read(root: &Root, node_name: &str) -> Self {
        Self {
            model: model(root),
            power: Power::read(root),
            temperature_c: temperature_c(root),
            clocks: clocks(root),
            memory: Memory::read(root),
            network: Network::read(root),
            udp: Udp::read(root, node_name),
            clock: Clock::read(root),
        }
    }
}

/// What the board calls itself.
pub fn model(root: &Root) -> Option<String> {
    root.text("proc/device-tree/model")
}
