//! The body by which an edge tells its gateway how its board is.

use zerocopy::little_endian::{I16, U16, U32};

use super::{
    Reject,
    list::{Reader, piece},
    writer::Writer,
};

/// How a board is. What is `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Hundredths of a degree Celsius of the processor's hottest part.
    pub temperature_centi_c: Option<i16>,
    /// The firmware's word: bits 0 to 3 are under-voltage, capped clock, throttled, soft temperature limit now; bits 16 to 19 the
    /// same at any time since the start.
    pub throttled: Option<u32>,
    /// MiB of memory that new processes can have.
    pub memory_available_mib: Option<u32>,
    /// MiB of memory.
    pub memory_mib: Option<u32>,
    /// Thousandths of the processor's time that were used lately.
    pub busy_permille: Option<u16>,
    /// Strength of the Wi-Fi signal, in dBm.
    pub signal_dbm: Option<i8>,
}

piece! {
    /// Body of [`Condition`]. 21 bytes.
    RawCondition {
        seq: U32,
        throttled: U32,
        memory_available_mib: U32,
        memory_mib: U32,
        temperature_centi_c: I16,
        busy_permille: U16,
        signal_dbm: i8,
    }
}

/// What stands for an unknown value on the wire. Memory and signal have 0.
const NO_TEMPERATURE: i16 = i16::MIN;
const NO_WORD: u32 = u32::MAX;
const NO_SHARE: u16 = u16::MAX;

impl Condition {
    /// Least and highest temperature, in hundredths of a degree Celsius.
    pub const TEMPERATURE_CENTI_C: [i16; 2] = [-10_000, 20_000];
    /// The bits of the firmware's word that mean something.
    pub const THROTTLED_BITS: u32 = 0x000f_000f;
    /// Most MiB of memory.
    pub const MEMORY_MIB_MAX: u32 = 1 << 26;

    /// The same with every value within its bounds, as it travels.
    #[must_use]
    pub fn bounded(self) -> Self {
        let [least, most] = Self::TEMPERATURE_CENTI_C;
        let mib = |n: u32| n.clamp(1, Self::MEMORY_MIB_MAX);
        let memory_mib = self.memory_mib.map(mib);
        let available = self.memory_available_mib.map(mib);
        Self {
            temperature_centi_c: self.temperature_centi_c.map(|t| t.clamp(least, most)),
            throttled: self.throttled.map(|word| word & Self::THROTTLED_BITS),
            memory_available_mib: available.map(|n| n.min(memory_mib.unwrap_or(n))),
            memory_mib,
            busy_permille: self.busy_permille.map(|share| share.min(1000)),
            signal_dbm: self.signal_dbm.map(|dbm| dbm.min(-1)),
        }
    }

    /// Reads the number of the message, and what it says.
    pub(super) fn read(mut r: Reader<'_>) -> Result<(u32, Self), Reject> {
        let raw = r.piece::<RawCondition>()?;
        r.end()?;
        let mib = |n: U32| Some(n.get()).filter(|n| *n != 0);
        let said = Self {
            temperature_centi_c: Some(raw.temperature_centi_c.get())
                .filter(|t| *t != NO_TEMPERATURE),
            throttled: Some(raw.throttled.get()).filter(|word| *word != NO_WORD),
            memory_available_mib: mib(raw.memory_available_mib),
            memory_mib: mib(raw.memory_mib),
            busy_permille: Some(raw.busy_permille.get()).filter(|share| *share != NO_SHARE),
            signal_dbm: Some(raw.signal_dbm).filter(|dbm| *dbm != 0),
        };
        if said != said.bounded() {
            return Err(Reject::Value);
        }
        Ok((raw.seq.get(), said))
    }

    /// Writes it; values out of bounds travel as the nearest one within.
    pub(super) fn write(self, seq: u32, w: &mut Writer<'_>) {
        let said = self.bounded();
        w.piece(&RawCondition {
            seq: seq.into(),
            throttled: said.throttled.unwrap_or(NO_WORD).into(),
            memory_available_mib: said.memory_available_mib.unwrap_or(0).into(),
            memory_mib: said.memory_mib.unwrap_or(0).into(),
            temperature_centi_c: said.temperature_centi_c.unwrap_or(NO_TEMPERATURE).into(),
            busy_permille: said.busy_permille.unwrap_or(NO_SHARE).into(),
            signal_dbm: said.signal_dbm.unwrap_or(0),
        });
    }
}
