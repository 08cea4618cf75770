//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Root;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Now, by the clock of this process.
    pub unix: Duration,
    /// Whether systemd's time service has set the clock since the start; `None` where it does not run.
    pub is_synchronized: Option<bool>,
}

impl Clock {
    /// Reads it.
    pub fn read(root: &Root) -> Self {
        let folder = "run/systemd/timesync";
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            unix: now.unwrap_or_default(),
            is_synchronized: (root.has(folder)).then(|| root.has(format!("{folder}/synchronized"))),
        }
    }

    /// The time in milliseconds.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.unix.as_millis()).unwrap_or(u64::MAX)
    }
}
