//! Element types of frames and of the objects between tasks, in slots and on the way between boards.

use std::collections::BTreeSet;

use tessera_plan::{graph::TensorIx, plan::ElementType};

/// Element types of values outside arenas. The default is float32 for all values: every grid and placement
/// then computes the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Element type of frames. [`ElementType::U8`] holds the values of pictures, between 0 and 1.
    pub frames: ElementType,
    /// Element type of the stages' outputs.
    pub objects: ElementType,
}

impl Wire {
    /// Element type of a tensor that a stage or the tail reads: a frame, or a stage's output.
    pub fn read(self, tensor: TensorIx) -> ElementType {
        if tensor == TensorIx::INPUT {
            self.frames
        } else {
            self.objects
        }
    }

    /// Element type of a tensor that crosses a boundary. `made` are the tensors that stages make. Tensors that
    /// the tail makes never leave the gateway and stay float32.
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
