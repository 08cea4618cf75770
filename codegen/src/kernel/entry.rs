//! What all direct kernels have at their entry: what they say of themselves, and what they assert.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::{self, COLS_MAX},
    plan::ConvKernel,
};

use super::finish::{last, pairs, pooled};
use crate::names::{affine, grouped, int};

/// Values of one packed block as kernels read it.
pub(super) fn block_floats(k: &ConvKernel) -> usize {
    let stored = kernel::transformed(k.algorithm).unwrap_or_default();
    kernel::block_floats(k.nr, k.size * k.size * k.cin, stored)
}

/// A kernel's doc comment.
pub(super) fn describe(k: &ConvKernel, channels: usize) -> String {
    let what = if k.depthwise { ", depthwise" } else { "" };
    let pool = pooled(k);
    format!(
        " One row, {channels} channels: {0}x{0} stride {1}{what}, depth {2}, {3}{pool}; blocks of {4} pixels x {5} channels.",
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
pub(super) fn asserts(k: &ConvKernel, channels: usize) -> TokenStream {
    let (mr, floats, widest) = (int(k.mr), int(block_floats(k)), int(COLS_MAX));
    let read = if k.depthwise { channels } else { k.cin };
    // Values from a tap to behind the last one that column `cols - 1` reads.
    let reach = affine(
        &[(quote!((cols - 1)), k.stride_x * k.x_stride)],
        ((k.size - 1) * k.dilation * k.x_stride + read) as isize,
    );
    let last = affine(&[(last(k, &quote!(cols)), k.y_stride)], channels as isize);
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
