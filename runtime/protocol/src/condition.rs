//! How a board is, as its edge tells the gateway.

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
}
