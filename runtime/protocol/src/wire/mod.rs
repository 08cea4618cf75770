//! The layout of datagrams and the checks on incoming ones.
//!
//! A datagram is a `RawHeader`, a fixed body for its [`MessageKind`], and for some kinds lists whose
//! lengths stand in the body; chunks have a shorter header ([`Data`]). All integers are little-endian and all pieces are unaligned zerocopy
//! structs, so [`parse`] consists of comparisons and pointer casts. [`parse`] checks everything that
//! needs no state: lengths, counts, ids and boxes against the program. The parsed message
//! needs no further checks of that sort, and [`parse`] never panics.
//!
//! [`Message::encode`] writes the same [`Message`] into a buffer that the caller keeps, so
//! that sending allocates nothing.
//!
//! | kind | from, to | body | lists (most) |
//! |---|---|---|---|
//! | Heartbeat | edge, gateway | seq, ticket, flags, floor, next, plan hash, model digest | frames (8), asked (8) |
//! | State | gateway, edge | seq, ticket, verdict, flags | frames (8), nodes (8) |
//! | StealGateway, Victim | thief, gateway | seq; a node or none | |
//! | StealClient, NoWork | thief, victim | request | |
//! | Lease | victim, thief | request, frame, task, duration | holders (31), a holder per need (512) |
//! | Renew, Renewed | thief, owner | seq; which leases still hold | leases (64) |
//! | Done, Failed, ReportAck | thief, owner | frame, task, request; why; whether kept | lost parts (64) |
//! | Results, ResultsAck | owner, gateway | frame | nodes (16), tasks (100) |
//! | Lost | gateway, owner | frame | tasks (64) |
//! | Pull, Grant, Nack | receiver, holder | pull, object, box, chunk size | ranges (64) |
//! | Data | holder, receiver | (a header of its own) | bytes |
//! | Absent, Later | holder, receiver | pull | |
//! | Stop, Bye | gateway, edge | | |
//! | Offer, Want | source, board | request, room, flags | held leases (64) |
//! | Watch, Shown | observer, gateway | what, serial, offset, end | bytes |
//! | Condition | edge, gateway | seq, temperature, throttling, memory, load, signal | |

mod chunk;
mod condition;
mod gateway;
mod header;
mod home;
mod kind;
mod list;
mod message;
mod number;
#[cfg(test)]
mod refusals;
mod results;
mod sender;
mod steal;
mod sum;
#[cfg(test)]
mod tests;
mod transfer;
mod watch;
mod writer;

pub(crate) use chunk::open_chunk;
pub use chunk::{CHUNK_MARK, Data, seal_chunk};
pub use gateway::{ClusterState, FrameStatus, Heartbeat, NodeStatus, Verdict};
pub use header::{Envelope, MAGIC, Reject, VERSION, plan_prefix, seal};
pub use home::Want;
pub use kind::MessageKind;
pub use list::{
    ChunkRange, FrameEntry, FrameStatusEntry, LeaseRef, LostObject, LostResult, NodeStatusEntry,
    PeerAddress, RawRegion, ResultEntry, ResultNote, key_from_wire, key_to_wire,
};
pub use message::{Message, parse, parse_watch};
pub use number::{
    FrameField, IncarnationField, NodeField, PullField, RequestField, TaskField, TicketField,
};
pub use results::{LostResults, Results, ResultsAck};
pub use sender::sender;
pub use steal::{Failed, FailureReason, Finished, LeaseGrant, Renew, Report, ReportAck};
pub(super) use transfer::chunks_of;
pub use transfer::{Later, NO_RUN, Request};
pub use watch::{Shown, Watch, Watched};

use crate::TaskId;

/// A task number that stands for the frame itself.
pub const NO_TASK: TaskId = TaskId(u32::MAX);
