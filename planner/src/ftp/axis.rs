//! One step back along one axis: which rows (or columns) of an input a range of outputs needs.
//!
//! Rows and columns are traced apart: every local operation's need is a box, and the bounding box
//! of a union of boxes is the product of the unions per axis (DeepThings 2018, section 3.2, with
//! strides, dilation, clipping and branches added).

use crate::{
    graph::{Node, Op, ShortcutKind},
    region::Span,
};

/// Rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Rows.
    Y,
    /// Columns.
    X,
}

/// What a range of outputs needs of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Need {
    /// The range, clipped to the map.
    pub span: Span,
    /// How far windows reach before the map.
    pub before: usize,
    /// How far windows reach behind the map.
    pub after: usize,
}

/// What outputs `out` (not empty) of `node` need of its input number `k`, which has `extent` rows
/// or columns.
pub fn need(node: &Node, k: usize, out: Span, axis: Axis, extent: usize) -> Need {
    let exact = |lo: usize, hi: usize| Need {
        span: Span::new(lo, hi.min(extent)),
        before: 0,
        after: 0,
    };
    let stride = |y: usize, x: usize| if axis == Axis::Y { y } else { x };
    match &node.op {
        Op::Conv(c) => window(
            out,
            stride(c.stride_y, c.stride_x),
            c.pad,
            (c.size - 1) * c.dilation + 1,
            extent,
        ),
        Op::MaxPool(p) | Op::LocalAvgPool(p) => window(
            out,
            stride(p.stride_y, p.stride_x),
            p.pad_before,
            p.size,
            extent,
        ),
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        } => exact(out.lo / stride, (out.hi - 1) / stride + 1),
        Op::Downsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: false,
        } => exact(out.lo * stride, out.hi * stride),
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

fn window(out: Span, stride: usize, pad: usize, reach: usize, extent: usize) -> Need {
    let lo = out.lo * stride;
    let hi = (out.hi - 1) * stride + reach;
    let span = Span::new(lo.saturating_sub(pad), (hi.saturating_sub(pad)).min(extent));
    Need {
        span,
        before: pad.saturating_sub(lo),
        after: hi.saturating_sub(extent + pad),
    }
}

/// The part of an output range's position that its values depend on.
pub fn phase(node: &Node, out: Span) -> usize {
    match &node.op {
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        } => out.lo % stride,
        Op::Shortcut {
            kind: ShortcutKind::Resized { up, .. },
            ..
        } => out.lo % up,
        _ => 0,
    }
}
