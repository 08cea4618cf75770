//! Generators of microkernels; `registry.rs` lists them.
//!
//! Winograd kernels are modules with two functions: see [`winograd`]. Every other kernel has one
//! signature, with `KH` the kernel side:
//!
//! ```text
//! pub fn name(x: &[f32], taps: &[usize; KH], w: &[f32], y: &mut [f32], cols: usize)
//! ```
//!
//! It computes one row of `cols >= mr` pixels for one block of `channels <= nr` output channels.
//! - `x`: the whole input buffer, zero row included.
//! - `taps[ky]`: index in `x` of the first input value (the group's or, depthwise, the block's first
//!   channel) that output column 0 reads at kernel row `ky`, `kx = 0`; rows outside of the map point
//!   to the zero row. Column `j`, tap `kx` reads from
//!   `taps[ky] + (j * stride_x + kx * dilation) * x_stride`.
//! - `w`: one packed block: `[nr]` bias, then `[ky][kx][cin][nr]` (depthwise: `[ky][kx][nr]`).
//! - `y`: `y[j * y_stride + lane]`, `lane < channels`, is written.
//!
//! Kernels that pool write maxima of 2x2 values: `y[j / 2 * y_stride + lane]`. They are called once per row
//! of sums, `second` telling the lower of two, which joins what the upper one left.
//!
//! Each value is `acc = bias`, then `acc + x * w` (fused where the instruction set has it) in the
//! order (ky, kx, cin), then the activation: the same bits whichever block a pixel falls in. The
//! last block of a row overlaps the one before. Bounds are asserted once on entry.

use proc_macro2::TokenStream;
use tessera_plan::{
    kernel::kernel_name,
    plan::{ConvKernel, Isa},
};

use crate::uses::Uses;

mod aarch64;
mod armv7;
mod entry;
mod files;
mod finish;
mod halves;
mod portable;
mod printed;
mod registry;
pub mod winograd;
mod x86_64;

pub(crate) use files::{Helper, files};
use printed::Printed;
pub use registry::Form;
use registry::generator;

/// Name of the kernel function for blocks of `channels` channels: the plan's name, with `_t{channels}` for a tail
/// block.
pub fn name(k: &ConvKernel, isa: Isa, channels: usize) -> String {
    let base = kernel_name(k, isa);
    if channels == k.nr {
        base
    } else {
        format!("{base}_t{channels}")
    }
}

/// The items of a kernel's module.
pub(crate) fn module(k: &ConvKernel, isa: Isa, channels: usize, uses: &Uses) -> TokenStream {
    (generator(k, isa).module)(&Printed {
        k,
        isa,
        name: &name(k, isa, channels),
        channels,
        uses,
    })
}

/// The assembly that a kernel's module includes: the endings of the files' names, and their texts.
pub fn assembly(k: &ConvKernel, isa: Isa, channels: usize) -> Vec<(String, String)> {
    (generator(k, isa).assembly)(k, channels)
}
