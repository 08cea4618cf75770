//! What a plan is, and every fact that two of Tessera's crates must agree on.
//!
//! The planner writes plans, codegen prints them, nodes execute what was printed. None of the three needs
//! another one: they meet here. Plain data and pure functions of it; nothing here decides, measures, or
//! touches files, clocks or networks.
//!
//! | module | holds |
//! |---|---|
//! | [`region`] | boxes of feature maps |
//! | [`graph`] | the network as a DAG of operations |
//! | [`plan`] | the schema of `plan.toml` |
//! | [`check`] | the rules that every plan obeys |
//! | [`dataflow`] | which task needs what of which other task, and the slots that objects take |
//! | [`kernel`] | the menu of generated kernels: packing, working memory, names |
//! | [`files`] | files that one crate writes and another reads: weights header, records, statistics |
//! | [`limits`] | bounds |
#![forbid(unsafe_code)]

pub mod check;
pub mod dataflow;
pub mod files;
pub mod graph;
mod index;
pub mod kernel;
pub mod limits;
pub mod plan;
pub mod region;
