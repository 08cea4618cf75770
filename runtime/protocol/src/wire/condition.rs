//! The body by which an edge tells its gateway how its board is.

use zerocopy::little_endian::{I16, U16, U32};

use super::{
    Reject,
    list::{Reader, piece},
    writer::Writer,
};
use crate::condition::Condition;

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
