//! A broker that hears of a gateway's records and boards: flags, and the way there. Without the feature `mqtt`, the flags are
//! refused.

#[cfg(not(feature = "mqtt"))]
mod absent;
pub mod flags;
#[cfg(feature = "mqtt")]
mod present;

#[cfg(not(feature = "mqtt"))]
pub use absent::{Broker, remove};
#[cfg(feature = "mqtt")]
pub use present::{Broker, remove};
