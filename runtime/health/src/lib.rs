//! How a board is, and what is likely to be wrong with it.
//!
//! ```text
//!  files below a root ──facts──> Board, twice ──checks──> findings: what, how it was seen, what to do
//! ```
//!
//! [`facts`] reads what Linux and the Raspberry Pi's firmware say, below a folder that is the root of a board's files: `/` on a
//! board, a made-up tree in tests. What is missing there is unknown, and nothing follows from it. [`checks`] are pure functions
//! of facts. A healthy board gets no finding. `docs/doctor.md` lists all rows.
#![forbid(unsafe_code)]

pub mod checks;
mod checkup;
pub mod facts;
mod finding;
mod root;

pub use checks::{Aims, Reach, Tcp, UdpReach, Way, board, reach, told, way};
pub use checkup::{Checkup, Health};
pub use facts::Board;
pub use finding::{Finding, Kind, Severity, lines};
pub use root::Root;
