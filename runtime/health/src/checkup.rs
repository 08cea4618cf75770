//! A look at a board as it is told to others.

use serde::{Deserialize, Serialize};

use crate::{
    Finding, Root,
    facts::{self, Board, Memory, Power},
};

/// What people want to know of a board that is well, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `Raspberry Pi 4 Model B Rev 1.4`; `None` if the board does not say. So with all that follows.
    pub model: Option<String>,
    /// Degrees Celsius of the processor.
    pub temperature_c: Option<f64>,
    /// Whether the firmware lowers the clock now, for want of voltage or because of heat.
    pub throttled: Option<bool>,
    /// Bytes of memory that new processes can have.
    pub memory_available_bytes: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// The firmware's word behind `throttled`: see [`Power::throttled`].
    #[serde(default)]
    pub throttle_flags: Option<u32>,
    /// Share of the processor's time that was used lately, from 0 to 1.
    #[serde(default)]
    pub busy: Option<f64>,
    /// Strength of the Wi-Fi signal, in dBm.
    #[serde(default)]
    pub signal_dbm: Option<f64>,
}

impl Health {
    /// What a board said of itself longer ago is history, in seconds: it speaks every ten.
    pub const TOLD_FOR_S: f64 = 60.0;

    /// Reads it from the board's files alone, which takes no time.
    pub fn of_files(root: &Root) -> Self {
        let (memory, power) = (Memory::read(root), Power::of_files(root));
        Self {
            model: facts::model(root),
            temperature_c: facts::temperature_c(root),
            throttled: power.is_throttled(),
            memory_available_bytes: memory.available,
            memory_bytes: memory.total,
            throttle_flags: power.throttled,
            // It takes two looks.
            busy: None,
            signal_dbm: facts::signal_dbm(root),
        }
    }

    /// The firmware's word.
    pub const fn power(&self) -> Power {
        Power {
            throttled: self.throttle_flags,
            volt_alarm: None,
        }
    }

    /// Why the board is slowed down now or about to be, in words that follow its name; `None` if it is not, as far as is known.
    pub fn trouble(&self) -> Option<String> {
        let degrees = self.temperature_c.map(|c| format!(" ({c:.0} degrees)"));
        let degrees = degrees.unwrap_or_default();
        if self.power().bit(0) {
            return Some(
                "gets too little voltage, so its firmware lowers the clock: it needs a better supply"
                    .into(),
            );
        }
        if self.throttled == Some(true) {
            return Some(format!(
                "is slowed down because of heat{degrees}: it needs a heat sink and a fan"
            ));
        }
        let is_hot = self.temperature_c.is_some_and(|c| c >= facts::HOT_C);
        is_hot.then(|| {
            format!("is too hot{degrees}, so it is slowed down: it needs a heat sink and a fan")
        })
    }
}

impl From<&Board> for Health {
    fn from(board: &Board) -> Self {
        Self {
            model: board.model.clone(),
            temperature_c: board.temperature_c,
            throttled: board.power.is_throttled(),
            memory_available_bytes: board.memory.available,
            memory_bytes: board.memory.total,
            throttle_flags: board.power.throttled,
            busy: None,
            signal_dbm: board
                .network
                .interfaces
                .iter()
                .filter_map(|i| i.wifi?.signal_dbm)
                .max_by(f64::total_cmp),
        }
    }
}

/// How a board is, and what is likely to be wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkup {
    /// How it is.
    pub health: Health,
    /// What is likely to be wrong.
    pub findings: Vec<Finding>,
    /// The time of day on the board, in milliseconds since 1970.
    pub unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(temperature_c: Option<f64>, throttle_flags: Option<u32>) -> Option<String> {
        let health = Health {
            temperature_c,
            throttle_flags,
            ..Health::default()
        };
        let throttled = health.power().is_throttled();
        Health {
            throttled,
            ..health
        }
        .trouble()
    }

    #[test]
    fn boards_that_are_slowed_down_say_why() {
        let text = |t, flags| board(t, flags).unwrap_or_default();
        assert_eq!(board(None, None), None);
        assert_eq!(board(Some(79.9), Some(0xf_0000)), None, "it was once");
        assert!(text(Some(50.0), Some(0x5_0005)).contains("too little voltage"));
        assert!(text(None, Some(0x2)).starts_with("is slowed down because of heat:"));
        assert!(text(Some(81.2), Some(0x4)).contains("because of heat (81 degrees)"));
        assert!(text(Some(85.0), None).starts_with("is too hot (85 degrees)"));
    }

    #[test]
    fn a_look_at_files_asks_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let write = |file: &str, text: &str| {
            std::fs::create_dir_all(root.at(file).parent().unwrap()).unwrap();
            std::fs::write(root.at(file), text).unwrap();
        };
        assert_eq!(Health::of_files(&root), Health::default());
        let firmware = "sys/devices/platform/soc@3fc00000/firmware";
        write(&format!("{firmware}/get_throttled"), "50005\n");
        write(
            "proc/net/wireless",
            "Inter-| sta-|\n face | tus |\n wlan0: 0000 54. -56. -256\n wlan1: 0000 9. -88. -256\n",
        );
        let health = Health::of_files(&root);
        assert_eq!(health.throttle_flags, Some(0x5_0005));
        assert_eq!(health.throttled, Some(true));
        assert_eq!(health.signal_dbm, Some(-56.0));
        write("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n");
        let before = facts::ProcessorTime::read(&root).unwrap();
        assert_eq!((before.busy, before.all), (200, 1000));
        write("proc/stat", "cpu  140 0 110 830 120 0 0 0 0 0\ncpu0 1\n");
        let now = facts::ProcessorTime::read(&root).unwrap();
        assert_eq!(now.share_since(before), Some(0.25));
        assert_eq!(before.share_since(before), None);
        assert_eq!(before.share_since(now), None, "another board");
    }
}
