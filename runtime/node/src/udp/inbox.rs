//! Received datagrams: `recvmmsg` into buffers that are allocated once.
//!
//! Where the kernel joins datagrams of one sender on their way up (`UDP_GRO`), a message holds several of the same length,
//! of which the last may be shorter; the inbox takes them apart. Such a message needs room for the longest one. Pages of
//! that room that no message reaches are never touched.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use nix::{errno::Errno, libc};

use super::{
    DATAGRAM_BYTES_MAX, Socket,
    address::{NAME_BYTES, Name},
    control::Control,
};

/// Most messages per system call.
const MESSAGES: usize = 32;
/// Longest message: what an IP datagram holds.
const JOINED_BYTES: usize = 1 << 16;
/// Room for the datagrams of one call.
const ROOM_BYTES: usize = 16 * JOINED_BYTES;

/// Buffers for received datagrams.
#[derive(Debug)]
pub struct Inbox {
    bytes: Box<[u8]>,
    /// The datagrams of the last call: sender, first byte and length. A dropped datagram has no sender.
    datagrams: Vec<(Option<SocketAddr>, usize, usize)>,
    /// True when all messages of the last call were used.
    was_full: bool,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; ROOM_BYTES].into(),
            datagrams: Vec::new(),
            was_full: false,
        }
    }
}

impl Inbox {
    /// The sender and the bytes of datagram `i` of the last [`Socket::receive`], which may be changed in place; `None` behind
    /// the last datagram, and for a dropped datagram.
    pub fn get(&mut self, i: usize) -> Option<(SocketAddr, &mut [u8])> {
        let (from, at, len) = *self.datagrams.get(i)?;
        Some((from?, &mut self.bytes[at..at + len]))
    }

    /// True when more datagrams may wait in the socket.
    pub const fn was_full(&self) -> bool {
        self.was_full
    }
}

/// Headers of a call, on the stack: they point into buffers only while it runs.
struct Headers {
    names: [Name; MESSAGES],
    controls: [Control; MESSAGES],
    vectors: [libc::iovec; MESSAGES],
    messages: [libc::mmsghdr; MESSAGES],
}

impl Socket {
    /// Receives datagrams without waiting, as many as one system call gives; returns their number, dropped ones included.
    pub fn receive(&mut self, inbox: &mut Inbox) -> usize {
        let (count, room) = if self.joins {
            (ROOM_BYTES / JOINED_BYTES, JOINED_BYTES)
        } else {
            (MESSAGES, DATAGRAM_BYTES_MAX)
        };
        // SAFETY: `iovec` and `mmsghdr` are C structs of integers and pointers, for which zero (null) is valid.
        let (vectors, messages) = unsafe { std::mem::zeroed() };
        let mut h = Headers {
            names: [Name::NONE; MESSAGES],
            controls: [Control::EMPTY; MESSAGES],
            vectors,
            messages,
        };
        let base = inbox.bytes.as_mut_ptr();
        for i in 0..count {
            h.vectors[i] = libc::iovec {
                // SAFETY: `count * room` bytes are at most `ROOM_BYTES`, the length of `bytes`.
                iov_base: unsafe { base.add(i * room) }.cast(),
                iov_len: room,
            };
            let header = &mut h.messages[i].msg_hdr;
            header.msg_name = ptr::from_mut(&mut h.names[i]).cast();
            header.msg_namelen = NAME_BYTES;
            header.msg_iov = ptr::from_mut(&mut h.vectors[i]);
            header.msg_iovlen = 1;
            if self.joins {
                h.controls[i].attach(header);
            }
        }
        inbox.datagrams.clear();
        inbox.was_full = false;
        self.counters.receive_calls += 1;
        // SAFETY: the first `count` headers point to live, disjoint names, controls, vectors and bytes of the lengths given,
        // none of which moves or is touched otherwise until the call returns; no timeout is passed.
        let got = unsafe {
            libc::recvmmsg(
                self.as_fd().as_raw_fd(),
                h.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let got = match Errno::result(got) {
            Ok(n) => usize::try_from(n).unwrap_or(0).min(count),
            Err(Errno::EAGAIN | Errno::EINTR) => return 0,
            Err(_) => {
                // An ICMP error of an earlier datagram, say: reading it has cleared it.
                self.counters.receive_errors += 1;
                return 0;
            }
        };
        inbox.was_full = got == count;
        for i in 0..got {
            let header = &h.messages[i].msg_hdr;
            let len = h.messages[i].msg_len as usize;
            let from = h.names[i].get(header.msg_namelen);
            let each = h.controls[i].segment_bytes(header).unwrap_or(len);
            let is_cut = header.msg_flags & libc::MSG_TRUNC != 0 || len > room;
            self.add(inbox, (from, i * room), len, each, is_cut);
        }
        inbox.datagrams.len()
    }

    /// Adds the datagrams of one message of `len` bytes, which have `each` bytes.
    fn add(
        &mut self,
        inbox: &mut Inbox,
        (from, at): (Option<SocketAddr>, usize),
        len: usize,
        each: usize,
        is_cut: bool,
    ) {
        let each = each.max(1);
        // An empty datagram is one, too.
        for first in (0..len.max(1)).step_by(each) {
            let bytes = each.min(len - first);
            let whole = !is_cut && bytes <= DATAGRAM_BYTES_MAX;
            self.counters.datagrams_received += 1;
            self.counters.bytes_received += bytes as u64;
            self.counters.truncated += u64::from(!whole);
            let found = if whole {
                (from, at + first, bytes)
            } else {
                (None, at, 0)
            };
            inbox.datagrams.push(found);
            if is_cut {
                return;
            }
        }
    }
}
