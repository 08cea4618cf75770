//! Errors of planning. Messages name a setting that works, where the planner knows one.

use tessera_plan::{
    dataflow::DataflowError,
    limits::{PIECES_MAX, STAGE_TILES_MAX, TASKS_MAX, TENSOR_VALUES_MAX},
    plan::Dataflow,
};

use crate::{
    ftp::{Bad, cuts::TooFine},
    text::bytes,
};

/// Why a plan cannot be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `--offload` and `--cuts` are given together.
    #[error("--offload and --cuts contradict each other: the last cut is the offload point")]
    OffloadAndCuts,
    /// The cuts do not rise.
    #[error(
        "--cuts {cuts:?}: cuts must rise; each is the end of a stage, counted in layers from 0"
    )]
    CutsOrder {
        /// The cuts.
        cuts: Vec<usize>,
    },
    /// The offload point lies behind the last layer.
    #[error("offload point {offload} lies behind the network's {layers} layers")]
    OffloadTooLarge {
        /// The offload point.
        offload: usize,
        /// Layers of the network.
        layers: usize,
    },
    /// The number of grids is neither 1 nor the number of stages.
    #[error("{grids} grids for {stages} stages: give one grid for all, or one per stage")]
    GridCount {
        /// Number of grids.
        grids: usize,
        /// Number of stages.
        stages: usize,
    },
    /// Ranges of channels are asked for without a stage that has them.
    #[error(
        "--grid names ranges of channels, as in 6c: give the ends of the stages too, with --cuts"
    )]
    ChannelsWithoutCuts,
    /// A stage is no convolution that can be cut by channels.
    #[error(
        "layers {} to {} cannot be cut by channels: such a stage is one convolution without groups, pools behind it, and perhaps a second convolution, whose output alone leaves the stage",
        layers[0], layers[1]
    )]
    NoChannels {
        /// First and last layer of the stage.
        layers: [usize; 2],
    },
    /// A stage has fewer packed blocks of channels than ranges were asked for.
    #[error(
        "layers {} to {} have {channels} output channels in blocks of {block}: {parts}c is too many, the most is {}c",
        layers[0], layers[1], channels.div_ceil(*block)
    )]
    FewChannels {
        /// First and last layer of the stage.
        layers: [usize; 2],
        /// Number of ranges.
        parts: usize,
        /// Output channels.
        channels: usize,
        /// Channels of a packed block.
        block: usize,
    },
    /// The number of formats of objects is neither 1 nor the number of stages.
    #[error(
        "--wire names {formats} formats: name one for all stages, or one per stage of --cuts, which has {cuts}"
    )]
    WireCount {
        /// Number of formats.
        formats: usize,
        /// Number of cuts.
        cuts: usize,
    },
    /// Objects of bytes are asked for without ranges of their values.
    #[error(
        "--wire u8 needs the ranges of every channel: give --calibrate-on DIR, a folder of pictures like those to come, or --wire f16"
    )]
    NoRanges,
    /// The ranges that were measured lack a tensor that is to be of bytes.
    #[error(
        "--wire u8: calibration has not seen all channels of layer {layer}'s output; give that stage f16"
    )]
    NoRange {
        /// The layer.
        layer: i32,
    },
    /// The number of border policies is neither 1 nor the number of stages.
    #[error(
        "--border names {policies} policies: name one for all stages, or one per stage of --cuts, which has {cuts}"
    )]
    BorderCount {
        /// Number of policies.
        policies: usize,
        /// Number of cuts.
        cuts: usize,
    },
    /// Borders cannot be reused with work sharing.
    #[error(
        "--border reuse does not go with --placement share: there a board gets everything through the gateway, and a strip that travels twice costs more than it saves; take --placement home or steal"
    )]
    ReuseShared,
    /// Borders of ranges of channels cannot be reused.
    #[error(
        "--border reuse: layers {first} to {last} are cut by channels, and such tiles have no borders; take a grid of rows and columns, or another policy for this stage"
    )]
    ReuseChannels {
        /// First layer.
        first: usize,
        /// Last layer.
        last: usize,
    },
    /// No stage has several tiles.
    #[error("--border reuse: no stage has more than one tile, so there are no borders to reuse")]
    ReuseAlone,
    /// Nothing is left to compute for a tile of the second colour.
    #[error(
        "--border reuse: at layer {layer} a tile is narrower than what its neighbours compute of it, so that nothing would be left for it; take a coarser grid or shorter stages"
    )]
    ReuseNarrow {
        /// The layer.
        layer: usize,
    },
    /// Strips cannot be traced through a layer.
    #[error(
        "--border reuse: layer {layer} needs rows of its map's other end (Darknet's reorg), so that strips cannot be traced; end a stage before it"
    )]
    ReuseCyclic {
        /// The layer.
        layer: usize,
    },
    /// A grid has no rows or columns, or more tiles than task ids can number.
    #[error("grid {rows}x{cols}: rows and columns must be at least 1 and tiles at most {max}")]
    Grid {
        /// Rows of tiles.
        rows: usize,
        /// Columns of tiles.
        cols: usize,
        /// Largest number of tiles.
        max: usize,
    },
    /// Layers cannot form a stage.
    #[error(transparent)]
    Stage(#[from] Bad),
    /// A grid is empty, or too fine for its stage.
    #[error(
        "grid {}x{} does not fit layers {first} to {last}: {}; the largest grid up to it that works is {}x{}",
        grid[0], grid[1], list(reasons), largest[0], largest[1]
    )]
    TooFine {
        /// First layer.
        first: usize,
        /// Last layer.
        last: usize,
        /// The grid.
        grid: [usize; 2],
        /// For each axis that does not fit, the reason.
        reasons: Vec<TooFine>,
        /// Largest grid with no more rows and columns that works.
        largest: [usize; 2],
    },
    /// A stage has more tiles than task ids allow.
    #[error(
        "grid {}x{} has more than {STAGE_TILES_MAX} tiles; {}x{} is the largest up to it that works",
        grid[0], grid[1], largest[0], largest[1]
    )]
    Tiles {
        /// The grid.
        grid: [usize; 2],
        /// Largest grid with no more rows and columns that works.
        largest: [usize; 2],
    },
    /// All stages together have more tasks than ids can number.
    #[error("{tasks} tiles in all stages are too many: a frame has at most {TASKS_MAX} tasks")]
    Tasks {
        /// Number of tiles of all stages.
        tasks: usize,
    },
    /// A tile reads the outputs of too many other tiles.
    #[error(
        "a tile of stage {stage} would read from {pieces} tiles before it, at most {PIECES_MAX} are possible; give the stage a finer grid, or those before a coarser one"
    )]
    Pieces {
        /// The stage, from 0.
        stage: usize,
        /// Number of tiles whose outputs the tile reads.
        pieces: usize,
    },
    /// A tensor that crosses a boundary is too large.
    #[error(
        "{what} has {values} values; what travels has at most {TENSOR_VALUES_MAX}: choose other cuts, or a smaller network input"
    )]
    Tensor {
        /// The tensor, in words: the input, or the output of a layer.
        what: String,
        /// Number of the tensor's values.
        values: usize,
    },
    /// No plan that the search found fits the memory limit.
    #[error(
        "no plan was found that needs at most {} on an edge that is a source; the smallest one needs {}",
        bytes(*limit), bytes(*smallest)
    )]
    Memory {
        /// The limit.
        limit: u64,
        /// Bytes that the smallest plan of the search needs.
        smallest: u64,
    },
    /// The plan that flags ask for needs more than the memory limit.
    #[error(
        "the plan asked for needs {} on an edge that is a source, above --memory {}; finer grids, more cuts or a smaller offload point need less, or leave --grid out to have them searched",
        bytes(*needed), bytes(*limit)
    )]
    OverLimit {
        /// The limit.
        limit: u64,
        /// Bytes that the plan needs.
        needed: u64,
    },
    /// The search found no possible plan.
    #[error("none of the searched plans is possible: {reason}")]
    NothingFound {
        /// Why the first plan is impossible.
        reason: String,
    },
    /// Flags ask for a grid, but the first layer that computes needs whole maps.
    #[error(
        "no layer can run on edges: the first one needs whole maps; leave --grid out, or give --offload 0 to plan everything on the gateway"
    )]
    NoEdgeLayers,
    /// The dataflow breaks a rule of task graphs: a bug of the planner.
    #[error("the planner made a plan that cannot travel: {0}")]
    Dataflow(#[from] DataflowError),
    /// The plan breaks a rule of plans: a bug of the planner.
    #[error("the planner made a plan that breaks a rule: {0}")]
    Broken(#[from] tessera_plan::check::CheckError),
}

impl PlanError {
    /// Translates an error of a dataflow into stages and layers.
    pub fn of_dataflow(error: DataflowError, d: &Dataflow) -> Self {
        match error {
            DataflowError::TooManyTasks { tasks } => Self::Tasks { tasks },
            DataflowError::TooManyPieces { task, pieces } => {
                // Task ids count through all stages.
                let mut end = 0;
                let stage = d.stages.iter().position(|s| {
                    end += s.tiles.len();
                    task < end
                });
                let stage = stage.unwrap_or(0);
                Self::Pieces { stage, pieces }
            }
            DataflowError::TooManyValues { tensor, values } => {
                let what = match d.tensors.get(tensor).map_or(-1, |t| t.layer) {
                    -1 => "the network's input".to_string(),
                    layer => format!("the output of layer {layer}"),
                };
                Self::Tensor { what, values }
            }
            other => Self::Dataflow(other),
        }
    }
}

fn list(reasons: &[TooFine]) -> String {
    let texts: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
