//! Where a tile's halo comes from: the rows (or columns) of a layer's input that a range of its output rows
//! (columns) needs.
//!
//! [`StageGraph::trace`](super::StageGraph::trace) applies this layer by layer, from a tile's outputs back to
//! the stage's inputs. Rows and columns are traced apart: every local operation needs a box, and the bounding
//! box of a union of boxes is the product of the unions per axis (DeepThings 2018, section 3.2, with strides,
//! dilation, clipping and branches added). Darknet's reorg needs rows that go on at the map's other end
//! ([`cyclic`]).

use tessera_plan::{
    graph::{Node, Op, ShortcutKind, reorg_rows},
    region::Span,
};

use super::{Axis, cyclic};

/// The rows (columns) of one input that a range of outputs needs: its own share and the halo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputRange {
    /// The range: from the first to the last row (column) that is read.
    pub span: Span,
    /// How far windows reach before the range; nothing there is read but padding.
    pub before: usize,
    /// How far windows reach behind the range.
    pub after: usize,
}

/// The range of input `k` of `node` that its outputs `out` (not empty) need. The input has `extent` rows
/// (columns). Only layers for which [`cyclic::is_row_wise`] holds are asked for outputs that go on at the map's other
/// end.
pub fn input_range(node: &Node, k: usize, out: Span, axis: Axis, extent: usize) -> InputRange {
    let exact = |lo: usize, hi: usize| InputRange {
        span: Span::new(lo, hi.min(extent)),
        before: 0,
        after: 0,
    };
    let stride = |y: usize, x: usize| if axis == Axis::Y { y } else { x };
    if axis == Axis::Y && cyclic::wraps(out, node.shape.h) {
        debug_assert!(cyclic::is_row_wise(node), "{} goes on", node.name);
        return InputRange {
            span: out,
            before: 0,
            after: 0,
        };
    }
    match &node.op {
        Op::Conv(c) => window(
            out,
            stride(c.stride_y, c.stride_x),
            c.pad,
            c.size,
            c.dilation,
            extent,
        ),
        Op::MaxPool(p) | Op::LocalAvgPool(p) => window(
            out,
            stride(p.stride_y, p.stride_x),
            p.pad_before,
            p.size,
            1,
            extent,
        ),
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        }
        | Op::Reorg {
            stride,
            reverse: true,
        } => exact(out.lo / stride, (out.hi - 1) / stride + 1),
        Op::Downsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: false,
        } => exact(out.lo * stride, out.hi * stride),
        Op::Reorg {
            stride: s,
            reverse: false,
        } => match axis {
            Axis::X => exact(out.lo * s, out.hi * s),
            Axis::Y => InputRange {
                span: {
                    let (first, rows) = reorg_rows(out, *s, node.shape.h);
                    cyclic::range(first, rows, extent)
                },
                before: 0,
                after: 0,
            },
        },
        Op::Crop { y, x, .. } => {
            let first = stride(*y, *x);
            exact(out.lo + first, out.hi + first)
        }
        Op::Shortcut {
            kind: ShortcutKind::Resized { down, up, .. },
            ..
        } if k == 1 => {
            // Output rows that are multiples of `up` read; at least one row keeps views simple.
            let first = out.lo.div_ceil(*up);
            let last = ((out.hi - 1) / up).max(first);
            let top = (extent - 1) / down;
            exact(first.min(top) * down, last.min(top) * down + 1)
        }
        Op::ScaleChannels {
            per_pixel: false, ..
        } if k == 0 => exact(0, 1),
        op if op.is_local() => exact(out.lo, out.hi),
        _ => exact(0, extent),
    }
}

/// Windows of `size` taps, `dilation` apart, every `stride`: the box of the taps that lie inside
/// the map. With dilation the first window at a border may begin on a tap inside the map that is
/// not the map's first row, so taps are looked at, not just ends.
fn window(
    out: Span,
    stride: usize,
    pad: usize,
    size: usize,
    dilation: usize,
    extent: usize,
) -> InputRange {
    // Positions count from `pad` rows before the map.
    let reach = (size - 1) * dilation + 1;
    let (begin, end) = (out.lo * stride, (out.hi - 1) * stride + reach);
    let (top, bottom) = (pad, pad + extent);
    // First tap inside the map of a window, and the last one, where there are any.
    let first = |o: usize| {
        let w = o * stride;
        let t = w + top.saturating_sub(w).div_ceil(dilation) * dilation;
        (t < (w + reach).min(bottom)).then_some(t)
    };
    let last = |o: usize| {
        let w = o * stride;
        let t = w + ((bottom - 1).saturating_sub(w) / dilation).min(size - 1) * dilation;
        (t >= top && t < bottom).then_some(t)
    };
    // Windows that begin inside the map begin later and later; the others are few.
    let lo = (out.lo..out.hi)
        .take_while(|o| *o == out.lo || (o - 1) * stride < top)
        .filter_map(first)
        .min();
    let hi = (out.lo..out.hi)
        .rev()
        .take_while(|o| *o + 1 == out.hi || (o + 1) * stride + reach > bottom)
        .filter_map(last)
        .max();
    match (lo, hi) {
        (Some(lo), Some(hi)) => InputRange {
            span: Span::new(lo - top, hi + 1 - top),
            before: lo - begin,
            after: end - (hi + 1),
        },
        // The front end refuses windows wholly outside of the map.
        _ => InputRange {
            span: Span::new(0, 0),
            before: 0,
            after: 0,
        },
    }
}
