//! What a plan is, and every fact that two of Tessera's crates must agree on.
//!
//! The planner writes plans, codegen prints them, nodes execute what was printed. None of the three needs
//! another one: they meet here. Plain data and pure functions of it; nothing here decides, measures, or
//! touches files, clocks or networks.
//!
//! | module | holds |
//! |---|---|
//! | [`region`] | boxes of feature maps |
//! | [`element`] | how objects store their values |
//! | [`placement`] | the policies by which nodes share tasks |
//! | [`decoding`] | the ways in which boxes are read off detection maps |
//! | [`dataflow`] | which task needs what of which other task, and the slots that objects take |
//! | [`files`] | files that one crate writes and another reads: weights header, records, statistics |
//! | [`limits`] | bounds |
//!
//! and, with the feature `schema`, which nodes leave out because they never read a plan:
//!
//! | module | holds |
//! |---|---|
//! | `graph` | the network as a DAG of operations |
//! | `plan` | the schema of `plan.toml` |
//! | `check` | the rules that every plan obeys |
//! | `kernel` | the menu of generated kernels: packing, working memory, names |
#![forbid(unsafe_code)]

#[cfg(feature = "schema")]
pub mod check;
pub mod dataflow;
pub mod decoding;
pub mod element;
mod exact;
pub mod files;
#[cfg(feature = "schema")]
pub mod graph;
#[cfg(feature = "schema")]
mod index;
#[cfg(feature = "schema")]
pub mod kernel;
pub mod limits;
pub mod placement;
#[cfg(feature = "schema")]
pub mod plan;
pub mod region;
