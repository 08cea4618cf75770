//! Element types of frames and of the objects between tasks, in slots and on the way between boards.

use std::collections::BTreeSet;

use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::ElementType,
};

/// Element types of values outside arenas, as flags ask for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Element type of frames. [`ElementType::U8`] holds the values of pictures, between 0 and 1. `None`: bytes for
    /// networks that take pictures, which have one channel or three, and float32 for others.
    pub frames: Option<ElementType>,
    /// Element types of the stages' outputs: one for all stages, or one per stage. What the network hands over is in
    /// half precision where [`ElementType::U8`] is asked for.
    pub objects: Vec<ElementType>,
}

impl Default for Wire {
    /// Frames as pictures have them, and objects in half precision. Every object is rounded once, by the task
    /// that makes it, so the result depends on the cuts but neither on tiles nor on placement.
    fn default() -> Self {
        Self {
            frames: None,
            objects: vec![ElementType::F16],
        }
    }
}

impl Wire {
    /// Float32 for all values: every cut then computes the same values.
    pub fn floats() -> Self {
        Self {
            frames: Some(ElementType::F32),
            objects: vec![ElementType::F32],
        }
    }
}

/// Element types of the tensors of one network.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    graph: &'a Graph,
    frames: ElementType,
    /// Element types of the stages' outputs: one for all stages, or one per stage.
    objects: &'a [ElementType],
    /// First layer behind each stage. Empty where one element type serves all stages.
    ends: &'a [usize],
}

impl<'a> Elements<'a> {
    /// Element types that `wire` gives to the tensors of `graph`. The stages end at the layers `ends`.
    pub(crate) fn new(graph: &'a Graph, wire: &'a Wire, ends: &'a [usize]) -> Self {
        let usual = match graph.input.c {
            1 | 3 => ElementType::U8,
            _ => ElementType::F32,
        };
        Self {
            graph,
            frames: wire.frames.unwrap_or(usual),
            objects: &wire.objects,
            ends,
        }
    }

    /// Float32 for every tensor.
    pub(crate) const fn floats(graph: &'a Graph) -> Self {
        Self {
            graph,
            frames: ElementType::F32,
            objects: &[],
            ends: &[],
        }
    }

    /// Element type of a tensor that a stage or the tail reads: a frame, or a stage's output.
    pub fn read(self, tensor: TensorIx) -> ElementType {
        let Some(node) = tensor.producer() else {
            return self.frames;
        };
        let one = match self.objects {
            [one] => Some(one),
            many => {
                let layer = self.graph.nodes[node].layer;
                many.get(self.ends.partition_point(|end| *end <= layer))
            }
        };
        match one.copied().unwrap_or_default() {
            // Boxes are decoded from these values.
            ElementType::U8 if self.graph.outputs.contains(&tensor) => ElementType::F16,
            element => element,
        }
    }

    /// Element type of a strip of a tensor, which one tile hands to another: that of the stage's outputs, but half precision
    /// instead of bytes, since nobody has seen the range of its values.
    pub fn strip(self, tensor: TensorIx) -> ElementType {
        match self.read(tensor) {
            ElementType::U8 => ElementType::F16,
            element => element,
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
    use tessera_plan::graph::{Darknet, NodeIx};

    const FOUR: &str = "[net]\nwidth=8\nheight=8\nchannels=3\n\
        [convolutional]\nfilters=2\n[dropout]\n[convolutional]\nfilters=2\n[convolutional]\nfilters=2\n";

    fn graph() -> Graph {
        crate::cfg::read(FOUR.as_bytes(), "four", Darknet::Alexey)
            .0
            .unwrap()
    }

    fn node(n: usize) -> TensorIx {
        TensorIx::node(NodeIx(n))
    }

    #[test]
    fn what_the_tail_makes_stays_as_it_is() {
        let (graph, wire) = (graph(), Wire::default());
        let elements = Elements::new(&graph, &wire, &[]);
        let list = BTreeSet::from([node(1)]);
        assert_eq!(elements.crossing(TensorIx::INPUT, &list), ElementType::U8);
        assert_eq!(elements.crossing(node(1), &list), ElementType::F16);
        assert_eq!(elements.crossing(node(2), &list), ElementType::F32);
    }

    #[test]
    fn inputs_that_are_no_pictures_stay_as_they_are() {
        let (mut graph, wire) = (graph(), Wire::default());
        for (channels, frames) in [(1, ElementType::U8), (2, ElementType::F32)] {
            graph.input.c = channels;
            assert_eq!(
                Elements::new(&graph, &wire, &[]).read(TensorIx::INPUT),
                frames
            );
        }
    }

    /// Stages end at layers; a layer may have no node.
    #[test]
    fn every_stage_has_its_format() {
        let graph = graph();
        let wire = Wire {
            objects: vec![ElementType::F32, ElementType::F16],
            ..Wire::default()
        };
        let elements = Elements::new(&graph, &wire, &[2, 3]);
        assert_eq!(elements.read(node(0)), ElementType::F32);
        assert_eq!(elements.read(node(1)), ElementType::F16);
        assert_eq!(
            Elements::floats(&graph).read(TensorIx::INPUT),
            ElementType::F32
        );
    }

    #[test]
    fn the_networks_outputs_are_never_bytes() {
        let graph = graph();
        let wire = Wire {
            objects: vec![ElementType::U8],
            ..Wire::default()
        };
        let elements = Elements::new(&graph, &wire, &[]);
        assert_eq!(elements.read(node(1)), ElementType::U8);
        assert_eq!(elements.read(node(2)), ElementType::F16);
    }
}
