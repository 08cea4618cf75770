//! What a gateway speaks over HTTP, by the demo's network in clusters of real processes, to clients of our own and to real
//! ones.
//!
//! Nothing here depends on speed: where pictures must wait, the workers that would compute them are stopped.

mod alerts;
mod boards;
mod client;
mod common;
mod deadlines;
mod detection;
mod forms;
mod frigate;
mod live;
mod metrics;
mod programs;
mod tokens;
