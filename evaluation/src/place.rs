//! The places in the paper's figures: a system on so many boards.

use crate::{
    EvaluationError,
    case::{Case, Load},
    pi3,
    systems::{SYSTEMS, System},
};

/// Most devices of the paper.
pub const DEVICES_MAX: usize = 6;

/// A place in the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index in [`SYSTEMS`].
    pub system: usize,
    /// The grid, if the system has one.
    pub grid: Option<[usize; 2]>,
    /// Boards that compute.
    pub devices: usize,
    /// Boards among them that bring a frame each.
    pub sources: usize,
}

impl Place {
    /// One source's frame on one to six devices: of every system, on each of its grids.
    pub fn of_one_source() -> Vec<Self> {
        let on = |(system, grid)| (1..=DEVICES_MAX).map(move |n| Self::at(system, grid, n, 1));
        rows().flat_map(on).collect()
    }

    /// Frames of one to six sources on six devices: of every system, on each of its grids.
    pub fn of_sources() -> Vec<Self> {
        let of =
            |(system, grid)| (1..=DEVICES_MAX).map(move |n| Self::at(system, grid, DEVICES_MAX, n));
        rows().flat_map(of).collect()
    }

    /// A place.
    pub const fn at(
        system: usize,
        grid: Option<[usize; 2]>,
        devices: usize,
        sources: usize,
    ) -> Self {
        Self {
            system,
            grid,
            devices,
            sources,
        }
    }

    /// Its name in files: `wst-3x3-4`, with several sources `wst-3x3-6-2`.
    pub fn name(&self) -> String {
        let key = SYSTEMS[self.system].key;
        let of = match self.sources {
            1 => self.devices.to_string(),
            n => format!("{}-{n}", self.devices),
        };
        match self.grid {
            Some([r, c]) => format!("{key}-{r}x{c}-{of}"),
            None => format!("{key}-{of}"),
        }
    }

    /// The system.
    pub fn entry(&self) -> &'static System {
        &SYSTEMS[self.system]
    }

    /// What is simulated for it.
    ///
    /// # Errors
    /// When the cost table cannot be read.
    pub fn case(&self) -> Result<Case, EvaluationError> {
        let system = self.entry();
        Ok(Case {
            name: self.name(),
            options: (system.options)(self.grid, self.devices, &pi3::edge()?),
            boards: None,
            times: system.times,
            load: Load::one_frame(self.sources),
        })
    }
}

/// Every system on each of its grids.
pub fn rows() -> impl Iterator<Item = (usize, Option<[usize; 2]>)> {
    let of = |(k, s): (usize, &System)| s.grids().into_iter().map(move |grid| (k, grid));
    SYSTEMS.iter().enumerate().flat_map(of)
}
