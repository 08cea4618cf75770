//! Where stages end, and their grids: a plan before its geometry.

use super::shares::{Shares, shares};
use tessera_plan::plan::Border;

/// The ends and grids of a plan's stages.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageCuts {
    /// First layer behind every stage, ascending; the last one is the offload point.
    pub ends: Vec<usize>,
    /// Rows and columns of each stage's tiles.
    pub grids: Vec<[usize; 2]>,
    /// Shares of each stage's rows and columns (or ranges of channels), if they differ. With [`Border::Exchange`], the rows and columns of the
    /// coarsest output themselves.
    pub shares: Vec<Option<Shares>>,
    /// Whether each stage's tiles are ranges of channels: as many as its grid has columns.
    pub channels: Vec<bool>,
    /// How each stage's tiles get their halo.
    pub borders: Vec<Border>,
}

impl StageCuts {
    /// Stages that all have the same grid.
    pub fn alike(ends: Vec<usize>, grid: [usize; 2]) -> Self {
        let grids = vec![grid; ends.len()];
        Self::equal(ends, grids)
    }

    /// Stages of these grids whose tiles are to cost the same.
    pub fn equal(ends: Vec<usize>, grids: Vec<[usize; 2]>) -> Self {
        let shares = vec![None; ends.len()];
        let channels = vec![false; ends.len()];
        let borders = vec![Border::Recompute; ends.len()];
        Self {
            ends,
            grids,
            shares,
            channels,
            borders,
        }
    }

    /// Gives tiles and ranges of channels shares by `rates`, one for each, where a stage has no more of them than there are
    /// rates and the rates differ.
    pub fn by_speed(&mut self, rates: &[f64]) {
        let by_speed = self.grids.iter().map(|grid| shares(rates, *grid));
        self.shares = by_speed.collect();
    }

    /// The grid of every stage, as flags name it: `3x2`, `6c`.
    pub fn grid_names(&self) -> Vec<String> {
        let stages = self.grids.iter().zip(&self.channels);
        stages
            .map(|(grid, channels)| grid_name(*grid, *channels))
            .collect()
    }

    /// The offload point: number of leading layers that run on edges.
    pub fn offload(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// First layer and end of every stage.
    pub fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let firsts = std::iter::once(0).chain(self.ends.iter().copied());
        firsts.zip(self.ends.iter().copied())
    }

    /// Adds a stage behind the others.
    pub fn push(
        &mut self,
        end: usize,
        grid: [usize; 2],
        shares: Option<Shares>,
        channels: bool,
        border: Border,
    ) {
        self.ends.push(end);
        self.grids.push(grid);
        self.shares.push(shares);
        self.channels.push(channels);
        self.borders.push(border);
    }

    /// Number of tiles of all stages.
    pub fn tiles(&self) -> usize {
        self.grids.iter().map(|g| g[0] * g[1]).sum()
    }
}

/// A grid as flags name it: rows x columns, `3x2`; or a number of ranges of channels, `6c`.
pub fn grid_name([rows, cols]: [usize; 2], by_channels: bool) -> String {
    if by_channels {
        format!("{cols}c")
    } else {
        format!("{rows}x{cols}")
    }
}
