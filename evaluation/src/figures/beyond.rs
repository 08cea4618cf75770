//! What figures beyond the paper have in common: their page's beginning, boards, networks.

use tessera_planner::boards::{Board, Link, Medium, Scale};

use crate::{EvaluationError, pi3};

/// The beginning of their page.
pub const HEAD: &str = "# Beyond the paper\n\n\
    What the paper does not measure, on the same boards and the same network ([the paper's figures](README.md)): one core of a Raspberry Pi 3 an edge, and \
    another one for the gateway. `cargo xtask paper` simulates all of it in virtual time. *WST* is work stealing as the paper has it, with the seconds of its \
    program. *Ours* is what the planner chooses for the boards, with its own seconds. Unless a figure says otherwise, boards compute the first 16 layers, \
    and a frame takes until the gateway has all of their results.\n";

/// A network.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Name in case names.
    pub key: &'static str,
    /// Name in tables.
    pub name: &'static str,
    /// Bits per second of values.
    pub bits_per_s: f64,
    /// Seconds of a message.
    pub delay_s: f64,
    /// What it is.
    pub medium: Medium,
}

/// The paper's network, faster radio, and switches.
pub const NETWORKS: [Network; 4] = [
    Network {
        key: "wifi38",
        name: "Wi-Fi, 38.4 Mbit/s",
        bits_per_s: 38.4e6,
        delay_s: 3e-3,
        medium: Medium::Shared(0),
    },
    Network {
        key: "wifi150",
        name: "Wi-Fi, 150 Mbit/s",
        bits_per_s: 150e6,
        delay_s: 3e-3,
        medium: Medium::Shared(0),
    },
    Network {
        key: "wire100",
        name: "switch, 100 Mbit/s",
        bits_per_s: 95e6,
        delay_s: 0.5e-3,
        medium: Medium::Switched,
    },
    Network {
        key: "wire1000",
        name: "switch, 1 Gbit/s",
        bits_per_s: 940e6,
        delay_s: 0.3e-3,
        medium: Medium::Switched,
    },
];

/// An edge on a network, so many times as fast as a Pi's core.
///
/// # Errors
/// When the cost table cannot be read.
pub fn edge(network: &Network, speed: f64) -> Result<Board, EvaluationError> {
    Ok(Board {
        scale: Scale::all(1.0 / speed),
        link: Link {
            bytes_per_s: network.bits_per_s / 8.0,
            delay_s: network.delay_s,
            medium: network.medium,
        },
        ..pi3::edge()?
    })
}

/// A part of a whole, in percent.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", 100.0 * part.abs().min(1.0))
}

/// A plan's name without the model and the target.
pub fn short(plan: &str) -> &str {
    let plan = plan.strip_prefix("yolov2-").unwrap_or(plan);
    plan.strip_suffix("-aarch64").unwrap_or(plan)
}
