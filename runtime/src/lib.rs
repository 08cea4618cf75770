//! Tessera's runtime: executes emitted crates on clusters of small boards.
//!
//! It knows tasks, regions, objects and nodes; it never sees a layer or a grid, and depends on
//! neither planner nor codegen. State machines ([`proto`]) have no clock, socket, thread or random
//! source inside; the shells around them do.

#[cfg(not(target_endian = "little"))]
compile_error!("weights, segments and datagrams are little-endian");

pub mod arena;
pub mod detect;
pub mod io;
pub mod memory;
pub mod node;
pub mod order;
pub mod picture;
pub mod profile;
pub mod program;
pub mod proto;
pub mod region;
pub mod shm;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod store;
pub mod strip;
pub mod sync;
pub mod team;
pub mod udp;
pub mod weights;
