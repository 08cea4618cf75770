//! Whether this kernel cuts one message into many datagrams (`UDP_SEGMENT`, Linux 4.18) and joins them again (`UDP_GRO`, 5.0).
//!
//! A flag of a kernel says little about an emulator, a container or an old driver. So a process tries it once, between two
//! sockets of its own, and does without unless every byte arrives.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::OnceLock,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt},
};

use super::{Inbox, Outbox, Socket};

/// Longest time for a datagram to go from this machine to itself, in milliseconds.
const WAIT_MS: u16 = 200;

/// True when messages of several datagrams work here; tried once per process.
pub fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| try_it().unwrap_or(false))
}

/// Asks the kernel to join received datagrams; false when it does not.
pub fn join(socket: &UdpSocket) -> bool {
    setsockopt(socket, sockopt::UdpGroSegment, &true).is_ok()
}

fn try_it() -> io::Result<bool> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (mut from, mut to) = (Socket::bind_plain(at)?, Socket::bind_plain(at)?);
    (from.cuts, to.joins) = (true, join(&to.socket));
    let sent: Vec<Vec<u8>> = (0..5u8)
        .map(|k| vec![k; if k < 4 { 700 } else { 9 }])
        .collect();
    let mut outbox = Outbox::default();
    for bytes in &sent {
        from.send(&mut outbox, to.local(), bytes);
    }
    from.flush(&mut outbox);
    let mut inbox = Inbox::default();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut fds, PollTimeout::from(WAIT_MS)), Ok(n) if n > 0) {
            return Ok(false);
        }
        let count = to.receive(&mut inbox);
        received.extend((0..count).filter_map(|k| inbox.get(k).map(|(_, b)| b.to_vec())));
    }
    // The socket turns cutting off when the kernel refuses it.
    Ok(received == sent && from.cuts && to.joins)
}
