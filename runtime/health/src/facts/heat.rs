//! How hot the processor is.

use crate::Root;

/// Degrees Celsius from which on a Raspberry Pi is slowed down.
pub const HOT_C: f64 = 80.0;

/// Degrees Celsius of the hottest zone that is the processor's.
pub fn temperature_c(root: &Root) -> Option<f64> {
    let folder = "sys/class/thermal";
    let zones = root.names(folder);
    let zones = zones.iter().filter(|n| n.starts_with("thermal_zone"));
    let of = |zone: &String| {
        let kind = root.text(format!("{folder}/{zone}/type"))?;
        let is_processor = ["cpu", "soc", "x86_pkg"].iter().any(|k| kind.contains(k));
        let milli = root.number(format!("{folder}/{zone}/temp"))?;
        #[expect(clippy::cast_precision_loss, reason = "a temperature")]
        is_processor.then_some(milli as f64 / 1e3)
    };
    zones.filter_map(of).max_by(f64::total_cmp)
}
