//! How fast one core is at what no table of costs says.

use tessera_plan::plan::Isa;

/// Speeds of one thread on one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Core {
    /// Name of the processor.
    pub name: &'static str,
    /// Seconds of a unit of the formula for direct kernels, used where there is no table.
    pub direct_s: f64,
    /// Seconds of a unit of that formula for windows of one pixel.
    pub pointwise_s: f64,
    /// Seconds of a unit of that formula for depthwise kernels.
    pub depthwise_s: f64,
    /// Seconds of a unit of the formula for Winograd kernels.
    pub winograd_s: f64,
    /// Bytes per second that layers without kernels read and write.
    pub bytes_per_s: f64,
    /// Bytes per second of layers that move single values from distant places (`[reorg]`).
    pub scattered_bytes_per_s: f64,
    /// Seconds of an exponential, or of a function like it, of one value.
    pub function_s: f64,
    /// Seconds of a multiply-add outside of kernels: fully connected and local layers.
    pub multiply_add_s: f64,
}

/// Half a cycle at 3.69 GHz, the clock at which the core below begins 118.2 GFLOP/s of AVX2 multiply-adds.
const HALF_CYCLE_S: f64 = 0.5 / 3.69e9;

/// An x86-64 server core: EPYC, Zen 4 (family 25, model 17), rustc 1.95, 2026-11-28. Measured by
/// `cargo xtask bench --offload 0 --team 1 --threads 1`: shortest times of the layers of YOLOv2, YOLOv2-tiny,
/// YOLOv3-tiny, YOLOv4-tiny, Darknet-19 and a net of depthwise layers. Their sums per class of kernels give
/// the factors; layers of more than a millisecond lie within 30 % of them.
const X86_64V3: Core = Core {
    name: "EPYC (Zen 4)",
    direct_s: 1.06 * HALF_CYCLE_S,
    pointwise_s: 1.06 * HALF_CYCLE_S,
    depthwise_s: 1.76 * HALF_CYCLE_S,
    winograd_s: 0.94 * HALF_CYCLE_S,
    bytes_per_s: 28e9,
    scattered_bytes_per_s: 1.5e9,
    function_s: 0.7e-9,
    multiply_add_s: 1e-10,
};

/// The same core with AVX-512: it begins a multiply-add of 16 values in the time of two of 8, where the
/// formulas count one.
const X86_64V4: Core = Core {
    direct_s: 2.04 * HALF_CYCLE_S,
    pointwise_s: 2.04 * HALF_CYCLE_S,
    depthwise_s: 2.55 * HALF_CYCLE_S,
    winograd_s: 1.54 * HALF_CYCLE_S,
    ..X86_64V3
};

/// A server core with portable kernels, which become code for vectors of four values: EPYC, Zen 3 (family 25, model 1),
/// rustc 1.95, 2026-11-29. Measured by `solo --threads 1 --profile`: shortest times of the layers of YOLOv2, 2.2e-10 to
/// 2.5e-10 s a unit for 32 to 1280 input channels, 3.0e-10 s for three. Depthwise kernels, some of whose loops stay scalar, are
/// measured on the core above. Winograd's, for which a flag must ask, are assumed to compute one value at a time.
const PORTABLE: Core = Core {
    direct_s: 2.35e-10,
    pointwise_s: 2.35e-10,
    depthwise_s: 1.15e-9,
    winograd_s: 8.0 * HALF_CYCLE_S,
    ..X86_64V3
};

/// A core of a Raspberry Pi 3 B. Its kernels' seconds are in tables; what is here is assumed, not measured:
/// 1.5 GB/s between memory and a core, and the cycles that the loops have at least.
const CORTEX_A53: Core = Core {
    name: "cortex-a53",
    direct_s: 0.25 / 1.2e9,
    pointwise_s: 0.25 / 1.2e9,
    depthwise_s: 0.25 / 1.2e9,
    winograd_s: 0.25 / 1.2e9,
    bytes_per_s: 1.5e9,
    scattered_bytes_per_s: 0.2e9,
    function_s: 2e-8,
    multiply_add_s: 1e-9,
};

/// The core whose speeds are assumed for an instruction set.
pub const fn core(isa: Isa) -> Core {
    match isa {
        Isa::X86_64V3 => X86_64V3,
        Isa::X86_64V4 => X86_64V4,
        Isa::Portable => PORTABLE,
        Isa::Aarch64 | Isa::Armv7 => CORTEX_A53,
    }
}
