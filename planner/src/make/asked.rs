//! What the flags fix and what they leave open.

use tessera_plan::limits::STAGE_TILES_MAX;

use super::{PlanError, Shape};
use crate::options::PlanOptions;
use tessera_plan::graph::Graph;

/// What the flags leave open.
pub(super) enum Asked {
    Exactly(Shape),
    Search {
        grids: Option<Vec<[usize; 2]>>,
        cuts: Option<Vec<usize>>,
    },
}

pub(super) fn asked(graph: &Graph, o: &PlanOptions) -> Result<Asked, PlanError> {
    if o.offload.is_some() && !o.cuts.is_empty() {
        return Err(PlanError::OffloadAndCuts);
    }
    let layers = graph.layers.len();
    // With an offload point every grid is checked against its stage, which says what fits.
    let open = o.offload.is_none() && o.cuts.is_empty();
    for &[rows, cols] in o.grids.iter().filter(|_| open) {
        if rows == 0 || cols == 0 || rows.checked_mul(cols).is_none_or(|n| n > STAGE_TILES_MAX) {
            return Err(PlanError::Grid {
                rows,
                cols,
                max: STAGE_TILES_MAX,
            });
        }
    }
    if o.cuts.windows(2).any(|w| w[0] >= w[1]) || o.cuts.first() == Some(&0) {
        return Err(PlanError::CutsOrder {
            cuts: o.cuts.clone(),
        });
    }
    if let Some(&offload) = o.offload.iter().chain(o.cuts.last()).find(|n| **n > layers) {
        return Err(PlanError::OffloadTooLarge { offload, layers });
    }
    let cuts = match (o.offload, o.cuts.as_slice()) {
        (Some(0), _) => {
            return Ok(Asked::Exactly(Shape {
                cuts: Vec::new(),
                grids: Vec::new(),
            }));
        }
        (Some(n), _) => Some(vec![n]),
        (None, []) => None,
        (None, cuts) => Some(cuts.to_vec()),
    };
    Ok(match (cuts, o.grids.as_slice()) {
        (Some(cuts), []) => Asked::Search {
            grids: None,
            cuts: Some(cuts),
        },
        (Some(cuts), [one]) => Asked::Exactly(Shape {
            grids: vec![*one; cuts.len()],
            cuts,
        }),
        (Some(cuts), many) if many.len() == cuts.len() => Asked::Exactly(Shape {
            grids: many.to_vec(),
            cuts,
        }),
        (Some(cuts), many) => {
            return Err(PlanError::GridCount {
                grids: many.len(),
                stages: cuts.len(),
            });
        }
        (None, []) => Asked::Search {
            grids: None,
            cuts: None,
        },
        (None, [one]) => Asked::Search {
            grids: Some(vec![*one]),
            cuts: None,
        },
        (None, many) => {
            return Err(PlanError::GridCount {
                grids: many.len(),
                stages: 1,
            });
        }
    })
}
