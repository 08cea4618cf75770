//! A plan as one page for people: the network, its tiles, what every board does, and what binds.
//!
//! The page is one HTML file. It brings its style and its drawings with it, loads nothing, and runs no program, so it can be mailed, kept, and
//! looked at without a network. The same plan, boards and settings give the same bytes.
//!
//! ```text
//!   plan ────> network   layers as boxes, their work and their maps
//!        ────> tiles     where each stage is cut, and whose tile is where
//!   outcome ─> timeline  (tessera_simulate)         ──> page
//!           ─> boards    memory, bytes, busy time
//!   files ──> beside     what simulate, bench and paper made
//! ```
#![forbid(unsafe_code)]

mod beside;
mod boards;
mod network;
mod page;
mod tiles;

pub use beside::{Bench, Beside, Drawing};
pub use page::render;
