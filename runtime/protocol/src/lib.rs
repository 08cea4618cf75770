//! The two roles as state machines without I/O: `handle` one input, then drain `poll`.
//!
//! There is no clock, socket, thread or random source in here: time is an argument, datagrams are
//! byte slices, and objects lie in a [`store::Store`] that the caller owns. The same code
//! runs under sockets and under the simulator (`sim`).
//!
//! ```text
//!            frame ──> source edge (owner: task table)          gateway (ring, merge, tail)
//!                        │  Heartbeat(has work) ──────────────────────> ring of victims
//!        thief ── StealGateway ───────────────────────────────────────> │
//!        thief <───────────────────────────────────────── Hint ─── │
//!        thief ── StealClient ──> owner
//!        thief <── Lease ───── owner   (with who holds the inputs)
//!        thief ── Pull ──────> holders ── Data ──> thief, into slots
//!        thief ── Done ──────> owner ── Results ─────────────────> │
//!                                        holders <──── Pull ─────── │  Data, into whole tensors
//!        everybody <───────────────────────────────────── State ── │  after the tail
//! ```
//!
//! Every control message is idempotent and repeated until its answer arrives or its reason is
//! gone; nothing depends on a datagram arriving, arriving once, or arriving in order.
#![forbid(unsafe_code)]

mod api;
mod chunk_server;
mod config;
pub mod edge;
pub mod gateway;
mod ids;
mod info;
mod peer;
mod pull;
mod retry;
mod stats;
pub mod store;
#[cfg(test)]
mod testkit;
pub mod wire;

pub use api::{
    Drained, DropReason, EdgeInput, EdgeOutput, FrameMeta, FrameOutcome, GatewayInput,
    GatewayOutput, Job, Refusal,
};
pub use config::{EdgeConfig, GatewayConfig, TransferConfig};
pub use edge::{Edge, Placement};
pub use gateway::Gateway;
pub use ids::{FrameId, GATEWAY, Incarnation, JobId, NodeId, NodeIncarnation, ObjectId};
pub use info::ProgramInfo;
pub use stats::{
    Count, Drops, EdgeStats, GatewayStats, PerKind, PerReject, Traffic, TransferStats,
};

/// Microseconds since any fixed moment; never goes backwards. Nodes need not agree on it.
pub type Micros = u64;
