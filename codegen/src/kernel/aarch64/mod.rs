//! NEON kernels for 64-bit ARM: `mr x nr` running sums in registers, unrolled by name, literal
//! strides. A safe function calls one that asserts bounds; NEON belongs to the target's baseline.
//!
//! ```text
//! (p0_0 .. p0_3) ... (p4_0 .. p4_3) = bias   5 pixels x 16 channels: 20 of 32 registers
//! for ky, then kx and c in fours:            the order of every direct kernel
//!     xi = pixel i, channels c .. c + 4      5 registers
//!     for each of the four:
//!         (w0 .. w3) = next weights          4 registers
//!         pi_v = xi[lane] * wv + pi_v        fused
//! y = activation(pi_v)
//! ```
//!
//! A row ends with a block of half as many pixels if that covers what is left, else with a whole one;
//! either overlaps the block before.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use tessera_plan::{kernel::half_block, plan::ConvKernel};

use super::{
    entry::{asserts, describe},
    finish::{Stored, column, second},
    printed::Printed,
};
use crate::{
    names::{affine, comment, ident, int},
    uses::from,
};

mod dense;
mod depthwise;
mod epilogue;
mod winograd;

pub(super) use winograd::module as winograd;

/// Lanes of a vector.
const LANES: usize = 4;

/// The items of a direct kernel's module.
pub(super) fn direct(kernel: &Printed) -> TokenStream {
    let &Printed {
        k,
        name,
        channels,
        uses,
        ..
    } = kernel;
    uses.everything(from::AARCH64);
    let (fn_name, doc) = (ident(name), describe(k, channels));
    let (size, mr) = (int(k.size), int(k.mr));
    let asserts = asserts(k, channels);
    let baseline = comment("SAFETY: NEON belongs to the target's baseline.");
    let constants = epilogue::constants(k.activation);
    let (param, arg) = second(k);
    let bounds = comment(
        "SAFETY: a block's pixels end at or before `cols`, and the assertions say that x, w and y \
         reach as far as the last pixel's last tap, weight and channel.",
    );
    let Stored { before, begin, end } = Stored::new(k, channels, uses);
    let whole = Block::new(k, channels, k.mr).body();
    let whole = quote! {
        col = col.min(cols - #mr);
        #begin
        #bounds
        unsafe { #whole }
        col += #mr;
    };
    let few = half_block(k.mr, k.pool);
    let blocks = if few == k.mr {
        whole
    } else {
        let (few, part) = (int(few), Block::new(k, channels, few).body());
        quote! {
            if cols - col > #few {
                #whole
            } else {
                col = cols - #few;
                #begin
                #bounds
                unsafe { #part }
                col += #few;
            }
        }
    };
    quote! {
        #[doc = #doc]
        pub fn #fn_name(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            #baseline
            unsafe { row(x, taps, w, y, cols #arg) }
        }

        #[target_feature(enable = "neon")]
        fn row(x: &[f32], taps: &[usize; #size], w: &[f32], y: &mut [f32], cols: usize #param) {
            #asserts
            #constants
            let mut col = 0;
            #before
            while col < cols {
                #blocks
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
    /// Pixels.
    pixels: usize,
}

impl<'a> Block<'a> {
    const fn new(k: &'a ConvKernel, channels: usize, pixels: usize) -> Self {
        Self {
            k,
            channels,
            pixels,
        }
    }

    /// Everything from the bias to the stores, for the pixels from `col` on.
    fn body(&self) -> TokenStream {
        let nr = int(self.k.nr);
        let sums = self.start();
        let taps = if self.k.depthwise {
            depthwise::taps(self)
        } else {
            dense::taps(self)
        };
        let finish = self.finish();
        quote! {
            let w = w.as_ptr();
            #sums
            let mut w = w.add(#nr);
            #taps
            #finish
        }
    }

    /// Vectors that hold an existing channel.
    const fn vectors(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Existing channels of vector `v`.
    fn filled(&self, v: usize) -> usize {
        (self.channels - v * LANES).min(LANES)
    }

    /// Values between the windows of neighbouring output pixels.
    const fn step(&self) -> usize {
        self.k.stride_x * self.k.x_stride
    }

    /// The running sum of pixel `i`, vector `v`.
    fn sum(i: usize, v: usize) -> Ident {
        format_ident!("p{i}_{v}")
    }

    /// The sums begin with the bias.
    fn start(&self) -> TokenStream {
        let mut out = self.load("b");
        for i in 0..self.pixels {
            for v in 0..self.vectors() {
                let (sum, bias) = (Self::sum(i, v), format_ident!("b{v}"));
                out.extend(quote!(let mut #sum = #bias;));
            }
        }
        out
    }

    /// Names the vectors that `w` points to: `let w0 = ..; let w1 = ..;`.
    fn load(&self, name: &str) -> TokenStream {
        (0..self.vectors())
            .map(|v| {
                let (name, from) = (format_ident!("{name}{v}"), offset(&quote!(w), v * LANES));
                quote!(let #name = vld1q_f32(#from);)
            })
            .collect()
    }

    /// Activation and stores.
    fn finish(&self) -> TokenStream {
        let (y_stride, side) = (self.k.y_stride, self.k.side());
        let at = affine(&[(column(self.k, quote!(col)), y_stride)], 0);
        let mut out = quote!(let y = y.as_mut_ptr().add(#at););
        for i in (0..self.pixels).step_by(side) {
            for v in 0..self.vectors() {
                let (sum, place) = (Self::sum(i, v), i / side * y_stride + v * LANES);
                if self.k.pool {
                    let (right, most) = (Self::sum(i + 1, v), format_ident!("most"));
                    let value = epilogue::value(self.k.activation, &most);
                    let before = load(&quote!(y), place, self.filled(v));
                    let store = self.store(place, v, &quote!(most));
                    out.extend(quote! {
                        let most = vmaxq_f32(#right, #sum);
                        let most = #value;
                        let most = if second { vmaxq_f32(most, #before) } else { most };
                        #store
                    });
                } else {
                    out.extend(epilogue::apply(self.k.activation, &sum));
                    out.extend(self.store(place, v, &quote!(#sum)));
                }
            }
        }
        out
    }

    /// Stores the channels of vector `v` from `y + place` on.
    fn store(&self, place: usize, v: usize, value: &TokenStream) -> TokenStream {
        let to = |more| offset(&quote!(y), place + more);
        let (to, to_2) = (to(0), to(2));
        match self.filled(v) {
            1 => quote!(vst1q_lane_f32::<0>(#to, #value);),
            2 => quote!(vst1_f32(#to, vget_low_f32(#value));),
            3 => quote! {
                vst1_f32(#to, vget_low_f32(#value));
                vst1q_lane_f32::<2>(#to_2, #value);
            },
            _ => quote!(vst1q_f32(#to, #value);),
        }
    }
}

/// A vector with `n <= 4` values from `pointer + at` on, and anything behind them.
fn load(pointer: &TokenStream, at: usize, n: usize) -> TokenStream {
    let (from, third) = (offset(pointer, at), offset(pointer, at + 2));
    match n {
        1 => quote!(vdupq_n_f32(*#from)),
        2 => quote!(vcombine_f32(vld1_f32(#from), vdup_n_f32(0.0))),
        3 => quote!(vcombine_f32(vld1_f32(#from), vdup_n_f32(*#third))),
        _ => quote!(vld1q_f32(#from)),
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
