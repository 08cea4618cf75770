//! The node's UDP socket: non-blocking, batched, without allocation per datagram.
//!
//! One system call receives or sends up to [`BATCH`] datagrams, and where the kernel can, datagrams in a row pass it as one
//! message. A failure with a single
//! datagram (too long, no route, nobody listens) counts in [`SocketCounters`] and is never an error: the
//! state machines above repeat lost datagrams.
//!
//! ```text
//!   recvmmsg ─> Inbox  ─> (sender, bytes) ─> machine
//!   machine  ─> Outbox [BATCH datagrams] ─> sendmmsg
//! ```

mod address;
mod bind;
mod control;
mod drops;
mod filter;
mod gateway_name;
mod inbox;
mod joined;
mod outbox;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

pub use bind::{BindError, check as check_bind, edge_address};
pub use gateway_name::{GatewayName, GatewayNameError};
pub use inbox::Inbox;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
pub use outbox::{BATCH, Outbox};

use tessera_plan::files::statistics::SocketCounters;
use tessera_protocol::TransferConfig;

/// What is asked of the kernel for each direction, in bytes; it gives at most
/// `net.core.rmem_max` and `wmem_max`.
const BUFFER_BYTES: usize = tessera_health::facts::RECEIVE_BYTES;

/// Longest datagram: the longest of the protocol's, with room for the head and the tag of a session. It fills an Ethernet
/// frame without IP fragments.
pub const DATAGRAM_BYTES_MAX: usize =
    TransferConfig::DATAGRAM_BYTES_MAX + tessera_secure::HEAD_BYTES + tessera_secure::TAG_BYTES;

/// Bytes that one datagram of up to [`DATAGRAM_BYTES_MAX`] bytes takes in a receive buffer
/// (`skb->truesize`): 2048 for the data and its shared info, 256 for the `sk_buff`. Observed on Linux
/// 6.x for every size between 800 and 1472 bytes.
pub const DATAGRAM_TRUESIZE_BYTES: usize = 2304;

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
    receive_buffer_bytes: usize,
    send_buffer_bytes: usize,
    /// True when the kernel cuts messages into datagrams.
    cuts: bool,
    /// True when the kernel joins datagrams to messages.
    joins: bool,
    /// Counts of datagrams and failures so far.
    pub counters: SocketCounters,
}

impl Socket {
    /// Binds to `at` and asks for large buffers.
    ///
    /// # Errors
    /// When the address is in use or does not belong to this machine.
    pub fn bind(at: SocketAddr) -> io::Result<Self> {
        let mut socket = Self::bind_plain(at)?;
        if joined::works() {
            socket.cuts = true;
            socket.joins = joined::join(&socket.socket);
        }
        Ok(socket)
    }

    /// As [`Socket::bind`]; every message is a datagram.
    fn bind_plain(at: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(at)?;
        socket.set_nonblocking(true)?;
        // The kernel gives what it is allowed to; what it gave is read back.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES);
        let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER_BYTES);
        Ok(Self {
            local: socket.local_addr()?,
            receive_buffer_bytes: getsockopt(&socket, sockopt::RcvBuf)?,
            send_buffer_bytes: getsockopt(&socket, sockopt::SndBuf)?,
            socket,
            cuts: false,
            joins: false,
            counters: SocketCounters::default(),
        })
    }

    /// The address that the socket is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Size of the receive buffer in bytes, which counts datagrams with the kernel's overhead.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// Size of the send buffer in bytes.
    pub fn send_buffer_bytes(&self) -> usize {
        self.send_buffer_bytes
    }

    /// Datagrams that the kernel dropped because the receive buffer was full; `None` where the kernel does
    /// not tell.
    pub fn drops(&self) -> Option<u64> {
        drops::of(&self.socket)
    }

    /// Settings for pulling objects through this socket: the defaults, with as many bytes in flight as the
    /// receive buffer holds. A quarter of the buffer is left for control messages.
    pub fn transfer(&self) -> TransferConfig {
        let usual = TransferConfig::default();
        let datagrams = self.receive_buffer_bytes / DATAGRAM_TRUESIZE_BYTES;
        let chunks = (datagrams * 3 / 4).max(2);
        TransferConfig {
            receive_budget_bytes: chunks * usual.chunk_bytes,
            first_window_chunks: usual
                .first_window_chunks
                .min(u32::try_from(chunks).unwrap_or(u32::MAX)),
            ..usual
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
