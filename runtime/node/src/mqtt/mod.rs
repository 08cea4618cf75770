//! A broker that hears of a gateway's records and boards: flags, and the way there. Without the feature `mqtt`, the flags are
//! refused.

#[cfg(not(feature = "mqtt"))]
mod absent;
pub mod flags;
#[cfg(feature = "mqtt")]
mod present;

#[cfg(all(feature = "alerts", not(feature = "mqtt")))]
pub use absent::Events;
#[cfg(not(feature = "mqtt"))]
pub use absent::{Broker, remove};
#[cfg(all(feature = "alerts", feature = "mqtt"))]
pub use present::Events;
#[cfg(feature = "mqtt")]
pub use present::{Broker, remove};
