//! Incoming transfers, led by the receiver.
//!
//! A pull fetches one box of one object from one holder into a slot. The receiver requests a few further chunks
//! whenever some have arrived. The bytes under way to this node stay below the receiver's budget, over
//! all pulls, and below a window per holder. The receiver detects missing chunks and requests only those again.
//! The holder remembers nothing. When the holder lacks the object, or stays silent, the pull ends with
//! a [`PullError`] and the pull's owner decides what follows: another holder, or having the task done again.

mod bitmap;
mod early;
#[cfg(test)]
mod order_tests;
mod path;
mod receiver;
mod rtt;
mod runs;
#[cfg(test)]
mod tests;
mod transfer;
mod window;

pub use receiver::Receiver;
pub(super) use runs::{gather, scatter};
pub use transfer::Destination;

/// Why a pull ended without its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullError {
    /// The holder answered that it does not have the object.
    Absent,
    /// The holder has been silent too often.
    Unreachable,
}
