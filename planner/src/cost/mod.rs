//! What computing and sending cost: constants with their origin, and a schedule of one frame.

pub mod flow;
pub mod schedule;

pub use self::{
    flow::{Job, Need, jobs},
    schedule::{Cluster, Outcome, schedule},
};

/// Sustained rate of one Cortex-A53 core at 1.2 GHz on these layers, in floating-point operations
/// per second: 26.0 GFLOP in 13.56 s (DeepThings 2018, figure 1: Raspberry Pi 3 B with NNPACK).
pub const CORE_FLOPS: f64 = 1.92e9;
/// Cores of the gateway board (Raspberry Pi 3 B).
pub const GATEWAY_CORES: f64 = 4.0;
/// Goodput of the channel that all boards share, in bytes per second: 100 Mbit/s.
pub const CHANNEL_BYTES_PER_S: f64 = 100e6 / 8.0;
/// What a task costs beyond its arithmetic: messages, scheduling, in seconds.
pub const TASK_OVERHEAD_S: f64 = 2e-3;
/// From asking for inputs that lie elsewhere to their first byte: a request and its answer between
/// boards on one switch or access point, in seconds. Assumed, not measured.
pub const ROUND_TRIP_S: f64 = 3e-3;

/// What each further core adds to one that works alone, where all share a layer: two threads compute
/// YOLOv2 1.9 times as fast as one (EPYC, Zen 5, 2026-11).
const SHARED: f64 = 0.9;

/// Cores that a team of `threads` is worth.
#[expect(clippy::cast_precision_loss, reason = "few threads")]
pub fn team_cores(threads: usize) -> f64 {
    1.0 + SHARED * threads.saturating_sub(1) as f64
}

/// Seconds of arithmetic on `cores` cores.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn compute_s(macs: u64, cores: f64) -> f64 {
    2.0 * macs as f64 / (CORE_FLOPS * cores)
}

/// Seconds on the channel.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn link_s(bytes: u64) -> f64 {
    bytes as f64 / CHANNEL_BYTES_PER_S
}
