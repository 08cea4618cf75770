//! Sessions of several nodes over a network in virtual time.
#![forbid(unsafe_code)]

mod crowd;
mod hostile;
mod joining;
mod keys;
mod links;
mod net;
mod replay;
mod roaming;
