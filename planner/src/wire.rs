//! How the values of frames and of the objects between tasks are stored: in slots, and on their way
//! between boards.

use std::collections::BTreeSet;

use tessera_plan::{graph::TensorIx, plan::ElementType};

/// How values are stored outside arenas. The default is float32 throughout: every grid and placement
/// computes the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Values of frames. [`ElementType::U8`] holds what pictures hold, between 0 and 1.
    pub frames: ElementType,
    /// Values of what stages make.
    pub objects: ElementType,
}

impl Wire {
    /// How a tensor that a stage or the tail reads is stored: a frame, or what a stage made.
    pub fn read(self, tensor: TensorIx) -> ElementType {
        if tensor == TensorIx::INPUT {
            self.frames
        } else {
            self.objects
        }
    }

    /// How a tensor that crosses a boundary is stored. `made` are the tensors that stages make; what
    /// the tail makes never leaves its node and stays float32.
    pub(crate) fn crossing(self, tensor: TensorIx, made: &BTreeSet<TensorIx>) -> ElementType {
        if tensor == TensorIx::INPUT || made.contains(&tensor) {
            self.read(tensor)
        } else {
            ElementType::F32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::graph::NodeIx;

    #[test]
    fn what_the_tail_makes_stays_as_it_is() {
        let wire = Wire {
            frames: ElementType::U8,
            objects: ElementType::F16,
        };
        let [made, tail] = [3, 7].map(|n| TensorIx::node(NodeIx(n)));
        let list = BTreeSet::from([made]);
        assert_eq!(wire.crossing(TensorIx::INPUT, &list), ElementType::U8);
        assert_eq!(wire.crossing(made, &list), ElementType::F16);
        assert_eq!(wire.crossing(tail, &list), ElementType::F32);
    }
}
