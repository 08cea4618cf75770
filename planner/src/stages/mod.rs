//! Layers to stages, stages to tiles, tiles to chains.

mod chains;
mod cuts;
mod parts;
mod shares;
mod split;
mod tiles;

pub use self::{
    chains::{Parted, tail_spec, team, tile_chain, tile_spec, whole_maps},
    cuts::StageCuts,
    parts::{AxisParts, check_grid, grid_parts, grid_parts_by, parts, parts_by},
    shares::{Shares, shares},
    split::{stages, wanted},
    tiles::{boundary_tensors, stage_data},
};
