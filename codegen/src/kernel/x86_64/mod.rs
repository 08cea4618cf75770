//! AVX2 and AVX-512 kernels: `mr x nr` running sums in registers, unrolled by name, literal strides.
//!
//! A kernel's module has two functions. The one that drivers call has the common signature, asks
//! for the processor's features once and passes on. The other carries `#[target_feature]`, asserts
//! bounds, and loops over blocks of `mr` pixels; inside a block everything is an index plus a literal.
//!
//! ```text
//! (b0, b1) = bias                         nr / 8 vectors of output channels
//! (p0_0, p0_1) ... (p5_0, p5_1) = bias    6 pixels x 16 channels: 12 of 16 registers
//! for ky, kx, c:                          the order of every direct kernel
//!     (w0, w1) = next weights             2 registers
//!     x = pixel i, channel c              1 register, 8 times the same value
//!     pi_v = x * wv + pi_v                fused
//! y = activation(pi_v)
//! ```
//!
//! Where windows are contiguous in a row (no groups, no dilation), `kx` and `c` run as one loop.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tessera_plan::plan::ConvKernel;

use super::{
    entry::{asserts, describe},
    finish::{Stored, column, second},
    printed::Printed,
};
use crate::{
    cpu,
    names::{affine, comment, ident, int},
    uses::from,
};

mod dense;
mod depthwise;
mod epilogue;
mod width;
mod winograd;

use width::Width;
pub(super) use winograd::module as winograd;

/// The items of a direct kernel's module.
pub(super) fn direct(kernel: &Printed) -> TokenStream {
    let &Printed {
        k,
        isa,
        name,
        channels,
        uses,
    } = kernel;
    uses.everything(from::X86_64);
    let width = Width::of(isa, channels);
    let block = Block { k, channels, width };
    let (fn_name, doc) = (ident(name), describe(k, channels));
    let (size, mr, nr) = (int(k.size), int(k.mr), int(k.nr));
    let asserts = asserts(k, channels);
    let (attributes, safety) = (cpu::attributes(isa), cpu::safety());
    let bounds = comment(
        "SAFETY: a block's pixels end at or before `cols`, and the assertions say that x, w and y \
         reach as far as the last pixel's last tap, weight and channel.",
    );
    let sums = block.start();
    let taps = if k.depthwise {
        depthwise::taps(&block)
    } else {
        dense::taps(&block)
    };
    let finish = block.finish();
    let mask = block.mask();
    let constants = epilogue::constants(k.activation, width);
    let (param, arg) = second(k);
    let Stored { before, begin, end } = Stored::new(k, channels, uses);
    quote! {
        #[doc = #doc]
        pub fn #fn_name(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            super::assert_cpu();
            #safety
            unsafe { row(x, taps, w, y, cols #arg) }
        }

        #attributes
        fn row(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            #asserts
            #mask
            #constants
            let mut col = 0;
            #before
            while col < cols {
                col = col.min(cols - #mr);
                #begin
                #bounds
                unsafe {
                    let w = w.as_ptr();
                    #sums
                    let mut w = w.add(#nr);
                    #taps
                    #finish
                }
                col += #mr;
                #end
            }
        }
    }
}

/// One block of pixels and channels, in tokens.
struct Block<'a> {
    k: &'a ConvKernel,
    /// Output channels that exist; the others are padding of the packed weights.
    channels: usize,
    width: Width,
}

impl Block<'_> {
    /// Vectors that hold an existing channel.
    fn vectors(&self) -> usize {
        self.channels.div_ceil(self.width.lanes())
    }

    /// Channels of the last vector, if it is not full.
    fn partial(&self) -> Option<usize> {
        Some(self.channels % self.width.lanes()).filter(|n| *n > 0)
    }

    /// Whether vector `v` is the partial one.
    fn is_partial(&self, v: usize) -> bool {
        self.partial().is_some() && v + 1 == self.vectors()
    }

    /// Values between the windows of neighbouring output pixels.
    fn step(&self) -> usize {
        self.k.stride_x * self.k.x_stride
    }

    /// The running sum of pixel `i`, vector `v`.
    fn sum(i: usize, v: usize) -> Ident {
        format_ident!("p{i}_{v}")
    }

    /// `let mask = ..` where a vector is not full.
    fn mask(&self) -> TokenStream {
        let Some(n) = self.partial() else {
            return TokenStream::new();
        };
        self.width.mask(n)
    }

    /// The sums begin with the bias.
    fn start(&self) -> TokenStream {
        let mut out = self.load("b", 0);
        for i in 0..self.k.mr {
            for v in 0..self.vectors() {
                let (sum, bias) = (Self::sum(i, v), format_ident!("b{v}"));
                out.extend(quote!(let mut #sum = #bias;));
            }
        }
        out
    }

    /// The next weights: `let w0 = ..; let w1 = ..;`.
    fn weights(&self) -> TokenStream {
        self.load("w", 0)
    }

    /// Names the vectors `at` values behind `w`.
    fn load(&self, name: &str, at: usize) -> TokenStream {
        (0..self.vectors())
            .map(|v| {
                let name = format_ident!("{name}{v}");
                let from = offset(&quote!(w), at + v * self.width.lanes());
                let value = self.width.load(&from, false);
                quote!(let #name = #value;)
            })
            .collect()
    }

    /// Activation and stores.
    fn finish(&self) -> TokenStream {
        let y_stride = self.k.y_stride;
        let at = affine(&[(column(self.k, quote!(col)), y_stride)], 0);
        let mut out = quote!(let y = y.as_mut_ptr().add(#at););
        let side = self.k.side();
        for i in (0..self.k.mr).step_by(side) {
            for v in 0..self.vectors() {
                let sum = Self::sum(i, v);
                let to = offset(&quote!(y), i / side * y_stride + v * self.width.lanes());
                let partial = self.is_partial(v);
                if self.k.pool {
                    let (max, load) = (self.width.op("max_ps"), self.width.load(&to, partial));
                    let right = Self::sum(i + 1, v);
                    let most = format_ident!("most");
                    let value = epilogue::apply(self.k.activation, &most, self.width);
                    let store = self.width.store(&to, &quote!(most), partial);
                    out.extend(quote! {
                        let most = #max(#right, #sum);
                        let most = #value;
                        let most = if second { #max(most, #load) } else { most };
                        #store
                    });
                } else {
                    let value = epilogue::apply(self.k.activation, &sum, self.width);
                    out.extend(self.width.store(&to, &value, partial));
                }
            }
        }
        out
    }
}

/// `pointer.add(n)`.
fn offset(pointer: &TokenStream, n: usize) -> TokenStream {
    if n == 0 {
        return pointer.clone();
    }
    let n = int(n);
    quote!(#pointer.add(#n))
}
