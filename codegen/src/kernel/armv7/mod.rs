//! NEON kernels for 32-bit ARM, as assembly: stable Rust has no float32 NEON intrinsics there, and the
//! compiler makes no float32 vector code for it, because NEON flushes denormals to zero.
//!
//! A kernel is two files: `name.rs`, a safe function that asks for NEON, asserts bounds and calls a
//! naked function, and `name.S`, that function's body: a whole row. Naked functions have no symbols
//! of their own, so crates cannot clash.
//!
//! `vmla` rounds the product and then the sum: bits are this target's own. The accumulation order is
//! every kernel's.
//!
//! ```text
//! q8 .. q15   sums: 4 pixels x 8 channels
//! q0 .. q3    a vector of 4 input channels per pixel
//! q4 .. q7    weights of two steps of the depth, 8 channels each
//! r0 x   r1 taps   r2 w   [y, cols and, where kernels pool, second on the stack]
//! r4 .. r7   where the pixels' input continues    r8 where the weights continue
//! r9  steps left   r10 next tap   r3 kernel columns left
//! r11 column   r12 the block's first input value   lr anything
//! ```

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::ConvKernel;

use super::{asserts, describe, second};
use crate::{
    act,
    names::{comment, ident, int},
};

mod asm;
mod dense;
mod depthwise;
mod epilogue;
mod exp;
mod row;
pub mod winograd;

/// Most pixels of a block.
pub const PIXELS: usize = 4;
/// Output channels of a block.
pub const CHANNELS: usize = 8;

/// The items of a kernel's module.
pub fn conv(k: &ConvKernel, name: &str, lanes: usize) -> TokenStream {
    let (fn_name, doc) = (ident(name), describe(k, lanes));
    let (size, file) = (int(k.size), format!("{name}.S"));
    let (param, arg) = second(k);
    let (math, activate) = (import(k), epilogue::stored(k, lanes));
    let asserts = asserts(k, lanes);
    let bounds = comment(
        "SAFETY: the processor has NEON; a block's pixels end at or before `cols`, and the assertions \
         say that x, w and y reach as far as the last pixel's last tap, weight and channel.",
    );
    quote! {
        use std::arch::naked_asm;
        #math

        #[doc = #doc]
        pub fn #fn_name(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            super::assert_cpu();
            #asserts
            #bounds
            unsafe { row(x.as_ptr(), taps.as_ptr(), w.as_ptr(), y.as_mut_ptr(), cols #arg) }
            #activate
        }

        /// The whole row. Needs NEON and the assertions above.
        #[unsafe(naked)]
        unsafe extern "C" fn row(
            x: *const f32, taps: *const usize, w: *const f32, y: *mut f32, cols: usize #param
        ) {
            naked_asm!(include_str!(#file), options(raw))
        }
    }
}

/// The scalar function's import, where assembly has no form of it.
fn import(k: &ConvKernel) -> TokenStream {
    if epilogue::is_assembly(k.activation) {
        TokenStream::new()
    } else {
        act::import(k.activation)
    }
}

/// The text of `name.S`.
pub fn assembly(k: &ConvKernel, lanes: usize) -> String {
    row::text(k, lanes)
}

/// `check_cpu`: the target's baseline has no NEON, and `is_arm_feature_detected` is not stable.
pub fn check_cpu() -> TokenStream {
    quote! {
        use std::sync::LazyLock;

        /// Whether this processor has what the kernels need.
        pub fn check_cpu() -> Result<(), &'static str> {
            if *NEON { Ok(()) } else { Err("NEON") }
        }

        static NEON: LazyLock<bool> = LazyLock::new(has_neon);

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

/// `assert_cpu`: what makes kernels safe to call.
pub fn assert_cpu() -> TokenStream {
    quote! {
        /// Stops on a processor that [`check_cpu`] refuses.
        #[inline]
        fn assert_cpu() {
            assert!(*NEON, "no NEON");
        }
    }
}
