//! The registry of microkernel generators.
//!
//! Every kernel has one signature, with `KH` the kernel side:
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
//! Each value is `acc = bias`, then `acc + x * w` (fused where the instruction set has it) in the
//! order (ky, kx, cin), then the activation: the same bits whichever block a pixel falls in. The
//! last block of a row overlaps the one before. Bounds are asserted once on entry.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_planner::{
    kernel::kernel_name,
    plan::{ConvKernel, Isa},
};

pub mod portable;

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

/// Values of one packed block.
pub const fn block_floats(k: &ConvKernel) -> usize {
    k.nr * (1 + k.size * k.size * k.cin)
}

/// The items of a kernel's module.
pub fn conv(k: &ConvKernel, isa: Isa, lanes: usize) -> TokenStream {
    match isa {
        Isa::Portable | Isa::X86_64V3 => portable::conv(k, &name(k, isa, lanes), lanes),
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
        Isa::X86_64V3 => quote! {
            /// Whether this processor has what the kernels need.
            pub fn check_cpu() -> Result<(), &'static str> {
                if !is_x86_feature_detected!("avx2") {
                    return Err("AVX2");
                }
                if !is_x86_feature_detected!("fma") {
                    return Err("FMA");
                }
                Ok(())
            }
        },
    }
}

/// What must hold of slices for a call: the common assertions of every kernel.
pub fn asserts(k: &ConvKernel, lanes: usize) -> TokenStream {
    use crate::names::{affine, int};
    let (mr, floats) = (int(k.mr), int(block_floats(k)));
    let channels = if k.depthwise { lanes } else { k.cin };
    // Index behind the last value that column `cols - 1` reads, from its tap.
    let reach = affine(
        &[(quote!((cols - 1)), k.stride_x * k.x_stride)],
        ((k.size - 1) * k.dilation * k.x_stride + channels) as isize,
    );
    let last = affine(&[(quote!((cols - 1)), k.y_stride)], lanes as isize);
    quote! {
        assert!(cols >= #mr, "a row is at least one block wide");
        assert_eq!(w.len(), #floats, "one packed block");
        assert!(y.len() >= #last, "the row's pixels");
        for tap in taps {
            assert!(x.len() >= tap + #reach, "input rows");
        }
    }
}
