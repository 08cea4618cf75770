//! Convolutions by direct kernels: row blocks, groups, blocks of output channels, one kernel call per row.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::Conv,
    kernel::{COLS_MAX, block_floats, wide_floats},
    plan::{ConvKernel, WeightFormat},
};

use super::widen::{kernels, widen};
use crate::{
    kernel,
    layer::{LayerCx, context::Sharing},
    names::{affine, ident, int},
};

/// Statements that compute `rows` of `y`; the numbers of existing channels of the kernels that they call; and
/// how threads share them.
///
/// Loop order: the input rows of one row block stay in the cache while every block of output
/// channels passes over them, and a block's weights while it passes over the rows.
pub(super) fn rows(
    cx: &LayerCx,
    conv: &Conv,
    k: &ConvKernel,
    pass: &TokenStream,
) -> (TokenStream, Vec<usize>, Sharing) {
    let blocks = Blocks::new(conv, k, cx.node.shape.c, cx.step.weights);
    let calls = Calls {
        cx,
        conv,
        k,
        blocks,
    };
    let channels = calls.all();
    let code = if cx.step.row_block >= cx.step.firing {
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
    let sharing = match wide_floats(k, cx.step.weights) {
        0 => Sharing::Rows,
        wide => Sharing::RowsWide(wide),
    };
    (code, calls.blocks.channels(k.nr), sharing)
}

/// An output channel as `sum of variable * factor`.
type Channel = [(TokenStream, usize)];

/// The loops over groups and blocks of output channels, and the kernel calls inside.
struct Calls<'a> {
    cx: &'a LayerCx<'a>,
    conv: &'a Conv,
    k: &'a ConvKernel,
    blocks: Blocks,
}

impl Calls<'_> {
    /// All groups.
    fn all(&self) -> TokenStream {
        if self.blocks.groups == 1 {
            return self.group(&[]);
        }
        let inner = self.group(&[(quote!(g), self.blocks.per_group)]);
        let floats = int(self.blocks.group_floats());
        quote! { for (g, w) in w.chunks_exact(#floats).enumerate() { #inner } }
    }

    /// One group, whose first output channel is `channel`: its full blocks, then the narrower one.
    fn group(&self, channel: &Channel) -> TokenStream {
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

    /// A row block of `channels` output channels from `channel + constant` on.
    fn rows(&self, channels: usize, channel: &Channel, constant: usize) -> TokenStream {
        let (widen, kernels) = (widen(self.cx, self.k), kernels(self.cx));
        let name = ident(&kernel::name(self.k, self.cx.isa, channels));
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
                    #kernels::#name(x, &taps, w, y, rows * #cols);
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
                        #kernels::#name(x, &taps, w, y, #cols, half == 1);
                    }
                }
            };
        }
        quote! {
            #widen
            for row in block.clone() {
                let taps = #taps;
                let y = &mut y[(row - first) * #y_row #at..];
                #kernels::#name(x, &taps, w, y, #cols);
            }
        }
    }
}

impl Calls<'_> {
    /// Rows from `row` on that are one row to the kernel: up to the end of the ring, and of what it takes.
    fn joined(&self) -> TokenStream {
        let (x, most) = (self.cx.input(), COLS_MAX / self.cx.out.w);
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
    fn new(conv: &Conv, k: &ConvKernel, cout: usize, weights: WeightFormat) -> Self {
        let groups = if k.depthwise { 1 } else { conv.groups };
        let per_group = cout / groups;
        Self {
            groups,
            per_group,
            full: per_group / k.nr,
            rest: per_group % k.nr,
            floats: block_floats(k.nr, k.size * k.size * k.cin, weights),
            depthwise: k.depthwise,
            cin: k.cin,
        }
    }

    /// Numbers of existing channels of the kernels that are called.
    fn channels(&self, nr: usize) -> Vec<usize> {
        let full = (self.full > 0).then_some(nr);
        let rest = (self.rest > 0).then_some(self.rest);
        full.into_iter().chain(rest).collect()
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
