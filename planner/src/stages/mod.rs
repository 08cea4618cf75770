//! Layers to stages, stages to tiles, tiles to chains.

mod chains;
mod cuts;
mod parts;
mod split;
mod tiles;

pub use self::{
    chains::{Parted, tail_spec, team, tile_chain, tile_spec, whole_maps},
    cuts::StageCuts,
    parts::{AxisParts, check_grid, grid_parts, parts},
    split::{stages, wanted},
    tiles::{boundary_tensors, stage_data},
};
