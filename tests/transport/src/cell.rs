//! The networks of the tables.

use serde::{Deserialize, Serialize};
use tessera_sim::{Attachment, LinkConditions, NetConfig};

use crate::load::Shape;

/// One network, and what is fetched over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its name in tables.
    pub name: String,
    /// Which table it belongs to.
    pub group: String,
    /// Who fetches from whom.
    pub shape: Shape,
    /// Frames of which boxes are fetched.
    pub frames: u32,
    /// Bits per second: of each node's link, or of one channel that all share. 0 for sockets without a network between them.
    pub bits_per_s: u64,
    /// Whether all nodes share one channel.
    pub shared: bool,
    /// Round trip of an empty network, in microseconds.
    pub rtt_us: u64,
    /// Share of datagrams that are lost, in parts per million.
    pub loss_ppm: u32,
    /// Share of datagrams that are held back, in parts per million.
    pub reorder_ppm: u32,
}

/// Bytes that may wait before each link, or before the shared channel.
const QUEUE_BYTES: u64 = 256 * 1024;
/// Longest time that a datagram is held back.
const REORDER_US: u64 = 8_000;

impl Cell {
    /// The nodes' links.
    pub fn attachments(&self, nodes: usize) -> Vec<Attachment> {
        let bits_per_s = if self.shared { 0 } else { self.bits_per_s };
        let one = Attachment {
            bits_per_s,
            // From a node to the middle, twice on each way.
            delay_us: self.rtt_us / 4,
            queue_bytes: QUEUE_BYTES,
            ..Attachment::default()
        };
        vec![one; nodes]
    }

    /// The network between them, without its faults.
    pub fn net(&self) -> NetConfig {
        NetConfig {
            shared_bits_per_s: if self.shared { self.bits_per_s } else { 0 },
            shared_queue_bytes: QUEUE_BYTES,
            overhead_bytes: NetConfig::ETHERNET_OVERHEAD,
            ..NetConfig::default()
        }
    }

    /// The network's faults.
    pub fn conditions(&self) -> LinkConditions {
        LinkConditions {
            loss_ppm: self.loss_ppm,
            reorder_ppm: self.reorder_ppm,
            reorder_us: REORDER_US,
            ..LinkConditions::default()
        }
    }

    /// True for sockets that reach each other without a network between them.
    pub const fn is_loopback(&self) -> bool {
        self.bits_per_s == 0
    }
}

/// All cells, in the order of the tables.
pub fn cells() -> Vec<Cell> {
    let cell = |group: &str, name: String, shape, bits_per_s| Cell {
        name,
        group: group.into(),
        shape,
        frames: 5,
        bits_per_s,
        shared: false,
        rtt_us: 2_000,
        loss_ppm: 0,
        reorder_ppm: 0,
    };
    let mut all = Vec::new();
    for rtt_ms in [2, 20, 120, 200] {
        for loss in [0, 1, 5, 10, 30] {
            let name = format!("{rtt_ms} ms, {loss} %");
            all.push(Cell {
                rtt_us: 1000 * rtt_ms,
                loss_ppm: 10_000 * loss,
                ..cell("loss and delay", name, Shape::Scatter(3), 100_000_000)
            });
        }
    }
    let other = |name: &str, shape, bits| cell("networks", name.into(), shape, bits);
    let (scatter, gather) = (Shape::Scatter(3), Shape::Gather(6));
    all.extend([
        Cell {
            rtt_us: 20_000,
            reorder_ppm: 50_000,
            ..other("reordering", scatter, 100_000_000)
        },
        Cell {
            shared: true,
            ..other("shared 38.4 Mbit/s, incast", gather, 38_400_000)
        },
        Cell {
            shared: true,
            loss_ppm: 100_000,
            ..other("shared 38.4 Mbit/s, incast, 10 %", gather, 38_400_000)
        },
        Cell {
            shared: true,
            ..other(
                "shared 38.4 Mbit/s, from one",
                Shape::Scatter(6),
                38_400_000,
            )
        },
        other("100 Mbit/s, incast", gather, 100_000_000),
        Cell {
            frames: 40,
            rtt_us: 400,
            ..other("1 Gbit/s, from one", scatter, 1_000_000_000)
        },
        Cell {
            frames: 80,
            rtt_us: 400,
            ..other("1 Gbit/s, incast", gather, 1_000_000_000)
        },
        Cell {
            frames: 80,
            ..other("loopback, from one", scatter, 0)
        },
        Cell {
            frames: 160,
            ..other("loopback, incast", gather, 0)
        },
    ]);
    all
}
