//! The node's UDP socket: non-blocking, in batches, without allocation per datagram.
//!
//! One system call takes or gives up to [`BATCH`] datagrams. Whatever goes wrong with a single
//! datagram (too long, no route, nobody listens) is counted in [`SocketCounters`], never an error: the
//! state machines above repeat what was lost.
//!
//! ```text
//!   recvmmsg ─> Inbox  [BATCH x SLOT_BYTES] ─> (sender, bytes) ─> machine
//!   machine  ─> Outbox [BATCH x SLOT_BYTES] ─> sendmmsg
//! ```

mod address;
mod batch;
mod bind;
mod drops;
mod gateway_name;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

pub use batch::{BATCH, Inbox, Outbox};
pub use bind::{BindError, check as check_bind, edge_address};
pub use gateway_name::{GatewayName, GatewayNameError};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use tessera_plan::files::statistics::SocketCounters;
use tessera_protocol::TransferConfig;

/// What is asked of the kernel for each direction, in bytes; it gives at most
/// `net.core.rmem_max` and `wmem_max`.
const BUFFER_BYTES: usize = 1 << 20;

/// What one datagram of up to [`TransferConfig::DATAGRAM_BYTES_MAX`] bytes takes of a receive buffer
/// (`skb->truesize`): 2048 for the data and its shared info, 256 for the `sk_buff`. Seen on Linux
/// 6.x for every size between 800 and 1472 bytes.
pub const DATAGRAM_TRUESIZE_BYTES: usize = 2304;

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
    receive_buffer_bytes: usize,
    send_buffer_bytes: usize,
    /// What it has done.
    pub counters: SocketCounters,
}

impl Socket {
    /// Binds to `at` and asks for large buffers.
    ///
    /// # Errors
    /// When the address is taken or is none of this machine's.
    pub fn bind(at: SocketAddr) -> io::Result<Self> {
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
            counters: SocketCounters::default(),
        })
    }

    /// Where it is bound.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Bytes of datagrams with the kernel's overhead that may wait to be received.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// Bytes that may wait to be sent.
    pub fn send_buffer_bytes(&self) -> usize {
        self.send_buffer_bytes
    }

    /// Datagrams that the kernel dropped because the receive buffer was full; `None` where it does
    /// not tell.
    pub fn drops(&self) -> Option<u64> {
        drops::of(&self.socket)
    }

    /// How objects are pulled through this socket: the usual way, with as much under way as the
    /// receive buffer holds. A quarter is left for control messages.
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
