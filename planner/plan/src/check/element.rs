//! Buffers outside the arena are objects where they lie, and layers compute with float32: objects of other
//! element types are converted on their way into the arena and out of it.

use super::{Rule, rule};
use crate::{
    graph::TensorIx,
    plan::{Border, Chain, ElementType, Place, Plan, Tensor},
};

/// For plans whose stages have their chains.
pub(super) fn elements(plan: &Plan) -> Rule {
    let d = &plan.dataflow;
    for (name, t) in &plan.target {
        for (i, (s, chains)) in d.stages.iter().zip(&t.stages).enumerate() {
            let place = format!("target {name}, stage {i}");
            if s.border == Border::Reuse {
                for (tile, c) in s
                    .tiles
                    .iter()
                    .filter_map(|t| Some((t, chains.get(t.class)?)))
                {
                    let gives = tile.gives.iter().filter_map(|t| d.tensors.get(*t));
                    let own = s.outputs.iter().take(tile.outputs.len());
                    let own = own.map(|id| element(&d.tensors, *id));
                    let outputs = own.chain(gives.map(|t| t.element)).collect();
                    floats_in_place(c, [Vec::new(), outputs], &place)?;
                }
                continue;
            }
            for c in chains {
                in_place(c, &d.tensors, [&s.inputs, &s.outputs], &place)?;
            }
        }
        let ports = [&*d.tail.inputs, &*d.tail.outputs];
        in_place(&t.tail, &d.tensors, ports, &format!("target {name}, tail"))?;
    }
    Ok(())
}

fn in_place(
    c: &Chain,
    tensors: &[Tensor],
    [inputs, outputs]: [&[TensorIx]; 2],
    place: &str,
) -> Rule {
    let elements = |list: &[TensorIx]| list.iter().map(|id| element(tensors, *id)).collect();
    floats_in_place(c, [elements(inputs), elements(outputs)], place)
}

/// The element type of a tensor's objects; float32 if it does not cross a boundary.
fn element(tensors: &[Tensor], id: TensorIx) -> ElementType {
    let tensor = tensors.iter().find(|t| t.id == id && !t.is_strip());
    tensor.map_or(ElementType::F32, |t| t.element)
}

/// For the element types of a chain's inputs and outputs.
fn floats_in_place(c: &Chain, [inputs, outputs]: [Vec<ElementType>; 2], place: &str) -> Rule {
    let is_float =
        |list: &[ElementType], k: usize| list.get(k).is_none_or(|e| *e == ElementType::F32);
    let holds = c.buffers.iter().all(|b| match b.place {
        Place::Arena => true,
        Place::Input(k) => is_float(&inputs, k),
        Place::Output(k) => is_float(&outputs, k),
    });
    rule(
        holds,
        &|| format!("{place}, chain {}", c.name),
        "only float32 objects are computed with where they lie",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Buffer, Order},
        region::Shape,
    };

    fn tensors(element: ElementType) -> Vec<Tensor> {
        let tensor = |id, element| Tensor {
            id: TensorIx(id),
            layer: id,
            shape: Shape::new(2, 3, 4),
            parts: 1,
            element,
            strip: None,
            scales: None,
        };
        vec![tensor(-1, element), tensor(0, ElementType::F32)]
    }

    fn chain(place: Place) -> Chain {
        let buffer = Buffer {
            place,
            tensor: TensorIx(-1),
            offset: 0,
            floats: 24,
            h: 2,
            ring: 2,
            w: 3,
            c: 4,
            pad_left: 0,
            pad_right: 0,
            zero_row: false,
        };
        Chain {
            name: "r0_c0".into(),
            arena_floats: 0,
            buffers: vec![buffer],
            loads: vec![None],
            steps: vec![],
            stores: vec![None],
            order: Order::default(),
            macs: 0,
            threads: 1,
        }
    }

    #[test]
    fn only_floats_are_computed_with_in_place() {
        let (input, output) = ([TensorIx(-1)], [TensorIx(0)]);
        let check = |place, element, ports| in_place(&chain(place), &tensors(element), ports, "x");
        for element in [ElementType::U8, ElementType::F16, ElementType::F32] {
            let holds = element == ElementType::F32;
            let read = check(Place::Input(0), element, [&input, &output]);
            assert_eq!(read.is_ok(), holds, "{element:?}");
            let written = check(Place::Output(0), element, [&output, &input]);
            assert_eq!(written.is_ok(), holds, "{element:?}");
            assert!(check(Place::Arena, element, [&input, &output]).is_ok());
        }
    }
}
