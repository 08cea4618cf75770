//! Simulates clusters in virtual time: real state machines in a simulated world.
//!
//! A [`World`] holds a gateway and edges ([`tessera_protocol`]), each with a [`WatchedStore`] that watches
//! how slots are used, workers that take virtual time, a clock of its own, and a place on a
//! [`link`]ed network that loses, doubles, delays and reorders datagrams. Nodes crash, stand still
//! and come back. The same seed gives the same run, to the microsecond and the bit: there is one
//! event queue, and chance comes from [`RandomSource`] alone.
//!
//! What must hold whatever happens is checked at every step ([`Violation`], [`Ledger`]): tasks read exactly the
//! values that the `oracle` computes, the tail too; no frame ends twice; datagrams fit; slots are
//! used as their owner may. A [`Scenario`] besides heals its world and then asks that every frame
//! ends, everything is forgotten, and idle nodes are quiet.
//!
//! ```
//! use tessera_sim::{Scenario, ScenarioKind};
//! let summary = Scenario::new(ScenarioKind::Perfect, 1).run().unwrap();
//! assert_eq!(summary.detections, summary.frames);
//! ```
#![forbid(unsafe_code)]

mod assigned_job;
mod core;
pub mod course;
mod datagram;
mod edge_node;
mod edge_spec;
mod endpoint;
mod events;
mod exec;
mod fault;
mod fault_schedule;
mod frame_record;
mod gateway_node;
mod hostile;
mod ledger;
pub mod link;
mod oracle;
pub mod program;
mod queue;
mod random;
mod run;
mod scenario;
pub mod stream;
pub mod timing;
mod transfers;
mod violation;
mod watched_store;
mod world;

/// What [`WatchedStore`] implements.
pub use tessera_protocol::store;

pub use self::{
    core::{Counters, JobSpan},
    edge_spec::{EdgeSpec, Stranger},
    exec::PieceError,
    fault::{Fault, ScheduledFault},
    frame_record::{FrameRecord, Tail},
    gateway_node::GatewaySpec,
    hostile::{HostileConfig, mutate, resize},
    ledger::Ledger,
    link::{Attachment, LinkConditions, NetConfig, NetCounters},
    oracle::Oracle,
    program::ProgramConfig,
    queue::Queue,
    random::RandomSource,
    run::Summary,
    scenario::{Scenario, ScenarioKind},
    transfers::Transfer,
    violation::{Failure, Violation},
    watched_store::WatchedStore,
    world::{World, WorldConfig},
};
