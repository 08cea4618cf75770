//! What the flags fix and what they leave open.

use tessera_plan::limits::STAGE_TILES_MAX;

use crate::{error::PlanError, options::PlanOptions, stages::StageCuts};
use tessera_plan::{
    graph::Graph,
    plan::{Border, ElementType, Placement},
};

/// What the flags leave open.
pub(super) enum Asked {
    Exactly(StageCuts),
    Search {
        grids: Option<Vec<[usize; 2]>>,
        ends: Option<Vec<usize>>,
    },
}

pub(super) fn asked(graph: &Graph, o: &PlanOptions) -> Result<Asked, PlanError> {
    let mut asked = grids_and_ends(graph, o)?;
    match &mut asked {
        Asked::Exactly(cuts) => {
            let named = o.channels.iter().copied().chain(std::iter::repeat(false));
            let of_all = o.grids.len() == 1 && o.channels == [true];
            cuts.channels = named.take(cuts.ends.len()).map(|c| c || of_all).collect();
        }
        Asked::Search { .. } if o.channels.contains(&true) => {
            return Err(PlanError::ChannelsWithoutCuts);
        }
        Asked::Search { .. } => {}
    }
    Ok(asked)
}

/// Grids of rows and columns, and ends of stages.
fn grids_and_ends(graph: &Graph, o: &PlanOptions) -> Result<Asked, PlanError> {
    if o.offload.is_some() && !o.cuts.is_empty() {
        return Err(PlanError::OffloadAndCuts);
    }
    let formats = o.wire.objects.len();
    if formats != 1 && formats != o.cuts.len().max(1) {
        return Err(PlanError::WireCount {
            formats,
            cuts: o.cuts.len(),
        });
    }
    let bytes = o.wire.objects.contains(&ElementType::U8) && !o.exact;
    if bytes && o.ranges.is_none() {
        return Err(PlanError::NoRanges);
    }
    let policies = o.borders.len();
    if policies > 1 && policies != o.cuts.len() {
        return Err(PlanError::BorderCount {
            policies,
            cuts: o.cuts.len(),
        });
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
    let ends = match (o.offload, o.cuts.as_slice()) {
        (Some(0), _) => return Ok(Asked::Exactly(StageCuts::default())),
        (Some(n), _) => Some(vec![n]),
        (None, []) => None,
        (None, cuts) => Some(cuts.to_vec()),
    };
    let Some(ends) = ends else {
        return match o.grids.as_slice() {
            grids @ ([] | [_]) => Ok(Asked::Search {
                grids: (!grids.is_empty()).then(|| grids.to_vec()),
                ends: None,
            }),
            many => Err(PlanError::GridCount {
                grids: many.len(),
                stages: 1,
            }),
        };
    };
    match o.grids.as_slice() {
        [] => Ok(Asked::Search {
            grids: None,
            ends: Some(ends),
        }),
        [one] => Ok(Asked::Exactly(StageCuts::alike(ends, *one))),
        many if many.len() == ends.len() => {
            Ok(Asked::Exactly(StageCuts::equal(ends, many.to_vec())))
        }
        many => Err(PlanError::GridCount {
            grids: many.len(),
            stages: ends.len(),
        }),
    }
}

/// Checks that borders can be reused where that is asked for.
pub(super) fn reusable(cuts: &StageCuts, o: &PlanOptions) -> Result<(), PlanError> {
    if !o.borders.contains(&Border::Reuse) || cuts.ends.is_empty() {
        return Ok(());
    }
    if o.placement == Placement::Share {
        return Err(PlanError::ReuseShared);
    }
    for (i, (first, end)) in cuts.spans().enumerate() {
        let asked = o.borders.get(i).or_else(|| o.borders.first());
        let exchanged = o.borders.contains(&Border::Exchange);
        if cuts.channels[i] && (asked == Some(&Border::Reuse) && !exchanged) {
            return Err(PlanError::ReuseChannels {
                first,
                last: end.saturating_sub(1),
            });
        }
    }
    if !cuts.borders.contains(&Border::Reuse) {
        return Err(PlanError::ReuseAlone);
    }
    Ok(())
}
