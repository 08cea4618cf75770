//! How fast cores may run.

use crate::Root;

/// Cores with one rule for their clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreClock {
    /// `policy0`.
    pub name: String,
    /// Who chooses the clock: `ondemand`, `powersave`, ..
    pub governor: String,
    /// The driver: `intel_pstate` means something else by `powersave`.
    pub driver: String,
    /// Most that is allowed, in kHz.
    pub allowed_khz: i64,
    /// Most that the cores can, in kHz.
    pub able_khz: i64,
}

/// All rules.
pub fn clocks(root: &Root) -> Vec<CoreClock> {
    let folder = "sys/devices/system/cpu/cpufreq";
    let names = root.names(folder);
    let of = |name: &String| {
        let at = |file: &str| format!("{folder}/{name}/{file}");
        Some(CoreClock {
            name: name.clone(),
            governor: root.text(at("scaling_governor"))?,
            driver: root.text(at("scaling_driver")).unwrap_or_default(),
            allowed_khz: root.number(at("scaling_max_freq"))?,
            able_khz: root.number(at("cpuinfo_max_freq"))?,
        })
    };
    (names.iter().filter(|n| n.starts_with("policy")))
        .filter_map(of)
        .collect()
}
