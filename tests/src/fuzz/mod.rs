//! Bodies of the fuzz targets under `fuzz/`: what must hold for any bytes whatever. They stand
//! here so that `tests/corpus.rs` replays the kept corpora without cargo-fuzz.

mod datagram;
mod front;
mod plans;

pub use datagram::{datagram, seeds as datagram_seeds};
pub use front::{WEIGHTY, cfg, weights};
pub use plans::{plan, small_model, small_plan};
