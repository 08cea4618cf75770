//! Heat and clocks.

use crate::{
    Finding, Kind,
    facts::{Board, HOT_C},
};

pub fn check(now: &Board) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(c) = now.temperature_c.filter(|c| *c >= HOT_C) {
        found.push(Finding::fault(
            Kind::Hot,
            format!("the processor has {c:.0} degrees, and is slowed down from {HOT_C:.0} on"),
            format!("thermal zone = {c:.1}"),
            "give it a heat sink and a fan, and air around it",
        ));
    }
    for clock in &now.clocks {
        // The driver's word for what others call ondemand.
        let is_slow = clock.governor == "powersave" && !clock.driver.contains("pstate");
        let is_capped = clock.allowed_khz < clock.able_khz;
        if !is_slow && !is_capped {
            continue;
        }
        let (what, advice) = if is_slow {
            (
                "the processor stays at its lowest clock".to_owned(),
                "echo ondemand | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
            )
        } else {
            (
                format!(
                    "the processor may run at {} MHz alone, and could at {}",
                    clock.allowed_khz / 1000,
                    clock.able_khz / 1000
                ),
                "write cpuinfo_max_freq into scaling_max_freq, and look for who lowers it",
            )
        };
        let seen = format!(
            "cpufreq {}: governor {}, scaling_max_freq {}, cpuinfo_max_freq {}",
            clock.name, clock.governor, clock.allowed_khz, clock.able_khz
        );
        found.push(Finding::fault(Kind::SlowClock, what, seen, advice));
    }
    // Cores of one kind have one rule each on some boards: one line is enough.
    found.dedup_by(|b, a| a.kind == Kind::SlowClock && a.what == b.what);
    found
}
