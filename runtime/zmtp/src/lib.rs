//! The answering end of ZeroMQ's wire protocol: ZMTP 3.1 (ZeroMQ's RFC 37, and RFC 23 for peers of 3.0) with the mechanism NULL,
//! as a ROUTER socket, for peers that are REQ or DEALER sockets.
//!
//! A [`Peer`] is one connection, without I/O. Bytes that came are left in a buffer of the caller's; [`Peer::next`] takes from it
//! what is whole, and [`Peer::output`] has what is to be written.
//!
//! ```text
//!  greeting, READY ──────────────────────────────────> (written at once, before anything is read)
//!  greeting, READY <──────────────────────────────────
//!  [empty] [frame] .. <── a request
//!  [empty] [frame] .. ──> its reply, made by Request::reply
//! ```
//!
//! Nothing that a peer sends makes this end keep more than its [`Limits`] allow: a frame that is too long to be kept is skipped as
//! it comes, and what no socket would send ends the connection.

#![forbid(unsafe_code)]

mod command;
mod frame;
mod peer;
mod request;
mod violation;

pub use peer::{Limits, Peer};
pub use request::Request;
pub use violation::Violation;

#[cfg(test)]
mod tests;
