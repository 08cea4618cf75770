//! Layers to stages, stages to tiles, tiles to chains.

mod chains;
mod channels;
mod cut;
mod cuts;
mod exchange;
mod parts;
mod ranges;
mod reuse;
mod shares;
mod split;
mod tiles;

pub use self::{
    chains::{
        Parted, reuse_order, streams, tail_chain, tail_spec, team, tile_chain, tile_order,
        tile_spec, whole_maps,
    },
    channels::Blocks,
    cut::{StageCut, cut_stage},
    cuts::{StageCuts, grid_name},
    exchange::{exchanged, exchanged_parts},
    parts::{
        AxisParts, check_grid, grid_parts, grid_parts_at, grid_parts_by, of_cut, parts, parts_at,
        parts_by,
    },
    ranges::{Narrowed, longest, mark_sums, narrowed, read_sums, share_sums},
    reuse::ReuseStage,
    shares::{Shares, shares},
    split::{stages, wanted},
    tiles::{boundary_tensors, reuse_data, stage_data, strip_tensors},
};
