//! How the function for one packed block of output channels begins, on every instruction set.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::{
        COLS_MAX,
        winograd::{GAP, Sizes},
    },
    plan::ConvKernel,
};

use crate::{
    kernel::{
        entry::block_floats,
        finish::{self, pairs, pooled},
    },
    names::{affine, grouped, int},
};

/// The function's doc comment; `tiles` are those that the kernel multiplies at once.
pub fn description(k: &ConvKernel, s: &Sizes, channels: usize, tiles: usize) -> String {
    format!(
        " Multiplies and finishes all tiles for {channels} channels: 3x3 by F({0}x{0}, 3x3), depth {1}, {2}{3}; blocks of {tiles} tiles x {4} channels.",
        s.m,
        grouped(s.cin as u64),
        k.activation.name(),
        pooled(k),
        s.nr,
    )
}

/// Asserts of all arguments, and their parts: `across`, `tiles`, `plane`, `bias`, `w`, `products` and, where weights
/// are not stored transformed, `u`.
pub fn begin(k: &ConvKernel, s: &Sizes, channels: usize) -> TokenStream {
    let [m, nr, depth, gap, planes, tile, w_floats, widest] = [
        s.m,
        s.nr,
        s.depth,
        GAP,
        s.points() * s.parts(),
        s.products(1),
        block_floats(k),
        COLS_MAX,
    ]
    .map(int);
    let split = if s.stored {
        quote!(let products = work;)
    } else {
        let u_floats = int(s.u());
        quote!(let (u, products) = work.split_at_mut(#u_floats);)
    };
    let outputs = outputs(k, channels);
    quote! {
        assert!((#m..=#widest).contains(&cols), "a row is at least one tile wide");
        assert!((1..=#widest).contains(&rows), "as many rows as a map may have");
        assert_eq!(w.len(), #w_floats, "one packed block");
        #outputs
        let across = cols.div_ceil(#m);
        let tiles = across * rows.div_ceil(#m);
        let plane = tiles * #depth + #gap;
        assert!(v.len() >= plane * #planes, "the transformed inputs");
        let (bias, w) = w.split_at(#nr);
        #split
        assert!(products.len() >= tiles * #tile, "room for the products");
    }
}

/// What must hold of `y` for `channels` channels of `rows` rows of `cols` columns of sums.
fn outputs(k: &ConvKernel, channels: usize) -> TokenStream {
    let across = finish::last(k, &quote!(cols));
    let last = affine(&[(across, k.y_stride)], channels.cast_signed());
    let (down, stride, channels) = (
        finish::last(k, &quote!(rows)),
        int(k.y_stride),
        int(channels),
    );
    let (in_row, in_block) = (pairs(k, &quote!(cols)), pairs(k, &quote!(rows)));
    quote! {
        #in_row
        #in_block
        let last = #last;
        assert!(y.len() >= last && #down.saturating_mul(y_row) <= y.len() - last, "the rows' pixels");
        assert!(y.stride() == #stride && y.width() >= #channels, "the block's channels");
        assert!(y_row.is_multiple_of(#stride), "rows of whole pixels");
    }
}
