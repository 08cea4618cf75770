//! The protocol between a gateway and its edges, as two state machines without I/O.
//!
//! [`Edge`] and [`Gateway`] have no clock, socket, thread or random source. Time is an argument,
//! datagrams are byte slices, and objects lie in a [`store::Store`] that the caller owns. The same
//! code runs under sockets (`tessera-node`) and in virtual time (`tessera-sim`).
//!
//! # How to run a machine
//!
//! Give the machine one input with `handle(now_us, input, store)`. Then call `poll(now_us, store)` and carry out
//! each output until `poll` returns `WaitUntil`. Give the machine `Tick` at that time, or another input earlier.
//!
//! # How a frame is computed
//!
//! ```text
//!            frame ──> source edge (owner: task table)          gateway (victim ring, merge, tail)
//!                        │  Heartbeat(has work) ───────────────────> victim ring
//!        thief ── StealGateway ──────────────────────────────────> │
//!        thief <──────────────────────────────────────── Victim ── │
//!        thief ── StealClient ──> owner
//!        thief <── Lease ──────── owner   (and which nodes hold the inputs)
//!        thief ── Pull ─────────> holders ── Data ──> thief, into slots
//!        thief ── Done ─────────> owner ── Results ──────────────> │
//!                                         holders <───── Pull ──── │  Data, into whole tensors
//!        all edges <──────────────────────────────────── State ─── │  after the tail
//!        all edges ── Condition ───────────────────────────────> │  for people, every ten seconds
//! ```
//!
//! 1. The source's edge owns the frame and the state of each of its tasks: waiting, ready, leased,
//!    running, done. The owner runs ready tasks itself.
//!    With home boards it leases every ready task to the task's home, which has told it of room before
//!    (`Offer`, `Want`); the rest is as below.
//! 2. A node without a ready task asks the gateway for a victim and the victim for a task, as in
//!    DeepThings (`steal_gateway`, `steal_client`). The victim answers with a lease: the right to
//!    run one task until a deadline. The thief renews the lease.
//! 3. The thief pulls the inputs from the nodes that hold them, runs the task, keeps the outputs,
//!    and reports to the owner.
//! 4. The owner tells the gateway where the last stage's outputs lie. The gateway pulls them into
//!    whole tensors, runs the tail, writes one record, and tells the owner that the frame is over.
//!
//! # What holds whatever the network does
//!
//! - Every control message is idempotent. The sender repeats a message until the answer arrives or the
//!   message has become pointless, so the network may lose, double, delay or reorder messages.
//! - Every message names the sender's [`Incarnation`] and, except for the first heartbeats, the
//!   receiver's. A node ignores messages from or for an earlier process.
//! - A task is pure, so a second run of a task is harmless. The first result that reaches the owner
//!   counts.
//! - Every queue, table and retry has a bound. A datagram that breaks a rule increments
//!   [`Traffic::rejected`] and changes nothing else.
#![forbid(unsafe_code)]

mod api;
mod chunk_server;
mod condition;
mod config;
pub mod edge;
pub mod exchange;
mod frame_name;
pub mod gateway;
mod ids;
mod info;
mod notice;
mod peer;
mod pull;
mod refusal;
mod retry;
mod stats;
pub mod store;
#[cfg(test)]
mod testkit;
mod to;
pub mod wire;

pub use api::{
    Drained, DropReason, EdgeInput, EdgeOutput, FrameMeta, FrameOutcome, GatewayInput,
    GatewayOutput, Job,
};
pub use condition::Condition;
pub use config::{EdgeConfig, GatewayConfig, TransferConfig, Verify};
pub use edge::Edge;
pub use frame_name::FrameName;
pub use gateway::Gateway;
pub use ids::{
    FrameId, FrameNumber, GATEWAY, Incarnation, JobId, NodeId, NodeIncarnation, ObjectId, PullId,
    RequestId, Ticket,
};
pub use info::{PlanPrefix, ProgramInfo};
pub use notice::{Loss, Notice};
pub use refusal::Refusal;
pub use stats::{
    Count, Drops, EdgeStats, GatewayStats, PerKind, PerReject, Traffic, TransferStats,
};
pub use tessera_plan::{dataflow::TaskId, placement::Placement};
pub use to::To;

/// Microseconds: a duration, or a time since a moment that each node fixes for itself. A node's times never
/// go backwards; different nodes' times are not comparable.
pub type Micros = u64;
