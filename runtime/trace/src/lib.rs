//! Traces of clusters, in the JSON form that Perfetto and `chrome://tracing` read: what a node writes, how the files of several
//! nodes become one, and whether a trace is well-formed ([how to use it](../../../docs/trace.md)).
//!
//! | module | is |
//! |---|---|
//! | `event` | one event, as a line of JSON |
//! | `tracks` | the numbers of processes and threads, and of flows between them |
//! | `read` | a node's file, which may lack its end |
//! | `clock` | a node's clock against the gateway's, by their heartbeats |
//! | `merge` | the nodes' events as one trace |
//! | `check` | Perfetto's rules |

#![forbid(unsafe_code)]

mod check;
pub mod clock;
mod event;
mod merge;
mod read;
pub mod tracks;

pub use check::{Fault, check};
pub use clock::{Aligned, Sample};
pub use event::{Event, Micros, Phase};
pub use merge::{MergeError, Merged, merge};
pub use read::read;
