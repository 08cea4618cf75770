//! Processors for which emitted code can be compiled.

use tessera_plan::plan::Isa;

/// A processor that emitted code is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// x86-64 with AVX2 and FMA.
    X86_64V3,
    /// x86-64 with AVX-512.
    X86_64V4,
    /// Scalar Rust for the host.
    Portable,
    /// 64-bit ARM Linux.
    Aarch64,
    /// 32-bit ARM Linux with hard floats and NEON.
    Armv7,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 5] = [
        Self::X86_64V3,
        Self::X86_64V4,
        Self::Portable,
        Self::Aarch64,
        Self::Armv7,
    ];

    /// The target's name, as in `--target`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64V3 => "x86-64-v3",
            Self::X86_64V4 => "x86-64-v4",
            Self::Portable => "portable",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7",
        }
    }

    /// The target of this name; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The Rust target triple.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::X86_64V3 | Self::X86_64V4 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            #[cfg(target_arch = "aarch64")]
            Self::Portable => "aarch64-unknown-linux-gnu",
            #[cfg(not(target_arch = "aarch64"))]
            Self::Portable => "x86_64-unknown-linux-gnu",
        }
    }

    /// The instruction set of the target's kernels.
    pub const fn kernels(self) -> Isa {
        match self {
            Self::X86_64V3 => Isa::X86_64V3,
            Self::X86_64V4 => Isa::X86_64V4,
            Self::Portable => Isa::Portable,
            Self::Aarch64 => Isa::Aarch64,
            Self::Armv7 => Isa::Armv7,
        }
    }
}
