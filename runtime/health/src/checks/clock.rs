//! The time of day.

use std::time::Duration;

use crate::{Finding, Kind, facts::Board};

/// No board of today was set before this: 1 January 2025.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

pub fn check(now: &Board) -> Vec<Finding> {
    let clock = now.clock;
    let days = clock.unix.as_secs() / 86_400;
    if clock.unix < EARLIEST {
        return vec![Finding::fault(
            Kind::ClockUnset,
            "the clock was not set, so records have wrong times",
            format!("{days} days after 1 January 1970"),
            "sudo timedatectl set-ntp true, and give the board a way to a time server",
        )];
    }
    if clock.is_synchronized == Some(false) {
        return vec![Finding::advice(
            Kind::ClockUnsynchronized,
            "nobody has set the clock by the network since the start",
            "/run/systemd/timesync/synchronized is not there",
            "give the board a way to a time server (timedatectl timesync-status says which one it asks)",
        )];
    }
    Vec::new()
}
