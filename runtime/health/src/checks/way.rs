//! The way from one board to another.

use crate::{Finding, Kind};

/// A share of datagrams above this is much to lose.
const LOSS: f64 = 0.01;
/// A median of the time one way above this is long in one house.
const DELAY_US: u64 = 20_000;
/// A time one way that often comes is long above this; Wi-Fi that sleeps makes it.
const SLOW_US: u64 = 50_000;

/// What a few seconds of evenly sent datagrams showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Half of the median time there and back.
    pub delay_us: u64,
    /// Half of the time there and back that nine of ten do not exceed.
    pub slow_us: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams of these that arrived.
    pub arrived: u64,
}

/// What is wrong with the way.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn way(from: &str, to: &str, way: Way) -> Vec<Finding> {
    let mut found = Vec::new();
    if way.arrived == 0 && way.sent > 0 {
        return vec![
            Finding::fault(
                Kind::Mtu,
                format!("small datagrams arrive at {to}, large ones do not"),
                format!("pings were answered, and none of {} datagrams of 1400 bytes arrived", way.sent),
                "look for a tunnel or switch with a small MTU between them; ip link set IF mtu 1500 on both",
            )
            .on(from),
        ];
    }
    let lost = way.sent.saturating_sub(way.arrived);
    if lost as f64 > LOSS * way.sent as f64 {
        found.push(
            Finding::fault(
                Kind::Loss,
                format!(
                    "{:.1} % of the datagrams to {to} are lost",
                    100.0 * lost as f64 / way.sent as f64
                ),
                format!("of {} probe datagrams, {} arrived", way.sent, way.arrived),
                "use a wire, or another channel of Wi-Fi (5 GHz); look at both boards' drops and signal",
            )
            .on(from),
        );
    }
    if way.delay_us > DELAY_US || way.slow_us > SLOW_US {
        found.push(
            Finding::fault(
                Kind::Delay,
                format!("datagrams to {to} take long"),
                format!(
                    "one way {} ms in the median, {} ms for the slowest of ten",
                    ms(way.delay_us),
                    ms(way.slow_us)
                ),
                "switch Wi-Fi's power saving off on both boards, use a wire, and keep other traffic away",
            )
            .on(from),
        );
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn ms(us: u64) -> String {
    format!("{:.1}", us as f64 / 1e3)
}
