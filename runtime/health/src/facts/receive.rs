//! How large a receive buffer the kernel gives.

use std::net::UdpSocket;

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

/// What a node asks of the kernel, in bytes; it gives at most `net.core.rmem_max`.
pub const RECEIVE_BYTES: usize = 1 << 20;
/// Longest packet of a node, with the heads of IP and UDP, in bytes.
pub const PACKET_BYTES: u32 = 1500;

/// A receive buffer as it was asked for and given, in bytes of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Asked for.
    pub asked: usize,
    /// Given. The kernel tells twice as much, since it counts its own overhead.
    pub given: usize,
}

/// Asks for a buffer on a socket that nobody sends to; `None` where there is no network.
pub fn given(asked: usize) -> Option<ReceiveBuffer> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).ok()?;
    setsockopt(&socket, sockopt::RcvBuf, &asked).ok()?;
    let told = getsockopt(&socket, sockopt::RcvBuf).ok()?;
    Some(ReceiveBuffer {
        asked,
        given: told / 2,
    })
}
