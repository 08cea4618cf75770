//! Clusters of real processes on loopback: what they compute equals what one process computes, bit
//! for bit, whatever dies or gets lost meanwhile.
//!
//! Nothing here depends on speed. Where a test needs a task to be under way it stops the worker
//! (SIGSTOP) that has it; where it needs a frame to come late it feeds the source through a FIFO.

mod common;
mod deaths;
mod endings;
mod equal;
mod forms;
mod full_disk;
mod host_names;
mod incarnations;
mod insiders;
mod observers;
mod outputs;
mod own_edge;
mod pace;
mod price;
mod records;
mod refusals;
mod reuse;
mod rough;
mod sealed;
mod service_manager;
mod share;
mod strangers;
mod streams;
mod stuck;
mod through;
mod trace;
mod weights;
mod wrong;
