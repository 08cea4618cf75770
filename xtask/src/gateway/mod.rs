//! A running cluster, as its gateway tells of it over HTTP (`docs/service.md`).

mod status;
mod target;

pub use status::{Board, Status, TurnedAway};
#[cfg(test)]
pub use status::{Frame, Maker, Network};
pub use target::{Target, Trouble};
