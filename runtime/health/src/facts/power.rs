//! Voltage and throttling, as the Raspberry Pi's firmware tells them.

use crate::Root;

/// See the module. Other boards tell nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// The firmware's word: bits 0 to 3 are under-voltage, capped clock, throttled, soft temperature limit now; bits 16 to 19 the
    /// same at any time since the start.
    pub throttled: Option<u32>,
    /// The kernel's alarm of under-voltage, which it looks at every two seconds.
    pub volt_alarm: Option<bool>,
}

impl Power {
    /// Reads the word from the kernel, or asks `vcgencmd`.
    pub fn read(root: &Root) -> Self {
        let files = Self::of_files(root);
        Self {
            throttled: files.throttled.or_else(|| asked(root)),
            ..files
        }
    }

    /// Reads what the kernel tells.
    pub fn of_files(root: &Root) -> Self {
        Self {
            throttled: word(root),
            volt_alarm: volt_alarm(root),
        }
    }

    /// Whether the firmware lowers the clock now, for want of voltage or because of heat.
    pub fn is_throttled(self) -> Option<bool> {
        self.throttled.map(|word| word & 0xf != 0)
    }

    /// True if a bit of the word is set.
    pub const fn bit(self, bit: u32) -> bool {
        matches!(self.throttled, Some(word) if word & 1 << bit != 0)
    }
}

fn word(root: &Root) -> Option<u32> {
    let platform = "sys/devices/platform";
    for soc in root.names(platform).iter().filter(|n| n.starts_with("soc")) {
        let soc = format!("{platform}/{soc}");
        for child in root.names(&soc).iter().filter(|n| n.ends_with("firmware")) {
            let text = root.text(format!("{soc}/{child}/get_throttled"));
            if let Some(word) = text.as_deref().and_then(hex) {
                return Some(word);
            }
        }
    }
    None
}

fn asked(root: &Root) -> Option<u32> {
    let said = root.said("vcgencmd", &["get_throttled"])?;
    hex(said.strip_prefix("throttled=")?)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

fn volt_alarm(root: &Root) -> Option<bool> {
    let folder = "sys/class/hwmon";
    let all = root.names(folder);
    let found = (all.iter())
        .map(|name| format!("{folder}/{name}"))
        .find(|at| root.text(format!("{at}/name")).as_deref() == Some("rpi_volt"))?;
    Some(root.number(format!("{found}/in0_lcrit_alarm"))? != 0)
}
