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

use super::{
    entry::{asserts, describe},
    finish::second,
    printed::Printed,
};
use crate::{
    names::{comment, ident, int},
    uses::from,
};

mod asm;
mod block;
mod dense;
mod depthwise;
mod epilogue;
mod exp;
mod row;
mod winograd;

pub(super) use winograd::{assembly as winograd_assembly, module as winograd};

/// The items of a direct kernel's module.
pub(super) fn direct(kernel: &Printed) -> TokenStream {
    let &Printed {
        k,
        name,
        channels,
        uses,
        ..
    } = kernel;
    let (fn_name, doc) = (ident(name), describe(k, channels));
    let (size, file) = (int(k.size), format!("{name}.S"));
    let (param, arg) = second(k);
    let (naked_asm, activate) = (
        uses.name(from::ARCH, "naked_asm"),
        epilogue::stored(k, channels, uses),
    );
    let asserts = asserts(k, channels);
    let bounds = comment(
        "SAFETY: the processor has NEON; a block's pixels end at or before `cols`, and the assertions \
         say that x, w and y reach as far as the last pixel's last tap, weight and channel.",
    );
    quote! {
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
            #naked_asm!(include_str!(#file), options(raw))
        }
    }
}

/// The text of `name.S`.
pub(super) fn direct_assembly(k: &ConvKernel, channels: usize) -> Vec<(String, String)> {
    vec![(String::new(), row::text(k, channels))]
}
