//! What of a tile's position changes the values that a layer computes.

use tessera_plan::{
    graph::{Node, Op, ShortcutKind},
    region::Span,
};

/// The part of the position of outputs `out` that their values depend on: a remainder by the operation's stride, 0
/// where position does not matter.
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
