//! What people want to hear of: `[[alert]]` of the cluster file, which the gateway follows. Without the feature `alerts`, such a table
//! is refused.

#[cfg(not(feature = "alerts"))]
mod absent;
#[cfg(feature = "alerts")]
mod present;
#[cfg(feature = "alerts")]
mod stills;
#[cfg(feature = "alerts")]
mod voice;
#[cfg(feature = "alerts")]
mod webhook;

use crate::sinks::RecordSink;

#[cfg(not(feature = "alerts"))]
pub use absent::{Stills, WAIT_MAX, open};
#[cfg(feature = "alerts")]
pub use {
    present::open,
    stills::{Stills, WAIT_MAX},
};

/// What a gateway has of alerts.
#[derive(Debug, Default)]
pub struct Opened {
    /// Follows objects.
    pub sink: Option<Box<dyn RecordSink>>,
    /// Wants pictures of some frames.
    pub stills: Option<Stills>,
}
