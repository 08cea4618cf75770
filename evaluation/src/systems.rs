//! The systems that are compared. One more system is one more entry of [`SYSTEMS`].

use tessera_plan::plan::{Placement, Split};
use tessera_planner::{
    boards::Board,
    kernel::Family,
    options::{PlanOptions, Rows},
    wire::Wire,
};

use crate::{
    pi3::OFFLOAD,
    published::{Devices, WST_MIB, WST_S},
};

/// Grids of the paper.
pub const GRIDS: [[usize; 2]; 3] = [[3, 3], [4, 4], [5, 5]];

/// Whose seconds tasks take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The paper's program, by its layers' seconds: [`crate::pi3::paper_times`].
    Paper,
    /// The planner's, by direct kernels that are as fast as the paper's engine.
    Planner,
}

/// A system.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Name in files.
    pub key: &'static str,
    /// Name in tables.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Whether it is one of the paper's grids each; else its plans are searched.
    pub gridded: bool,
    /// How it plans for so many edges like `board`.
    pub options: fn(Option<[usize; 2]>, usize, &Board) -> PlanOptions,
    /// Whose seconds its tasks take.
    pub times: Times,
    /// The paper's traffic in MiB, per grid.
    pub published_mib: Option<&'static [Devices; 3]>,
    /// The paper's latency in seconds, per grid.
    pub published_s: Option<&'static [Devices; 3]>,
}

/// All systems.
pub const SYSTEMS: &[System] = &[
    System {
        key: "wst",
        name: "WST",
        what: "work stealing, as the paper has it: `--split equal --no-rolling --wire f32 --frame-format f32 --placement steal`, with \
               the seconds of the paper's program",
        gridded: true,
        options: stealing,
        times: Times::Paper,
        published_mib: Some(&WST_MIB),
        published_s: Some(&WST_S),
    },
    System {
        key: "best",
        name: "ours at its best",
        what: "the planner's own choice of stages, grids and homes, frames of bytes, values in half precision; direct kernels, which \
               are as fast as the paper's engine here",
        gridded: false,
        options: searched,
        times: Times::Planner,
        published_mib: None,
        published_s: None,
    },
];

/// One stage of equal tiles that boards steal.
fn stealing(grid: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        grids: grid.into_iter().collect(),
        offload: Some(OFFLOAD),
        split: Split::Equal,
        rows: Rows::Whole,
        wire: Wire::floats(),
        placement: Placement::Steal,
        kernels: Family::Direct,
        ..PlanOptions::of(edges, board)
    }
}

fn searched(_: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        offload: Some(OFFLOAD),
        kernels: Family::Direct,
        ..PlanOptions::of(edges, board)
    }
}

impl System {
    /// The grids that the system is tried with: `None` for a searched one.
    pub fn grids(&self) -> Vec<Option<[usize; 2]>> {
        if self.gridded {
            GRIDS.iter().copied().map(Some).collect()
        } else {
            vec![None]
        }
    }
}
