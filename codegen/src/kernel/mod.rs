//! The registry of microkernel generators.
//!
//! Winograd kernels are modules with two functions: see [`winograd`]. Every other kernel has one
//! signature, with `KH` the kernel side:
//!
//! ```text
//! pub fn name(x: &[f32], taps: &[usize; KH], w: &[f32], y: &mut [f32], cols: usize)
//! ```
//!
//! It computes one row of `cols >= mr` pixels for one block of `lanes <= nr` output channels.
//! - `x`: the whole input buffer, zero row included.
//! - `taps[ky]`: index in `x` of the first input value (the group's or, depthwise, the block's first
//!   channel) that output column 0 reads at kernel row `ky`, `kx = 0`; rows outside of the map point
//!   to the zero row. Column `j`, tap `kx` reads from
//!   `taps[ky] + (j * stride_x + kx * dilation) * x_stride`.
//! - `w`: one packed block: `[nr]` bias, then `[ky][kx][cin][nr]` (depthwise: `[ky][kx][nr]`).
//! - `y`: `y[j * y_stride + lane]`, `lane < lanes`, is written.
//!
//! Kernels that pool write maxima of 2x2 values: `y[j / 2 * y_stride + lane]`. They are called once per row
//! of sums, `second` telling the lower of two, which joins what the upper one left.
//!
//! Each value is `acc = bias`, then `acc + x * w` (fused where the instruction set has it) in the
//! order (ky, kx, cin), then the activation: the same bits whichever block a pixel falls in. The
//! last block of a row overlaps the one before. Bounds are asserted once on entry.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::{self, kernel_name, winograd::Sizes},
    plan::{ConvKernel, Isa},
};

use finish::{Stored, column, last, pairs, pooled, second, stored_import};
pub use halves::widen;

use crate::names::{affine, comment, grouped, int};

pub mod aarch64;
pub mod armv7;
mod finish;
mod halves;
pub mod portable;
pub mod winograd;
pub mod x86_64;

/// Widest row of pixels: keeps every index a kernel computes far from overflow.
pub const COLS_MAX: usize = 1 << 16;

/// Name of the kernel function for blocks of `lanes` channels: the planner's name, with `_t{lanes}`
/// for a tail block.
pub fn name(k: &ConvKernel, isa: Isa, lanes: usize) -> String {
    let base = kernel_name(k, isa);
    if lanes == k.nr {
        base
    } else {
        format!("{base}_t{lanes}")
    }
}

/// Values of one packed block as kernels read it.
pub fn block_floats(k: &ConvKernel) -> usize {
    let stored = kernel::transformed(k.algorithm).unwrap_or_default();
    kernel::block_floats(k.nr, k.size * k.size * k.cin, stored)
}

/// Whether a generator can make the kernel: armv7's keep a block in 16 registers by number.
pub const fn fits(k: &ConvKernel, isa: Isa) -> bool {
    !matches!(isa, Isa::Armv7) || (k.mr <= armv7::PIXELS && k.nr == armv7::CHANNELS)
}

/// The items of a kernel's module.
pub fn conv(k: &ConvKernel, isa: Isa, lanes: usize) -> TokenStream {
    if let Some(sizes) = Sizes::new(k) {
        let vectors: &dyn winograd::Lanes = match isa {
            Isa::Portable => &portable::Scalar,
            Isa::X86_64V3 | Isa::X86_64V4 => &x86_64::Vectors(isa),
            Isa::Aarch64 => &aarch64::Neon,
            Isa::Armv7 => return armv7::winograd::conv(k, sizes, lanes, &name(k, isa, lanes)),
        };
        return winograd::conv(k, sizes, lanes, vectors);
    }
    match isa {
        Isa::Portable => portable::conv(k, &name(k, isa, lanes), lanes),
        Isa::X86_64V3 | Isa::X86_64V4 => x86_64::conv(k, isa, &name(k, isa, lanes), lanes),
        Isa::Aarch64 => aarch64::conv(k, &name(k, isa, lanes), lanes),
        Isa::Armv7 => armv7::conv(k, &name(k, isa, lanes), lanes),
    }
}

/// A kernel's assembly, which its module includes: files of its name and these endings.
pub fn assembly(k: &ConvKernel, isa: Isa, lanes: usize) -> Vec<(String, String)> {
    match (isa, Sizes::new(k)) {
        (Isa::Armv7, Some(sizes)) => armv7::winograd::assembly(k, sizes, lanes),
        (Isa::Armv7, None) => vec![(String::new(), armv7::assembly(k, lanes))],
        _ => Vec::new(),
    }
}

/// `check_cpu`: whether this processor has what the kernels of `isa` need.
pub fn check_cpu(isa: Isa) -> TokenStream {
    match isa {
        Isa::Portable => quote! {
            /// Portable kernels need nothing beyond the target's baseline.
            pub fn check_cpu() -> Result<(), &'static str> {
                Ok(())
            }
        },
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let checks = x86_64::features(isa).split(',').map(|feature| {
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
        Isa::Aarch64 => quote! {
            /// Kernels need nothing beyond the target's baseline, which has NEON.
            pub fn check_cpu() -> Result<(), &'static str> {
                Ok(())
            }
        },
        Isa::Armv7 => armv7::check_cpu(),
    }
}

/// What layer functions and drivers carry, so that their loops are compiled for the instructions that
/// kernels use: nothing where these are the target's baseline.
pub fn attributes(isa: Isa) -> TokenStream {
    match isa {
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let features = x86_64::features(isa);
            quote!(#[target_feature(enable = #features)])
        }
        Isa::Portable | Isa::Aarch64 | Isa::Armv7 => TokenStream::new(),
    }
}

/// `call`: how a program calls a driver that carries [`attributes`].
pub fn call(isa: Isa) -> TokenStream {
    if attributes(isa).is_empty() {
        return TokenStream::new();
    }
    let why = comment(
        "SAFETY: drivers are safe but for the instructions that they use, and the processor has those.",
    );
    quote! {
        /// Calls a chain's driver on a processor that has the instructions it uses.
        pub fn call(driver: unsafe fn(&mut TaskIo<'_>), io: &mut TaskIo<'_>) {
            assert_cpu();
            #why
            unsafe { driver(io) }
        }
    }
}

/// `assert_cpu`: what makes kernels with `#[target_feature]` safe to call.
pub fn assert_cpu(isa: Isa) -> TokenStream {
    match isa {
        Isa::Portable | Isa::Aarch64 => TokenStream::new(),
        Isa::Armv7 => armv7::assert_cpu(),
        Isa::X86_64V3 | Isa::X86_64V4 => {
            let there = x86_64::features(isa)
                .split(',')
                .map(|feature| quote!(is_x86_feature_detected!(#feature)));
            let text = format!("no {}", x86_64::features(isa));
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

/// A kernel's doc comment.
fn describe(k: &ConvKernel, lanes: usize) -> String {
    let what = if k.depthwise { ", depthwise" } else { "" };
    let pool = pooled(k);
    format!(
        " One row, {lanes} channels: {0}x{0} stride {1}{what}, depth {2}, {3}{pool}; blocks of {4} pixels x {5} channels.",
        k.size,
        k.stride_x,
        grouped(if k.depthwise { 1 } else { k.cin } as u64),
        k.activation.name(),
        k.mr,
        k.nr
    )
}

/// What must hold of slices for a call: the common assertions of every kernel. After them, index
/// `tap + (col * stride_x + kx * dilation) * x_stride + c` lies in `x` for every tap, column, `kx`
/// and channel of the block, and `col * y_stride + lane` in `y`.
fn asserts(k: &ConvKernel, lanes: usize) -> TokenStream {
    let (mr, floats, widest) = (int(k.mr), int(block_floats(k)), int(COLS_MAX));
    let channels = if k.depthwise { lanes } else { k.cin };
    // Values from a tap to behind the last one that column `cols - 1` reads.
    let reach = affine(
        &[(quote!((cols - 1)), k.stride_x * k.x_stride)],
        ((k.size - 1) * k.dilation * k.x_stride + channels) as isize,
    );
    let last = affine(&[(last(k, &quote!(cols)), k.y_stride)], lanes as isize);
    let pairs = pairs(k, &quote!(cols));
    quote! {
        assert!((#mr..=#widest).contains(&cols), "a row is at least one block wide");
        #pairs
        assert_eq!(w.len(), #floats, "one packed block");
        assert!(y.len() >= #last, "the row's pixels");
        let reach = #reach;
        assert!(x.len() >= reach, "an input row");
        for tap in taps {
            assert!(*tap <= x.len() - reach, "input rows");
        }
    }
}
