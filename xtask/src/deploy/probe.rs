//! What a board is: one script over ssh, and its answer. Nothing is changed there.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tessera_planner::options::Target;

/// Prints a line `name<TAB>value` per fact; a fact that a board does not tell is left out.
pub const SCRIPT: &str = r#"
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
first() { sed -n "s/^$1[[:space:]]*: *//p" /proc/cpuinfo | head -n 1; }
say clock "$(date +%s.%N)"
say machine "$(uname -m)"
say kernel "$(uname -r)"
say bits "$(getconf LONG_BIT 2>/dev/null)"
say model "$(tr -d '\000' 2>/dev/null </proc/device-tree/model || first 'model name')"
say features "$(first Features)$(first flags)"
say cores "$(nproc)"
say memory_kib "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
say available_kib "$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)"
say disk_kib "$(df -Pk /opt 2>/dev/null | awk 'NR == 2 { print $4 }')"
say systemd "$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
for at in /sys/class/net/*/wireless /sys/class/net/*/phy80211; do
    [ -e "$at" ] || continue
    wifi=$(basename "$(dirname "$at")")
    say wifi "$wifi"
    say power_save "$(PATH=$PATH:/usr/sbin:/sbin iw dev "$wifi" get power_save 2>/dev/null | sed 's/.*: *//')"
done
"#;

/// A clock that is this far off is told of: records have times of day.
const CLOCK_S_MAX: f64 = 5.0;

/// What a board says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Probe {
    /// What kind of board it is, as `Raspberry Pi 4 Model B Rev 1.4`.
    pub model: Option<String>,
    /// The kernel's name of the processor, as `aarch64`.
    pub machine: String,
    /// Version of the kernel.
    pub kernel: String,
    /// Bits of an address in its programs: 32 under some 64-bit kernels.
    pub bits: Option<u32>,
    /// What the processor can, as the kernel names it.
    #[serde(skip)]
    pub features: Vec<String>,
    /// Cores.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Memory that programs can have now, in bytes.
    pub available_bytes: u64,
    /// Free room where versions lie, in bytes.
    pub disk_bytes: Option<u64>,
    /// Version of systemd; `None` without.
    pub systemd: Option<u32>,
    /// How far its clock is ahead of this machine's, in seconds, as far as the time of the question allows to say.
    pub clock_s: Option<f64>,
    /// A wireless interface.
    pub wifi: Option<String>,
    /// Whether that one saves power: `on` costs tens of milliseconds a message.
    pub power_save: Option<String>,
}

/// The facts of an answer, by name. Of several values of a name, the last one counts.
pub fn facts(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|l| l.split_once('\t')).collect()
}

impl Probe {
    /// Reads an answer; the board was asked between the two times.
    pub fn read(text: &str, asked: SystemTime, answered: SystemTime) -> Self {
        let facts = facts(text);
        let text = |name: &str| facts.get(name).map(|v| v.trim().to_owned());
        let number = |name: &str| -> Option<u64> { facts.get(name)?.trim().parse().ok() };
        let bytes = |name: &str| number(name).and_then(|kib| kib.checked_mul(1024));
        let clock = facts.get("clock").and_then(|c| c.trim().parse().ok());
        Self {
            model: text("model"),
            machine: text("machine").unwrap_or_default(),
            kernel: text("kernel").unwrap_or_default(),
            bits: number("bits").and_then(|b| b.try_into().ok()),
            features: text("features")
                .unwrap_or_default()
                .split_whitespace()
                .map(Into::into)
                .collect(),
            cores: number("cores").unwrap_or(1) as usize,
            memory_bytes: bytes("memory_kib").unwrap_or(0),
            available_bytes: bytes("available_kib").unwrap_or(0),
            disk_bytes: bytes("disk_kib"),
            systemd: number("systemd").and_then(|v| v.try_into().ok()),
            clock_s: clock.map(|c| ahead(c, asked, answered)),
            wifi: text("wifi"),
            power_save: text("power_save"),
        }
    }

    /// The best target of the board; `None` if no target fits.
    pub fn best(&self) -> Option<Target> {
        let order = [
            Target::X86_64V4,
            Target::X86_64V3,
            Target::Aarch64,
            Target::Armv7,
            Target::Portable,
        ];
        order.into_iter().find(|t| self.runs(*t))
    }

    /// True if nodes for the target run on the board.
    pub fn runs(&self, target: Target) -> bool {
        let has = |names: &[&str]| names.iter().all(|n| self.features.iter().any(|f| f == n));
        match target {
            Target::X86_64V3 => self.machine == "x86_64" && has(&["avx2", "fma", "f16c"]),
            Target::X86_64V4 => {
                self.runs(Target::X86_64V3) && has(&["avx512f", "avx512bw", "avx512dq", "avx512vl"])
            }
            Target::Aarch64 => self.machine == "aarch64",
            // A node is linked statically: it needs no 32-bit libraries, but a kernel that runs such programs.
            Target::Armv7 => {
                let is_32 = ["armv7l", "armv8l"].contains(&self.machine.as_str());
                (is_32 && has(&["neon", "vfpv4"]))
                    || (self.machine == "aarch64" && self.bits == Some(32))
            }
            Target::Portable => {
                !self.machine.is_empty() && target.triple().starts_with(&self.machine)
            }
        }
    }

    /// What may make trouble, and what to do about it.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(off) = self.clock_s.filter(|s| s.abs() > CLOCK_S_MAX) {
            all.push(format!(
                "its clock is {off:+.0} s off: times in records will be; sudo timedatectl set-ntp true"
            ));
        }
        if let (Some(wifi), Some("on")) = (&self.wifi, self.power_save.as_deref()) {
            all.push(format!(
                "{wifi} saves power, which costs tens of milliseconds a message; sudo iw dev {wifi} set power_save off"
            ));
        }
        all
    }
}

/// How far the clock `there` is ahead. It was read between the two times: what lies within them is 0.
fn ahead(there: f64, asked: SystemTime, answered: SystemTime) -> f64 {
    let s = |t: SystemTime| {
        t.duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs_f64()
    };
    let (from, to) = (s(asked), s(answered));
    if there < from {
        there - from
    } else if there > to {
        there - to
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Probe {
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        Probe::read(text, at(1_000), at(1_002))
    }

    const PI4: &str = "clock\t1001.5\nmachine\taarch64\nkernel\t6.12.1\nbits\t64\nmodel\tRaspberry Pi 4 Model B Rev 1.4\n\
        features\tfp asimd evtstrm crc32 cpuid\ncores\t4\nmemory_kib\t3882488\navailable_kib\t3500000\ndisk_kib\t20000000\n\
        systemd\t252\nwifi\twlan0\npower_save\ton\n";

    #[test]
    fn a_pi_is_understood() {
        let pi = read(PI4);
        assert_eq!(pi.model.as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
        assert_eq!((pi.cores, pi.systemd), (4, Some(252)));
        assert_eq!(pi.memory_bytes, 3_882_488 << 10);
        assert_eq!(pi.clock_s, Some(0.0), "within the time of the question");
        assert_eq!(pi.best(), Some(Target::Aarch64));
        assert!(!pi.runs(Target::Armv7), "programs have 64 bits there");
        let warned = pi.warnings();
        assert!(
            warned.len() == 1 && warned[0].contains("wlan0"),
            "{warned:?}"
        );
    }

    #[test]
    fn a_64_bit_kernel_under_32_bit_programs_runs_both() {
        let pi = read(&PI4.replace("bits\t64", "bits\t32").replace("1001.5", "900"));
        assert!(pi.runs(Target::Armv7) && pi.runs(Target::Aarch64));
        assert_eq!(pi.clock_s, Some(-100.0));
        assert!(pi.warnings().iter().any(|w| w.contains("-100 s")));
    }

    #[test]
    fn other_processors() {
        let old = read("machine\tarmv7l\nfeatures\thalf neon vfpv4\n");
        assert_eq!(old.best(), Some(Target::Armv7));
        let pc = read("machine\tx86_64\nfeatures\tfma avx2 f16c\n");
        assert_eq!(pc.best(), Some(Target::X86_64V3));
        assert!(!pc.runs(Target::X86_64V4) && !pc.runs(Target::Aarch64));
        assert_eq!(read("machine\triscv64\n").best(), None);
        assert_eq!(read("").best(), None, "who says nothing runs nothing");
    }
}
