//! Times of a trace.

use tessera_protocol::Micros;

/// Microseconds of a trace.
#[expect(
    clippy::cast_precision_loss,
    reason = "times of a process are far below 2^53 us"
)]
pub const fn time(us: Micros) -> f64 {
    us as f64
}
