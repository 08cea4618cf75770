//! A node: the process that runs an emitted crate on a board.
//!
//! [`main`] starts the role that the command line names. Around the state machines of
//! [`tessera_protocol`] stand sockets ([`udp`]), a shared segment with worker processes ([`shm`]),
//! pictures ([`picture`]) and Darknet's decoding of detections ([`detect`]).

#[cfg(not(target_endian = "little"))]
compile_error!("segments and datagrams are little-endian");

pub mod detect;
pub mod memory;
pub mod picture;
pub mod roles;
pub mod shm;
pub mod sync;
pub mod udp;

pub use roles::main;
