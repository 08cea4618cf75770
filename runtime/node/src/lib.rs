//! A node: the process that runs an emitted crate on a board.
//!
//! [`main`] starts the role that the command line names. Around the state machines of
//! [`tessera_protocol`] stand:
//!
//! | module | is |
//! |---|---|
//! | `roles` | gateway, edge, worker, solo: what a process does |
//! | [`sources`], [`sinks`] | where frames come from, where records go |
//! | `alerts` | what people want to hear of, with the feature `alerts` |
//! | `mqtt` | a broker that hears of records, with the feature `mqtt` |
//! | [`udp`] | the socket |
//! | `notify` | what the service manager hears |
//! | `trust` | keys, and who may take part |
//! | [`log`], `console` | what it says, on which stream; neither holds it up |
//! | `optional`, `faults` | files that may fail, signals that would end it without a word |
//! | [`shm`], [`workers`] | the board's shared segment, and the processes that compute in it |
//! | `trace` | what it did and when, for Perfetto |
//! | `doctor` | what is likely to be wrong with the board |
//! | `condition` | how the board is, for the gateway |
//! | [`detect`] | Darknet's decoding of detections |

#[cfg(not(target_endian = "little"))]
compile_error!("segments and datagrams are little-endian");

mod alerts;
mod args;
mod condition;
mod console;
pub mod detect;
mod doctor;
mod error;
mod faults;
mod labels;
pub mod log;
pub mod memory;
mod mqtt;
mod notify;
mod optional;
mod roles;
pub mod shm;
pub mod sinks;
pub mod sources;
mod statistics;
pub mod sync;
#[cfg(test)]
mod testing;
mod this_binary;
mod trace;
mod trust;
pub mod udp;
mod wait;
pub mod workers;

pub use error::NodeError;
pub use roles::main;
