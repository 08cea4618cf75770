//! Which objects cover a box, found row of tiles by row of tiles.

use std::collections::BTreeMap;

use super::{DataflowError, Need, ObjectKey, Port, TaskId, TaskInfo, TensorInfo};
use crate::region::{Region, Span};

/// Objects of one tensor whose boxes have the same rows.
type SameRows = Vec<(ObjectKey, Region)>;

/// Per tensor the objects that hold its boxes, without empty ones, by rows: a grid's tiles are looked up
/// in the rows of tiles that meet a box, not one by one.
pub(super) struct Makers<'a> {
    tensors: &'a [TensorInfo],
    rows: Vec<BTreeMap<Span, SameRows>>,
}

impl<'a> Makers<'a> {
    /// The objects that `tasks` make, and the frame.
    pub fn new(tensors: &'a [TensorInfo], tasks: &[TaskInfo]) -> Result<Self, DataflowError> {
        let mut rows = vec![BTreeMap::<Span, SameRows>::new(); tensors.len()];
        if let (Some(frame), Some(whole)) = (rows.first_mut(), tensors.first()) {
            frame.insert(whole.region.y, vec![(ObjectKey::Frame, whole.region)]);
        }
        for (k, t) in tasks.iter().enumerate() {
            for (o, port) in t.outputs.iter().enumerate() {
                inside(tensors, port, Some(k))?;
                if port.region.is_empty() {
                    continue;
                }
                let key = ObjectKey::Output {
                    task: TaskId(k as u32),
                    output: o as u16,
                };
                let of_tensor = &mut rows[port.tensor as usize];
                let row = of_tensor.entry(port.region.y).or_default();
                row.push((key, port.region));
            }
        }
        Ok(Self { tensors, rows })
    }

    /// The pieces that cover `ports`, input by input, each in the order of objects; and the proof that they
    /// do. `task` names the reader in errors.
    pub fn needs(&self, ports: &[Port], task: Option<usize>) -> Result<Vec<Need>, DataflowError> {
        let mut needs = Vec::new();
        for (input, port) in ports.iter().enumerate() {
            inside(self.tensors, port, task)?;
            let first = needs.len();
            let rows = self.rows[port.tensor as usize].iter();
            for (_, row) in rows.filter(|(y, _)| !y.meet(port.region.y).is_empty()) {
                needs.extend(row.iter().filter_map(|&(key, region)| {
                    let region = region.meet(port.region);
                    (!region.is_empty()).then_some(Need {
                        input: input as u16,
                        key,
                        region,
                    })
                }));
            }
            needs[first..].sort_unstable_by_key(|n| n.key);
            // Makers' boxes do not overlap, so equal counts mean covered.
            let found = needs[first..].iter().map(|n| n.region.len()).sum();
            if found != port.region.len() {
                return Err(DataflowError::Uncovered {
                    task,
                    input,
                    expected: port.region.len(),
                    found,
                });
            }
        }
        Ok(needs)
    }
}

/// Whether a port's box lies inside a tensor that exists.
fn inside(tensors: &[TensorInfo], port: &Port, task: Option<usize>) -> Result<(), DataflowError> {
    let tensor = port.tensor;
    match tensors.get(tensor as usize) {
        None => Err(DataflowError::NoTensor { task, tensor }),
        Some(t) if !t.region.contains(port.region) => Err(DataflowError::Outside { task, tensor }),
        Some(_) => Ok(()),
    }
}
