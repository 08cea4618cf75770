//! A chain class: the steps of one tile shape with buffers in one arena.

mod buffers;
mod build;
mod draft;
mod flow;
mod fused;
mod parts;
mod place;
mod pools;
mod slices;
mod spec;

pub use build::{build, build_order};
pub use fused::Fused;
pub use spec::{ChainSpec, How, StripBox, input_region, region, signature};
