//! Transfers in: the receiver leads.
//!
//! A pull fetches one box of one object from one holder into a slot. It asks for chunks, a few
//! more whenever some have arrived; it keeps what is under way to this node below its budget, over
//! all pulls, and below a window per holder; it notices what is missing and asks for just that.
//! The holder remembers nothing. When it has no such object, or stays silent, the pull ends with
//! a [`PullError`] and its owner decides what next: another holder, or having the task done again.

mod bitmap;
mod path;
mod receiver;
mod runs;
#[cfg(test)]
mod tests;
mod transfer;

pub use receiver::Receiver;
pub(super) use runs::gather;
pub use transfer::Destination;

/// Why a pull ended without its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullError {
    /// The holder says that it has no such object.
    Absent,
    /// The holder does not answer.
    Unreachable,
}
