//! Where stages end, and their grids: a plan before its geometry.

/// The ends and grids of a plan's stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageCuts {
    /// First layer behind every stage, ascending; the last one is the offload point.
    pub ends: Vec<usize>,
    /// Rows and columns of each stage's tiles.
    pub grids: Vec<[usize; 2]>,
}

impl StageCuts {
    /// Stages that all have the same grid.
    pub fn alike(ends: Vec<usize>, grid: [usize; 2]) -> Self {
        let grids = vec![grid; ends.len()];
        Self { ends, grids }
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

    /// Number of tiles of all stages.
    pub fn tiles(&self) -> usize {
        self.grids.iter().map(|g| g[0] * g[1]).sum()
    }
}
