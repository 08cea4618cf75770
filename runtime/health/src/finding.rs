//! One thing that is likely to be wrong.

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Frames are lost, late or wrong, or a board does not take part.
    Fault,
    /// It works, and would work better otherwise. An exit code does not count it.
    Advice,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is wrong: a row of `docs/doctor.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Kind {
            /// All rows.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The row's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// The supply's voltage is too low now.
    UnderVoltage = "under-voltage",
    /// It was too low at some time since the board was started.
    UnderVoltageBefore = "under-voltage-before",
    /// The firmware lowers the clock now.
    Throttled = "throttled",
    /// It has done so since the board was started.
    ThrottledBefore = "throttled-before",
    /// The processor is as hot as it may be.
    Hot = "hot",
    /// The processor's clock is kept low by choice.
    SlowClock = "slow-clock",
    /// Little memory is free.
    LittleMemory = "little-memory",
    /// The group that this process runs in has nearly used what it may.
    MemoryLimit = "memory-limit",
    /// The system has ended a process of the group for want of memory.
    KilledForMemory = "killed-for-memory",
    /// Memory is being written to a disk or card.
    Swapping = "swapping",
    /// The kernel gives smaller receive buffers than a node asks for.
    ReceiveBuffer = "receive-buffer",
    /// A node's socket has lost datagrams.
    SocketDrops = "socket-drops",
    /// Datagrams are being lost behind the network interface.
    KernelDrops = "kernel-drops",
    /// The network interface loses packets.
    InterfaceErrors = "interface-errors",
    /// Datagrams of a node do not fit into a packet.
    Mtu = "mtu",
    /// Wi-Fi sleeps between packets.
    WifiPowerSave = "wifi-power-save",
    /// Wi-Fi's signal is weak.
    WeakWifi = "weak-wifi",
    /// The other boards are reached by Wi-Fi though there is a wire.
    WrongInterface = "wrong-interface",
    /// The cluster file's address is not this board's.
    WrongAddress = "wrong-address",
    /// There is no way to the other boards.
    NoRoute = "no-route",
    /// The clock was never set.
    ClockUnset = "clock-unset",
    /// Nobody has set the clock by the network since the start.
    ClockUnsynchronized = "clock-unsynchronized",
    /// A board's clock is not that of the machine that asks.
    ClockDiffers = "clock-differs",
    /// No frame comes of a source.
    Camera = "camera",
    /// The board's keys or its cluster file cannot be used.
    Keys = "keys",
    /// The board is not on the network.
    Absent = "absent",
    /// Nothing listens there.
    NothingListens = "nothing-listens",
    /// A firewall is between.
    Firewall = "firewall",
    /// Somebody listens there, and does not answer.
    Unanswered = "unanswered",
    /// Datagrams arrive one way alone.
    OneWay = "one-way",
    /// Datagrams get lost on the way between two boards.
    Loss = "loss",
    /// Datagrams take long on the way between two boards.
    Delay = "delay",
    /// A node is of another plan.
    OtherPlan = "other-plan",
    /// A node has another model's weights.
    OtherModel = "other-model",
    /// Two nodes have one number.
    NumberInUse = "number-in-use",
    /// A node's number cannot be used.
    BadNumber = "bad-number",
    /// Handshakes fail for want of the right keys.
    WrongKeys = "wrong-keys",
    /// A board of the running cluster does not take part.
    BoardMissing = "board-missing",
    /// The running cluster computes nothing.
    NotReady = "not-ready",
    /// The cluster file contradicts itself.
    ClusterFile = "cluster-file",
}

impl Kind {
    /// Whether a board's gateway may have heard of it: see [`crate::told`].
    pub const fn is_told(self) -> bool {
        matches!(
            self,
            Self::UnderVoltage
                | Self::UnderVoltageBefore
                | Self::Throttled
                | Self::ThrottledBefore
                | Self::Hot
        )
    }
}

/// One thing that is likely to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which row it is.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The board that it is about; none: the one that looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// What is wrong.
    pub what: String,
    /// How it was seen: the file or program, and what it said.
    pub seen: String,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    /// A fault.
    pub fn fault(
        kind: Kind,
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            severity: Severity::Fault,
            board: None,
            what: what.into(),
            seen: seen.into(),
            advice: advice.into(),
        }
    }

    /// Something that could be better.
    pub fn advice(
        kind: Kind,
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Advice,
            ..Self::fault(kind, what, seen, advice)
        }
    }

    /// The same of a board.
    #[must_use]
    pub fn on(self, board: impl Into<String>) -> Self {
        Self {
            board: Some(board.into()),
            ..self
        }
    }

    /// As one line: `porch: fault: what [how it was seen]: what to do`.
    pub fn line(&self) -> String {
        let severity = match self.severity {
            Severity::Fault => "fault",
            Severity::Advice => "advice",
        };
        let board = (self.board.as_ref()).map_or_else(String::new, |b| format!("{b}: "));
        let text = format!(
            "{board}{severity}: {} [{}]: {}",
            self.what, self.seen, self.advice
        );
        // One line, whatever a file or a node said.
        text.replace(['\n', '\r'], " ")
    }
}

/// Findings as lines, faults first.
pub fn lines(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(move |f| f.severity == severity);
    let all = of(Severity::Fault).chain(of(Severity::Advice));
    all.map(|f| f.line() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_is_read_back() {
        let f = Finding::fault(Kind::Mtu, "it\nis small", "mtu 1280", "raise it").on("porch");
        assert_eq!(f.line(), "porch: fault: it is small [mtu 1280]: raise it");
        let text = serde_json::to_string(&f).unwrap();
        assert!(text.contains(r#""kind":"mtu""#), "{text}");
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), f);
        let mild = Finding::advice(Kind::SlowClock, "a", "b", "c");
        assert_eq!(
            lines(&[mild, f]),
            "porch: fault: it is small [mtu 1280]: raise it\nadvice: a [b]: c\n"
        );
    }
}
