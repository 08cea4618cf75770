//! What people want to hear of: `[[alert]]` of the cluster file, which the gateway follows. Without the feature `alerts`, such a table
//! is refused.

#[cfg(not(feature = "alerts"))]
mod absent;
#[cfg(feature = "alerts")]
mod present;
#[cfg(feature = "alerts")]
mod webhook;

#[cfg(not(feature = "alerts"))]
pub use absent::sink;
#[cfg(feature = "alerts")]
pub use present::sink;
