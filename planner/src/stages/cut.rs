//! Cuts one stage as a plan has it.

use super::{
    channels::cut_channels,
    parts::{AxisParts, grid_parts, grid_parts_at, grid_parts_by},
    shares::Shares,
};
use crate::{error::PlanError, ftp::StageGraph, options::PlanOptions};
use tessera_plan::{graph::Graph, plan::Border};

/// How a stage is cut: an entry of [`StageCuts`](super::StageCuts).
#[derive(Clone, Copy, Debug)]
pub struct StageCut<'a> {
    /// Rows and columns of tiles.
    pub grid: [usize; 2],
    /// Shares of rows and columns, or of ranges of channels.
    pub shares: Option<&'a Shares>,
    /// How tiles get their halo.
    pub border: Border,
    /// Whether tiles are ranges of channels.
    pub channels: bool,
}

/// Cuts a stage; returns the rows and columns of its tiles.
///
/// # Errors
/// When the grid does not fit the stage, or the stage has no channels to cut.
pub fn cut_stage(
    graph: &Graph,
    stage: &mut StageGraph,
    how: StageCut<'_>,
    o: &PlanOptions,
) -> Result<[AxisParts; 2], PlanError> {
    if how.channels {
        return cut_channels(graph, stage, (how.grid[1], how.shares), o);
    }
    let network = stage.network(graph);
    match (how.shares, how.border) {
        (Some(lengths), Border::Exchange) => grid_parts_at(network, stage, lengths),
        (Some(shares), _) => grid_parts_by(network, stage, shares),
        (None, _) => grid_parts(network, stage, how.grid, o.split),
    }
}
