//! Which generated kernel computes a convolution, and what it is called.

use crate::{
    graph::{Activation, Graph, Node, Op},
    plan::{Buffer, ConvKernel, Isa},
};

/// Bytes of input rows that a row block may take: half of a 512 KiB second-level cache.
const BLOCK_BYTES: usize = 256 << 10;

/// The kernel of a convolution whose input buffer has `x_channels` channels; `None` for other
/// operations.
pub fn choose(
    graph: &Graph,
    node: &Node,
    x_channels: usize,
    out: &Buffer,
    isa: Isa,
) -> Option<ConvKernel> {
    let Op::Conv(c) = &node.op else { return None };
    let cin = graph.shape(node.inputs[0]).c;
    let depthwise = c.groups > 1 && c.groups == cin && c.groups == node.shape.c;
    let filters = node.shape.c / c.groups;
    let nr = match (isa, depthwise) {
        (Isa::X86_64V3, true) => {
            if node.shape.c <= 8 {
                8
            } else {
                16
            }
        }
        (Isa::X86_64V3, false) => {
            if filters <= 8 {
                8
            } else {
                16
            }
        }
        (Isa::Portable, _) => 8,
    };
    let mr = match (isa, nr) {
        (Isa::X86_64V3, 16) => best_mr(out.w, 6),
        (Isa::X86_64V3, _) => best_mr(out.w, 10),
        (Isa::Portable, _) => best_mr(out.w, 4),
    };
    let activation = if c.activation.is_inline() {
        c.activation
    } else {
        Activation::Linear
    };
    Some(ConvKernel {
        size: c.size,
        stride_x: c.stride_x,
        dilation: c.dilation,
        cin: if depthwise { 1 } else { cin / c.groups },
        x_stride: x_channels,
        y_stride: out.c,
        mr,
        nr,
        activation,
        depthwise,
    })
}

/// Pixels per block, at most `max`, such that a row of `w` pixels is covered with the least work.
/// A block of `m` pixels costs about `max(m, 4.5)`: fewer than ten running sums do not fill the
/// pipeline of two fused multiply-adds of four cycles each.
fn best_mr(w: usize, max: usize) -> usize {
    let cost = |m: usize| w.div_ceil(m) * (2 * m).max(9);
    (1..=max.min(w))
        .min_by_key(|m| (cost(*m), std::cmp::Reverse(*m)))
        .unwrap_or(1)
}

/// Output rows per block: the block's input rows stay in the second-level cache while all output
/// channels are computed.
pub fn row_block(node: &Node, k: &ConvKernel, x: &Buffer, out: &Buffer) -> usize {
    let Op::Conv(c) = &node.op else { return out.h };
    let row_bytes = 4 * (x.pad_left + x.w + x.pad_right) * x.c * c.stride_y;
    let extra = (k.size.saturating_sub(1)) * k.dilation;
    (BLOCK_BYTES / row_bytes.max(1))
        .saturating_sub(extra)
        .clamp(1.min(out.h), out.h)
}

/// Output channels of the last block of `filters` channels.
pub const fn last_lanes(filters: usize, nr: usize) -> usize {
    match filters % nr {
        0 => nr,
        n => n,
    }
}

/// The kernel's name, unique per parameter set: `f32_conv3x3s1_leaky_6x16_avx2_k32`, with `d2`
/// for dilation and `x..`, `y..` where the pixel strides differ from what the name implies.
pub fn kernel_name(k: &ConvKernel, isa: Isa) -> String {
    let op = if k.depthwise { "dwconv" } else { "conv" };
    let dilation = if k.dilation > 1 {
        format!("d{}", k.dilation)
    } else {
        String::new()
    };
    let isa = match isa {
        Isa::Portable => "scalar",
        Isa::X86_64V3 => "avx2",
    };
    let s = k.size;
    format!(
        "f32_{op}{s}x{s}s{}{dilation}_{}_{}x{}_{isa}_k{}_x{}_y{}",
        k.stride_x,
        k.activation.name(),
        k.mr,
        k.nr,
        k.cin,
        k.x_stride,
        k.y_stride
    )
}
