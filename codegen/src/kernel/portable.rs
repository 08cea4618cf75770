//! Scalar kernels: `mr x nr` accumulators in arrays of literal size, which the compiler unrolls;
//! multiplication and addition stay separate. The oracle.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::ConvKernel;

use super::{
    entry::{asserts, describe},
    finish::{column, second},
    printed::Printed,
    winograd::{self, Lanes, literal},
};
use crate::{
    act,
    names::{affine, ident, int},
    uses::Uses,
};

/// The items of a direct kernel's module: one safe function.
pub(super) fn direct(kernel: &Printed) -> TokenStream {
    let &Printed {
        k,
        name,
        channels,
        uses,
        ..
    } = kernel;
    let fn_name = ident(name);
    let (mr, nr, size) = (int(k.mr), int(k.nr), int(k.size));
    // Tail blocks of depthwise kernels must not read channels of the next pixel; the others compute
    // the padding of the packed block along, it is zero.
    let sums = if k.depthwise { channels } else { k.nr };
    let acc = int(sums);
    let channels_l = int(channels);
    let (asserts, tap) = (asserts(k, channels), tap(k, channels));
    let depth_floats = int(k.nr * if k.depthwise { 1 } else { k.cin });

    let value = act::scalar(k.activation, quote!(*acc), uses);
    let y_at = affine(&[(column(k, quote!((col + i))), k.y_stride)], 0);
    let value = if k.pool {
        let max = uses.math("max");
        quote! {{
            let most = if second || i % 2 == 1 { *y } else { f32::MIN };
            #max(#value, most)
        }}
    } else {
        value
    };
    let taken = if channels == sums {
        quote!(acc)
    } else {
        quote!(&acc[..#channels_l])
    };
    let (param, _) = second(k);
    let doc = describe(k, channels);
    // `col.min`: the last block ends with the row and overlaps the one before.
    quote! {
        #[doc = #doc]
        pub fn #fn_name(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            #asserts
            let (bias, w) = w.split_at(#nr);
            let mut start = [0.0; #acc];
            start.copy_from_slice(&bias[..#acc]);
            let mut col = 0;
            while col < cols {
                col = col.min(cols - #mr);
                let mut acc = [start; #mr];
                let mut w = w.chunks_exact(#depth_floats);
                for tap in taps {
                    for (kx, w) in (0..#size).zip(&mut w) {
                        #tap
                    }
                }
                for (i, acc) in acc.iter().enumerate() {
                    for (y, acc) in y[#y_at..].iter_mut().zip(#taken) { *y = #value; }
                }
                col += #mr;
            }
        }
    }
}

/// Adds one tap to the sums `acc`; `x` begins at the tap's first channel of the block's first pixel.
fn tap(k: &ConvKernel, channels: usize) -> TokenStream {
    let nr = int(k.nr);
    let step = k.stride_x * k.x_stride;
    let at = affine(&[(quote!(i), step)], 0);
    let tap_at = affine(
        &[
            (quote!(tap), 1),
            (quote!(col), step),
            (quote!(kx), k.dilation * k.x_stride),
        ],
        0,
    );
    let span = int((k.mr - 1) * step + if k.depthwise { channels } else { k.cin });
    let per_tap = if k.depthwise {
        quote! {
            for (i, acc) in acc.iter_mut().enumerate() {
                for ((acc, w), x) in acc.iter_mut().zip(w).zip(&x[#at..]) { *acc += x * w; }
            }
        }
    } else {
        // A copy for each tap: LLVM keeps it in vector registers. Sums that live as long as the loops over taps stay in
        // memory, value by value, which makes 3x3 kernels between three and four times as slow.
        let at = affine(&[(quote!(i), step), (quote!(c), 1)], 0);
        quote! {
            let mut sums = acc;
            for (c, w) in w.chunks_exact(#nr).enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let x = x[#at];
                    for (sum, w) in sum.iter_mut().zip(w) { *sum += x * w; }
                }
            }
            acc = sums;
        }
    };
    quote! {
        let x = &x[#tap_at..][..#span];
        #per_tap
    }
}

/// The items of a Winograd kernel's module.
pub(super) fn winograd(kernel: &Printed) -> TokenStream {
    winograd::module(kernel, &Scalar { uses: kernel.uses })
}

/// How Winograd kernels compute on single values.
struct Scalar<'a> {
    /// Imports of the kernel's module.
    pub uses: &'a Uses,
}

impl Lanes for Scalar<'_> {
    fn lanes(&self) -> usize {
        1
    }

    fn registers(&self) -> usize {
        16
    }

    fn ty(&self) -> TokenStream {
        quote!(f32)
    }

    fn attributes(&self) -> TokenStream {
        TokenStream::new()
    }

    fn is_unsafe(&self) -> bool {
        false
    }

    fn zero(&self) -> TokenStream {
        quote!(0.0)
    }

    fn constant(&self, c: f64) -> TokenStream {
        literal(c)
    }

    fn broadcast(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(#slice[#at])
    }

    fn load(&self, slice: TokenStream, at: TokenStream) -> TokenStream {
        quote!(#slice[#at])
    }

    fn store(
        &self,
        slice: TokenStream,
        at: TokenStream,
        v: TokenStream,
        _: Option<usize>,
    ) -> TokenStream {
        quote!(#slice[#at] = #v;)
    }

    fn constants(&self, _: &ConvKernel, _: Option<usize>) -> TokenStream {
        TokenStream::new()
    }

    fn add(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(#a + #b)
    }

    fn sub(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(#a - #b)
    }

    fn mul(&self, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(#a * #b)
    }

    fn mul_add(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(#c + #a * #b)
    }

    fn accumulate(&self, sum: TokenStream, a: TokenStream, b: TokenStream) -> TokenStream {
        quote!(#sum += #a * #b;)
    }

    fn mul_sub(&self, a: TokenStream, b: TokenStream, c: TokenStream) -> TokenStream {
        quote!(#c - #a * #b)
    }

    fn max(&self, value: TokenStream, most: TokenStream) -> TokenStream {
        let max = self.uses.math("max");
        quote!(#max(#value, #most))
    }

    fn activate(&self, k: &ConvKernel, v: &Ident) -> TokenStream {
        if k.activation.is_in_registers() {
            act::scalar(k.activation, quote!(#v), self.uses)
        } else {
            quote!(#v)
        }
    }

    fn call(&self, call: TokenStream) -> TokenStream {
        call
    }
}
