//! Winograd kernels: safe drivers with the functions of [`crate::kernel::winograd`], around four naked
//! functions in assembly.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    kernel::{
        COLS_MAX,
        winograd::{GAP, Sizes},
    },
    plan::ConvKernel,
};

use super::epilogue;
use crate::{
    kernel::{
        printed::Printed,
        winograd::{begin, description, pixel, sizes, stored_tile},
    },
    names::{comment, int},
    uses::{Uses, from},
};

mod straight;
mod text;

use text::Text;

/// Assembly files of a kernel: what their names end with, and their text.
pub(in super::super) fn assembly(k: &ConvKernel, channels: usize) -> Vec<(String, String)> {
    let s = sizes(k);
    let t = Text {
        k,
        m: s.m,
        depth: s.depth,
        channels,
    };
    let mut list = vec![
        ("_multiply".to_owned(), t.multiply()),
        ("_backward".to_owned(), t.backward()),
    ];
    if !s.stored {
        list.push(("_expand".to_owned(), t.expand()));
    }
    if has_input(k, channels) {
        list.push(("_forward".to_owned(), t.forward()));
    }
    list
}

/// Widths and rows share the input's transform: it stands with the first block of channels.
fn has_input(k: &ConvKernel, channels: usize) -> bool {
    channels == k.nr.min(k.y_stride)
}

/// The items of a kernel's module.
pub(in super::super) fn module(kernel: &Printed) -> TokenStream {
    let &Printed {
        k,
        name,
        channels,
        uses,
        ..
    } = kernel;
    let s = sizes(k);
    let input = if has_input(k, channels) {
        input(k, &s, name, uses)
    } else {
        TokenStream::new()
    };
    let products = products(kernel, &s);
    quote! {
        #input
        #products
    }
}

/// A naked function with the text of a file.
fn naked([function, name]: [&str; 2], doc: &str, params: &TokenStream, uses: &Uses) -> TokenStream {
    let naked_asm = uses.name(from::ARCH, "naked_asm");
    let (file, function) = (
        format!("{name}_{function}.S"),
        quote::format_ident!("{function}"),
    );
    quote! {
        #[doc = #doc]
        #[unsafe(naked)]
        unsafe extern "C" fn #function(#params) {
            #naked_asm!(include_str!(#file), options(raw))
        }
    }
}

/// `input`: V of a row of tiles.
fn input(k: &ConvKernel, s: &Sizes, name: &str, uses: &Uses) -> TokenStream {
    let [n, m, cin, step, depth, points, planes, reach, widest] = [
        s.m + 2,
        s.m,
        s.cin,
        k.x_stride,
        s.depth,
        s.points(),
        s.points() * s.parts() - 1,
        2 * k.x_stride + s.cin,
        COLS_MAX,
    ]
    .map(int);
    let doc = format!(
        " Transforms the inputs of one row of tiles, {0} x {0} pixels each.",
        s.m
    );
    let why = comment(
        "SAFETY: the processor has NEON; taps reach as far as the last tile's last column, and V as \
         far as the last tile.",
    );
    let forward = naked(
        ["forward", name],
        " A tile's values at the points: its rows begin at `rows`, its first plane at `v`; planes are \
         `plane` bytes apart. Four channels per group.",
        &quote!(rows: *const *const f32, v: *mut f32, plane: usize, groups: usize),
        uses,
    );
    let strip = uses.name(from::STRIP, "Strip");
    quote! {
        #[doc = #doc]
        pub fn input(x: &[f32], taps: &[usize; #n], v: &mut #strip<'_>, cols: usize) {
            super::assert_cpu();
            assert!((#m..=#widest).contains(&cols), "a row is at least one tile wide");
            let (across, plane) = (cols.div_ceil(#m), v.stride());
            let tiles = across * #depth;
            assert!(v.width() >= tiles && v.len() >= tiles, "the transformed inputs");
            assert!(plane <= (v.len() - tiles) / #planes, "the transformed inputs");
            let reach = (cols - 1) * #step + #reach;
            assert!(x.len() >= reach, "an input row");
            for tap in taps {
                assert!(*tap <= x.len() - reach, "input rows");
            }
            for tile in 0..across {
                let col = (tile * #m).min(cols - #m);
                for (part, c) in (0..#cin).step_by(#depth).enumerate() {
                    let deep = #depth.min(#cin - c);
                    let rows = taps.map(|tap| x[tap + col * #step + c..].as_ptr());
                    let at = part * #points * plane + tile * #depth;
                    #why
                    unsafe { forward(rows.as_ptr(), v.as_mut_ptr().add(at), 4 * plane, deep / 4) }
                }
            }
        }

        #forward
    }
}

/// `channels`: everything behind the input's transform.
fn products(kernel: &Printed, s: &Sizes) -> TokenStream {
    let &Printed {
        k, channels, uses, ..
    } = kernel;
    // Four tiles are multiplied at once, as a direct kernel's pixels are.
    let doc = description(k, s, channels, 4);
    let (begin, strip) = (begin(k, s, channels), uses.name(from::STRIP, "Strip"));
    let (multiply, backward) = (multiply(k, s), backward(kernel, s));
    let assembly = assembled(kernel, s);
    quote! {
        #[doc = #doc]
        pub fn channels(v: &[f32], w: &[f32], work: &mut [f32], y: &mut #strip<'_>, y_row: usize, cols: usize, rows: usize) {
            super::assert_cpu();
            #begin
            #multiply
            #backward
        }

        #assembly
    }
}

/// Products of all tiles, a part of the input channels after the other.
fn multiply(k: &ConvKernel, s: &Sizes) -> TokenStream {
    let [nr, cin, depth, gap, points] = [k.nr, s.cin, s.depth, GAP, s.points()].map(int);
    let weights = comment("SAFETY: NEON is there; the part lies in the weights, and U holds it.");
    let tiles = comment("SAFETY: as above; V and the products hold all tiles.");
    let u = if s.stored {
        let part = int(s.points() * (s.depth * k.nr + GAP));
        quote!(let u = &w[part * #part..];)
    } else {
        quote! {
            let w = &w[first * #nr..];
            #weights
            unsafe { expand(w.as_ptr(), u.as_mut_ptr(), 4 * u_plane, deep) }
        }
    };
    quote! {
        for (part, first) in (0..#cin).step_by(#depth).enumerate() {
            let deep = #depth.min(#cin - first);
            let v = &v[part * #points * plane..];
            let u_plane = deep * #nr + #gap;
            #u
            for point in 0..#points {
                let (v, u) = (&v[point * plane..], &u[point * u_plane..]);
                let m = &mut products[point * #nr..];
                let first = usize::from(part == 0);
                #tiles
                unsafe { multiply(v.as_ptr(), u.as_ptr(), m.as_mut_ptr(), deep / 8, tiles, first) }
            }
        }
    }
}

/// Outputs of all tiles.
fn backward(kernel: &Printed, s: &Sizes) -> TokenStream {
    let k = kernel.k;
    let (m, tile, pixel) = (int(s.m), int(s.products(1)), pixel(k));
    let pixels = comment("SAFETY: as above; the tile's rows up to `rows` lie in y.");
    let activate = if epilogue::is_assembly(k.activation) {
        TokenStream::new()
    } else {
        let activate = stored_tile(k, s.m, kernel.channels, false, kernel.uses);
        quote! { let (pixel, rows) = (#pixel, #m.min(rows - row)); #activate }
    };
    quote! {
        for (tile, products) in products.chunks_exact(#tile).take(tiles).enumerate() {
            let (row, col) = (tile / across * #m, (tile % across * #m).min(cols - #m));
            #pixels
            unsafe { backward(products.as_ptr(), bias.as_ptr(), y.as_mut_ptr().add(#pixel), 4 * y_row, #m.min(rows - row)) }
            #activate
        }
    }
}

/// The functions in assembly that `channels` calls.
fn assembled(kernel: &Printed, s: &Sizes) -> TokenStream {
    let &Printed { name, uses, .. } = kernel;
    let expand = naked(
        ["expand", name],
        " Weights of `deep` input channels from `w` on, at the points; planes of `u` are `plane` bytes apart.",
        &quote!(w: *const f32, u: *mut f32, plane: usize, deep: usize),
        uses,
    );
    let expand = if s.stored { TokenStream::new() } else { expand };
    let multiply = naked(
        ["multiply", name],
        " Products of `tiles` tiles at one point over eight times `eights` input channels: to `m` if \
         `first`, else added.",
        &quote!(x: *const f32, u: *const f32, m: *mut f32, eights: usize, tiles: usize, first: usize),
        uses,
    );
    let backward = naked(
        ["backward", name],
        " The first `rows` rows of a tile's pixels, `y_row` bytes apart.",
        &quote!(products: *const f32, bias: *const f32, y: *mut f32, y_row: usize, rows: usize),
        uses,
    );
    quote! { #expand #multiply #backward }
}

#[cfg(test)]
mod tests {
    use tessera_plan::{graph::Activation, plan::Algorithm};

    use super::*;

    #[test]
    fn registers_suffice_for_all_transforms() {
        for m in [2, 4, 6] {
            for activation in [Activation::Leaky, Activation::Ramp, Activation::Relu6] {
                let k = ConvKernel {
                    size: 3,
                    stride_x: 1,
                    dilation: 1,
                    cin: 8,
                    x_stride: 8,
                    y_stride: 8,
                    mr: 4,
                    nr: 8,
                    activation,
                    depthwise: false,
                    pool: m == 4,
                    algorithm: Algorithm::Winograd {
                        m,
                        depth: 8,
                        stored: false,
                    },
                };
                assert_eq!(assembly(&k, 8).len(), 4);
            }
        }
    }
}
