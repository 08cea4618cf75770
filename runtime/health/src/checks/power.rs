//! Voltage and throttling.

use crate::{Finding, Kind, facts::Board};

/// What to do about a weak supply.
const SUPPLY: &str = "use the board's own supply (5.1 V and 3 A for a Pi 4, 5 V and 5 A for a Pi 5) and a short thick cable";
/// What to do about heat.
const COOL: &str = "give it a heat sink and a fan, and air around it";

pub fn check(now: &Board) -> Vec<Finding> {
    let power = now.power;
    let seen = power.throttled.map_or_else(
        || "hwmon rpi_volt in0_lcrit_alarm = 1".to_owned(),
        |word| format!("get_throttled = {word:#x}"),
    );
    let mut found = Vec::new();
    if power.bit(0) || power.volt_alarm == Some(true) {
        let what = "the supply's voltage is too low, so the firmware lowers the clock";
        found.push(Finding::fault(Kind::UnderVoltage, what, &seen, SUPPLY));
    } else if power.bit(16) {
        let what = "the supply's voltage was too low since the board was started";
        found.push(Finding::fault(
            Kind::UnderVoltageBefore,
            what,
            &seen,
            SUPPLY,
        ));
    }
    // Under-voltage caps the clock as well: its line says it.
    let weak = power.bit(0) || power.bit(16);
    if power.bit(2) || power.bit(3) || power.bit(1) && !power.bit(0) {
        let what = "the firmware lowers the clock because of heat";
        found.push(Finding::fault(Kind::Throttled, what, &seen, COOL));
    } else if power.bit(18) && !weak || power.bit(19) {
        let what = "the firmware has lowered the clock because of heat since the board was started";
        found.push(Finding::fault(Kind::ThrottledBefore, what, &seen, COOL));
    }
    found
}
