//! The systems that are compared. One more system is one more entry of [`SYSTEMS`].

use tessera_plan::plan::{Border, Placement, Split};
use tessera_planner::{
    boards::Board,
    kernel::Family,
    options::{PlanOptions, Rows},
    wire::Wire,
};

use crate::{
    pi3::OFFLOAD,
    published::{
        BODP_MIB, BODP_S, BODP_SOURCES_S, OfGrids, REUSE_MIB, REUSE_S, REUSE_SOURCES_S, WSH_MIB,
        WSH_S, WSH_SOURCES_S, WST_MIB, WST_S, WST_SOURCES_S,
    },
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
    /// What the paper says of it; the same for all grids if the system has none.
    pub published: Option<Published>,
}

/// What the paper says of a system.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Traffic of a frame, in MiB, on one to six devices (Figure 12).
    pub mib: &'static OfGrids,
    /// Latency of a frame, in seconds, on one to six devices (Figure 13).
    pub s: &'static OfGrids,
    /// The longest latency of one to six sources on six devices, in seconds (Figure 14).
    pub sources_s: &'static OfGrids,
}

/// All systems.
pub const SYSTEMS: &[System] = &[
    System {
        key: "bodp",
        name: "MoDNN",
        what: "MoDNN's partition, `--system bodp`: a stage for every layer, a strip for every board, all of it through the gateway; \
               with the seconds of the paper's program",
        gridded: false,
        options: strips,
        times: Times::Paper,
        published: Some(Published {
            mib: &BODP_MIB,
            s: &BODP_S,
            sources_s: &BODP_SOURCES_S,
        }),
    },
    System {
        key: "wsh",
        name: "WSH",
        what: "work sharing, `--system wsh`: the gateway takes the frame and hands every board an equal number of tiles; with the \
               seconds of the paper's program",
        gridded: true,
        options: sharing,
        times: Times::Paper,
        published: Some(Published {
            mib: &WSH_MIB,
            s: &WSH_S,
            sources_s: &WSH_SOURCES_S,
        }),
    },
    System {
        key: "wst",
        name: "WST",
        what: "work stealing, as the paper has it, `--system wst`: equal tiles of floats in one queue, from whose head boards take one at a time; with \
               the seconds of the paper's program",
        gridded: true,
        options: stealing,
        times: Times::Paper,
        published: Some(Published {
            mib: &WST_MIB,
            s: &WST_S,
            sources_s: &WST_SOURCES_S,
        }),
    },
    System {
        key: "wst-s",
        name: "WST-S",
        what: "work stealing with reused borders, `--system wst-s`: tiles of two colours, of which the second take strips of every layer from their \
               neighbours; with the seconds of the paper's program",
        gridded: true,
        options: reusing,
        times: Times::Paper,
        published: Some(Published {
            mib: &REUSE_MIB,
            s: &REUSE_S,
            sources_s: &REUSE_SOURCES_S,
        }),
    },
    System {
        key: "best",
        name: "ours at its best",
        what: "the planner's own choice of stages, grids and homes, frames of bytes, values in half precision; direct kernels, which \
               are as fast as the paper's engine here",
        gridded: false,
        options: searched,
        times: Times::Planner,
        published: None,
    },
];

/// One stage of equal tiles in a queue, from which boards steal.
pub fn stealing(grid: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        grids: grid.into_iter().collect(),
        offload: Some(OFFLOAD),
        split: Split::Equal,
        rows: Rows::Whole,
        wire: Wire::floats(),
        placement: Placement::Queue,
        kernels: Family::Direct,
        ..PlanOptions::of(edges, board)
    }
}

/// The same tiles, which hand strips of their layers to their neighbours.
pub fn reusing(grid: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        borders: vec![Border::Reuse],
        ..stealing(grid, edges, board)
    }
}

/// The same tiles, an equal number for every board.
fn sharing(grid: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        placement: Placement::Share,
        ..stealing(grid, edges, board)
    }
}

/// A stage for every layer, cut into a strip for every board.
fn strips(_: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
    PlanOptions {
        cuts: (1..=OFFLOAD).collect(),
        offload: None,
        ..sharing(Some([edges, 1]), edges, board)
    }
}

/// The planner's own choice for the first 16 layers.
pub fn searched(_: Option<[usize; 2]>, edges: usize, board: &Board) -> PlanOptions {
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

    /// Its name in tables, with a grid.
    pub fn label(&self, grid: Option<[usize; 2]>) -> String {
        match grid {
            Some([r, c]) => format!("{} {r}x{c}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// What our values of it are called beside the paper's.
    pub const fn of_ours(&self) -> &'static str {
        match self.published {
            Some(_) => ", ours",
            None => "",
        }
    }
}
