//! Convolutions: row blocks, groups, blocks of output channels, one kernel call per row.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::Conv,
    kernel::{block_floats, wide_floats, winograd::Sizes},
    plan::{ConvKernel, WeightFormat},
};

use super::{Body, LayerCx, winograd};
use crate::{
    EmitError, act, kernel,
    names::{affine, ident, int},
};

/// Emits a convolution.
///
/// Loop order: the input rows of one row block stay in the cache while every block of output
/// channels passes over them, and a block's weights while it passes over the rows.
pub(super) fn emit(cx: &LayerCx, conv: &Conv) -> Result<Body, EmitError> {
    let bad = |rule| EmitError::Step {
        step: cx.step.name.clone(),
        rule,
    };
    let k = cx
        .step
        .conv
        .as_ref()
        .ok_or_else(|| bad("a convolution names its kernel"))?;
    if cx.ins.len() != 1 || k.size != conv.size || k.stride_x != conv.stride_x {
        return Err(bad("a kernel has its convolution's geometry"));
    }
    let channel = cx.step.inputs[0].channel;
    if channel > 0 && (conv.groups > 1 || k.cin > cx.ins[0].c - channel) {
        return Err(bad("channels of a slice lie in their buffer"));
    }
    let sizes = Sizes::new(k);
    let fits = kernel::fits(k, cx.isa) && (sizes.is_some() || k.mr <= k.side() * cx.out.w);
    if k.mr == 0 || k.nr == 0 || !fits {
        return Err(bad("a kernel's block fits the row"));
    }
    if k.x_stride != cx.ins[0].c || k.y_stride != cx.out.c {
        return Err(bad("a kernel's strides are its buffers' channels"));
    }
    let blocks = Blocks::new(conv, k, cx.node.shape.c, cx.step.weights)
        .ok_or_else(|| bad("groups divide the filters"))?;

    let y_row = int(cx.out.row);
    let mut calls = Calls {
        cx,
        conv,
        k,
        blocks,
        kernels: BTreeSet::new(),
    };

    if k.activation != conv.activation && cx.node.shape.c != cx.out.c {
        return Err(bad("a pass over rows would touch other steps' channels"));
    }
    let pass = if k.activation == conv.activation {
        TokenStream::new()
    } else {
        let each = act::pass(conv.activation, &cx.out.pixels(), cx.out.c);
        quote! {
            let done = (block.start - first) * #y_row..(block.end - first) * #y_row;
            for y in y[done].chunks_exact_mut(#y_row) { #each }
        }
    };
    let tap = tap(cx);
    if let Some(sizes) = sizes {
        let (code, lanes) = winograd::rows(cx, k, sizes, &pass);
        return Ok(Body {
            weights: true,
            kernels: lanes.into_iter().map(|l| (k.clone(), l)).collect(),
            how: kernel::name(k, cx.isa, k.nr),
            team: true,
            ..Body::plain(what(conv, k, cx), quote! { #tap #code })
        });
    }
    let channels = calls.all();
    let over_blocks = if cx.step.row_block >= cx.step.firing {
        quote! {
            let first = rows.start;
            let block = rows;
            #channels
            #pass
        }
    } else {
        let n = int(cx.step.row_block);
        quote! {
            let (first, end) = (rows.start, rows.end);
            for row in rows.step_by(#n) {
                let block = row..end.min(row + #n);
                #channels
                #pass
            }
        }
    };
    let code = quote! { #tap #over_blocks };

    Ok(Body {
        weights: true,
        kernels: calls.kernels,
        how: kernel::name(k, cx.isa, k.nr),
        wide: wide_floats(k, cx.step.weights),
        ..Body::plain(what(conv, k, cx), code)
    })
}

/// An output channel as `sum of variable * factor`.
type Channel = [(TokenStream, usize)];

/// The loops over groups and blocks of output channels, and the kernel calls inside.
struct Calls<'a> {
    cx: &'a LayerCx<'a>,
    conv: &'a Conv,
    k: &'a ConvKernel,
    blocks: Blocks,
    kernels: BTreeSet<(ConvKernel, usize)>,
}

impl Calls<'_> {
    /// All groups.
    fn all(&mut self) -> TokenStream {
        if self.blocks.groups == 1 {
            return self.group(&[]);
        }
        let inner = self.group(&[(quote!(g), self.blocks.per_group)]);
        let floats = int(self.blocks.group_floats());
        quote! { for (g, w) in w.chunks_exact(#floats).enumerate() { #inner } }
    }

    /// One group, whose first output channel is `channel`: its full blocks, then the narrower one.
    fn group(&mut self, channel: &Channel) -> TokenStream {
        let (full, rest, nr) = (self.blocks.full, self.blocks.rest, self.k.nr);
        let (block, of_full) = (int(self.blocks.floats), int(full * self.blocks.floats));
        let mut out = TokenStream::new();
        if full == 1 {
            let inner = self.rows(nr, channel, 0);
            out.extend(if rest == 0 {
                inner
            } else {
                quote! { { let w = &w[..#block]; #inner } }
            });
        } else if full > 1 {
            let mut channel = channel.to_vec();
            channel.push((quote!(co), nr));
            let inner = self.rows(nr, &channel, 0);
            let w = if rest == 0 {
                quote!(w)
            } else {
                quote!(w[..#of_full])
            };
            out.extend(quote! {
                for (co, w) in #w.chunks_exact(#block).enumerate() { #inner }
            });
        }
        if rest > 0 {
            let inner = self.rows(rest, channel, full * nr);
            out.extend(if full == 0 {
                inner
            } else {
                quote! { let w = &w[#of_full..]; #inner }
            });
        }
        out
    }

    /// A row block of `lanes` output channels from `channel + constant` on.
    fn rows(&mut self, lanes: usize, channel: &Channel, constant: usize) -> TokenStream {
        self.kernels.insert((self.k.clone(), lanes));
        let widen = widen(self.k, self.cx.step.weights);
        let name = ident(&kernel::name(self.k, self.cx.isa, lanes));
        let (y_row, cols) = (int(self.cx.out.row), int(self.k.side() * self.cx.out.w));
        // Where the block's channels begin: in the input per group (depthwise: per block), in the
        // output always.
        let input = self.blocks.input_channel(channel, constant);
        let rows = if self.k.pool {
            vec![
                (quote!(row), 2 * self.conv.stride_y),
                (quote!(half), self.conv.stride_y),
            ]
        } else {
            vec![(quote!(row), self.conv.stride_y)]
        };
        let taps = taps(self.conv, &rows, &input);
        let at = affine(
            channel,
            (self.cx.out.lo + self.cx.out.channel + constant) as isize,
        );
        let at = if at.to_string() == "0" {
            quote!()
        } else {
            quote!(+ #at)
        };
        if self.cx.step.joined {
            let rows = self.joined();
            return quote! {
                #widen
                let mut row = block.start;
                while row < block.end {
                    let taps = #taps;
                    let y = &mut y[(row - first) * #y_row #at..];
                    let rows = #rows;
                    kernels::#name(x, &taps, w, y, rows * #cols);
                    row += rows;
                }
            };
        }
        if self.k.pool {
            return quote! {
                #widen
                for row in block.clone() {
                    let y = &mut y[(row - first) * #y_row #at..];
                    for half in 0..2 {
                        let taps = #taps;
                        kernels::#name(x, &taps, w, y, #cols, half == 1);
                    }
                }
            };
        }
        quote! {
            #widen
            for row in block.clone() {
                let taps = #taps;
                let y = &mut y[(row - first) * #y_row #at..];
                kernels::#name(x, &taps, w, y, #cols);
            }
        }
    }
}

impl Calls<'_> {
    /// Rows from `row` on that are one row to the kernel: up to the end of the ring, and of what it takes.
    fn joined(&self) -> TokenStream {
        let (x, most) = (self.cx.input(), kernel::COLS_MAX / self.cx.out.w);
        let mut rows = quote!(block.end - row);
        if x.is_ring() {
            let (place, ring) = (affine(&[(quote!(row), 1)], x.y as isize), int(x.ring));
            let place = if x.y == 0 { place } else { quote!((#place)) };
            rows = quote!((#rows).min(#ring - #place % #ring));
        }
        if self.cx.step.row_block > most {
            let most = int(most);
            rows = quote!((#rows).min(#most));
        }
        rows
    }
}

/// Makes the packed block `w` float32 in `wide`, where it is stored otherwise.
pub(super) fn widen(k: &ConvKernel, weights: WeightFormat) -> TokenStream {
    if !weights.is_f16() {
        return TokenStream::new();
    }
    let nr = int(k.nr);
    quote! { let w = kernels::widen(w, #nr, wide); }
}

/// `tap(y)`: index in `x` of the first pixel of input row `y`, counted from `pad` rows above the
/// view; rows outside of the map are the zero row.
fn tap(cx: &LayerCx) -> TokenStream {
    let x = cx.input();
    let [top, bottom, left, _] = cx.step.pad;
    let shift = left * x.c;
    let inside = x.index(&[(quote!(y), 1)], -(top as isize), &[], -(shift as isize));
    if top + bottom == 0 {
        return quote! { let tap = |y: usize| #inside; };
    }
    let (lo, hi) = (int(top), int(top + x.h));
    let zero = int(x.zero - shift);
    let test = match (top, bottom) {
        (0, _) => quote!(y < #hi),
        (_, 0) => quote!(y >= #lo),
        _ => quote!((#lo..#hi).contains(&y)),
    };
    quote! { let tap = |y: usize| if #test { #inside } else { #zero }; }
}

/// The `taps` argument: one index per kernel row, the first one being the sum `row`.
fn taps(conv: &Conv, row: &[(TokenStream, usize)], channel: &Channel) -> TokenStream {
    let rows = (0..conv.size).map(|ky| {
        let y = affine(row, (ky * conv.dilation) as isize);
        let c = affine(channel, 0);
        if c.to_string() == "0" {
            quote!(tap(#y))
        } else {
            quote!(tap(#y) + #c)
        }
    });
    quote!([#(#rows),*])
}

/// How output channels are cut into packed blocks.
struct Blocks {
    groups: usize,
    /// Output channels of a group.
    per_group: usize,
    /// Blocks of `nr` channels in a group.
    full: usize,
    /// Channels of the last, narrower block.
    rest: usize,
    /// Values of one packed block.
    floats: usize,
    /// Output channel `c` reads input channel `c`.
    depthwise: bool,
    /// Input channels of a group.
    cin: usize,
}

impl Blocks {
    fn new(conv: &Conv, k: &ConvKernel, cout: usize, weights: WeightFormat) -> Option<Self> {
        let groups = if k.depthwise { 1 } else { conv.groups };
        if groups == 0 || !cout.is_multiple_of(groups) {
            return None;
        }
        let per_group = cout / groups;
        Some(Self {
            groups,
            per_group,
            full: per_group / k.nr,
            rest: per_group % k.nr,
            floats: block_floats(k.nr, k.size * k.size * k.cin, weights),
            depthwise: k.depthwise,
            cin: k.cin,
        })
    }

    fn group_floats(&self) -> usize {
        (self.full + usize::from(self.rest > 0)) * self.floats
    }

    /// First input channel, given the first output channel as `channel + constant`.
    fn input_channel(&self, channel: &Channel, constant: usize) -> Vec<(TokenStream, usize)> {
        if self.depthwise {
            let mut terms = channel.to_vec();
            if constant > 0 {
                terms.push((int(constant), 1));
            }
            terms
        } else if self.groups > 1 {
            vec![(quote!(g), self.cin)]
        } else {
            Vec::new()
        }
    }
}

fn what(conv: &Conv, k: &ConvKernel, cx: &LayerCx) -> String {
    let stride = if conv.stride_x == conv.stride_y {
        conv.stride_x.to_string()
    } else {
        format!("{}x{}", conv.stride_y, conv.stride_x)
    };
    let mut s = format!(
        "conv {0}x{0}/{stride}, {1} -> {2}, {3}",
        conv.size,
        k.cin * conv.groups,
        cx.node.shape.c,
        conv.activation.name()
    );
    if k.cin * conv.groups < cx.input().c {
        let channel = cx.step.inputs[0].channel;
        s += &format!(", channels {channel}..{}", channel + k.cin);
    }
    if conv.groups > 1 {
        s += &format!(", {} groups", conv.groups);
    }
    if conv.dilation > 1 {
        s += &format!(", dilation {}", conv.dilation);
    }
    if k.pool {
        s += ", maxpool 2x2/2";
    }
    s
}
