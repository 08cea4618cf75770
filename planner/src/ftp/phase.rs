//! What of a tile's position changes the values that a layer computes.

use super::Axis;
use tessera_plan::{
    graph::{Node, Op, ShortcutKind},
    region::Span,
};

/// The part of the position of outputs `out` that their values depend on: a remainder by the operation's stride, 0
/// where position does not matter. Darknet's reorg takes the row itself: its first and last rows read the map's other
/// end.
pub fn phase(node: &Node, out: Span, axis: Axis) -> usize {
    match &node.op {
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        }
        | Op::Reorg {
            stride,
            reverse: true,
        } => out.lo % stride,
        Op::Reorg { reverse: false, .. } if axis == Axis::Y => out.lo,
        Op::Shortcut {
            kind: ShortcutKind::Resized { up, .. },
            ..
        } => out.lo % up,
        _ => 0,
    }
}
