//! What emitted code asks of the processor: attributes of functions that use its instructions, and checks
//! that it has them.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::Isa;

use crate::{
    names::comment,
    uses::{Uses, from},
};

/// The instructions beyond the target's baseline that kernels are compiled with, as `#[target_feature]` takes
/// them.
pub(crate) const fn features(isa: Isa) -> Option<&'static str> {
    match isa {
        Isa::X86_64V3 => Some("avx2,fma,f16c"),
        Isa::X86_64V4 => Some("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"),
        Isa::Portable | Isa::Aarch64 | Isa::Armv7 => None,
    }
}

/// Whether functions need no attributes: what they use is the target's baseline, or stands in assembly.
pub(crate) const fn is_baseline(isa: Isa) -> bool {
    features(isa).is_none()
}

/// What layer functions and drivers carry, so that their loops are compiled for the instructions that
/// kernels use: nothing where these are the target's baseline.
pub(crate) fn attributes(isa: Isa) -> TokenStream {
    let features = features(isa);
    features.map_or_else(TokenStream::new, |f| quote!(#[target_feature(enable = #f)]))
}

/// Why kernels may use instructions beyond the baseline.
pub(crate) fn safety() -> TokenStream {
    comment("SAFETY: the processor has what `assert_cpu` looks for.")
}

/// `check_cpu`: whether this processor has what the kernels of `isa` need.
pub(crate) fn check(isa: Isa, uses: &Uses) -> TokenStream {
    match (isa, features(isa)) {
        (Isa::Armv7, _) => neon(uses),
        (Isa::Aarch64, _) => quote! {
            /// Kernels need nothing beyond the target's baseline, which has NEON.
            pub fn check_cpu() -> Result<(), &'static str> {
                Ok(())
            }
        },
        (_, None) => quote! {
            /// Portable kernels need nothing beyond the target's baseline.
            pub fn check_cpu() -> Result<(), &'static str> {
                Ok(())
            }
        },
        (_, Some(features)) => {
            let checks = features.split(',').map(|feature| {
                let missing = feature.to_uppercase().replace("AVX512", "AVX-512");
                quote! {
                    if !is_x86_feature_detected!(#feature) {
                        return Err(#missing);
                    }
                }
            });
            quote! {
                /// Whether this processor has what the kernels need.
                pub fn check_cpu() -> Result<(), &'static str> {
                    #(#checks)*
                    Ok(())
                }
            }
        }
    }
}

/// `check_cpu` of armv7, whose baseline has no NEON: `is_arm_feature_detected` is not stable.
fn neon(uses: &Uses) -> TokenStream {
    let lazy = uses.name(from::SYNC, "LazyLock");
    quote! {
        /// Whether this processor has what the kernels need.
        pub fn check_cpu() -> Result<(), &'static str> {
            if *NEON { Ok(()) } else { Err("NEON") }
        }

        static NEON: #lazy<bool> = #lazy::new(has_neon);

        /// Whether Linux lists NEON among the processor's capabilities: bit 12 of the word with key 16
        /// (`AT_HWCAP`) in the list of key and value pairs that every process gets.
        fn has_neon() -> bool {
            let list = std::fs::read("/proc/self/auxv").unwrap_or_default();
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |n: u32, b| n << 8 | u32::from(*b));
            list.chunks_exact(8)
                .any(|pair| word(&pair[..4]) == 16 && word(&pair[4..]) & (1 << 12) != 0)
        }
    }
}

/// `assert_cpu`: what makes kernels that use more than the baseline safe to call.
pub(crate) fn assert(isa: Isa) -> TokenStream {
    match (isa, features(isa)) {
        (Isa::Armv7, _) => quote! {
            /// Stops on a processor that [`check_cpu`] refuses.
            #[inline]
            fn assert_cpu() {
                assert!(*NEON, "no NEON");
            }
        },
        (_, None) => TokenStream::new(),
        (_, Some(features)) => {
            let there = features
                .split(',')
                .map(|feature| quote!(is_x86_feature_detected!(#feature)));
            let text = format!("no {features}");
            quote! {
                /// Stops on a processor that [`check_cpu`] refuses.
                #[inline]
                fn assert_cpu() {
                    let there = #(#there)&&*;
                    assert!(there, #text);
                }
            }
        }
    }
}

/// `call`: how a program calls a driver that carries [`attributes`].
pub(crate) fn call(isa: Isa, uses: &Uses) -> TokenStream {
    if is_baseline(isa) {
        return TokenStream::new();
    }
    let io = uses.name(from::IO, "TaskIo");
    let why = comment(
        "SAFETY: drivers are safe but for the instructions that they use, and the processor has those.",
    );
    quote! {
        /// Calls a chain's driver on a processor that has the instructions it uses.
        pub fn call(driver: unsafe fn(&mut #io<'_>), io: &mut #io<'_>) {
            assert_cpu();
            #why
            unsafe { driver(io) }
        }
    }
}
