//! A plan on its boards in virtual time: real state machines, with the planner's seconds of tasks and its links.
//!
//! ```text
//!   plan, boards ──> cluster ──> tessera_sim::course ──> outcome ──> table     for people
//!                    task times   what happened          numbers ──> document  for programs (JSON)
//!                    and links                                   ──> timeline  a drawing (SVG)
//! ```
//!
//! The same plan, boards, settings and seed give the same bytes.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod document;
pub mod outcome;
pub mod settings;
pub mod svg;
pub mod table;
pub mod timeline;

pub use self::{
    cluster::{ClusterError, SimulatedCluster},
    outcome::Outcome,
    settings::{Kill, Settings},
};
pub use tessera_sim::course::{FrameCourse, Sources};
