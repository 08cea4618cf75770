//! The shared memory of one board: a segment with slots, the job table and the deque, and the rules of access.
//!
//! | file | is |
//! |---|---|
//! | [`layout`] | the segment's bytes |
//! | `places` | where slots lie in it |
//! | [`segment`] | the sealed memfd and its mappings |
//! | [`slots`] | the store of objects; loans |
//! | [`deque`] | bounded work stealing |
//! | [`jobs`] | states of jobs, leases |
//! | [`entry`] | a job's inputs and outputs as words |
//! | [`arrivals`] | rows of inputs that arrive while their task runs; `futex` is how a worker sleeps |
//! | [`worker_line`] | a worker's report of itself |
//! | [`handed`] | the slots that a lease hands to its worker |
//!
//! `README.md` beside them argues why a worker may be killed at any instruction.

pub mod arrivals;
pub mod deque;
pub mod entry;
mod error;
mod futex;
pub mod handed;
pub mod jobs;
pub mod layout;
mod places;
pub mod segment;
pub mod slots;
pub mod worker_line;

pub use error::SegmentError;
pub use handed::{BadJob, Handed};
pub use jobs::{Dispatcher, JobLease, Status, Taker};
pub use layout::Layout;
pub use segment::{Segment, ShmWords};
pub use slots::{ArrivingSlot, SegmentStore, SlotLoan, SlotView};
