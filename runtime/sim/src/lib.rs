//! Clusters in virtual time: the real state machines, a simulated world.
//!
//! A [`World`] holds a gateway and edges ([`tessera_protocol`]), each with a [`HeapStore`] that watches
//! how slots are used, workers that take virtual time, a clock of its own, and a place on a
//! [`link`]ed network that loses, doubles, delays and reorders datagrams. Nodes crash, stand still
//! and come back. The same seed gives the same run, to the microsecond and the bit: there is one
//! event queue, and chance comes from [`Draw`] alone.
//!
//! What must hold whatever happens is checked at every step ([`check`]): tasks read exactly the
//! values that the `oracle` computes, the tail too; no frame ends twice; datagrams fit; slots are
//! used as their owner may. A [`Scenario`] besides heals its world and then asks that every frame
//! ends, everything is forgotten, and idle nodes are quiet.
//!
//! ```
//! use tessera_runtime::sim::{Kind, Scenario};
//! let summary = Scenario::new(Kind::Perfect, 1).run().unwrap();
//! assert_eq!(summary.detections, summary.frames);
//! ```
#![forbid(unsafe_code)]

pub mod check;
mod core;
mod draw;
mod edge_node;
mod exec;
mod fault;
mod gateway_node;
mod happen;
mod heap_store;
pub mod link;
mod oracle;
pub mod program;
mod queue;
mod run;
mod scenario;
mod seat;
mod storm;
mod trouble;
mod world;

pub use self::{
    check::{Failure, Ledger, Violation},
    core::Counters,
    draw::Draw,
    edge_node::{EdgeSpec, Stranger},
    exec::PieceError,
    fault::{Fault, Scheduled},
    gateway_node::GatewaySpec,
    heap_store::HeapStore,
    link::{Attachment, NetConfig, NetCounters, Weather},
    oracle::Oracle,
    program::ProgramConfig,
    run::Summary,
    scenario::{Kind, Scenario},
    storm::{StormConfig, mutate, resize},
    world::{World, WorldConfig},
};
