//! Tessera's code generator: turns a plan and its model into the sources of a node crate.
//!
//! It knows how a plan becomes source; it decides nothing. No I/O: files come back as bytes.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// Files of an emitted crate: path inside the crate -> content. Sorted, so that writing them is
/// deterministic.
pub type Files = BTreeMap<String, Vec<u8>>;
