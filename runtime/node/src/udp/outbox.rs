//! Datagrams to send: `sendmmsg` from buffers that are allocated once.
//!
//! Datagrams in a row to one receiver and of one length, of which the last may be shorter, go to the kernel as one message
//! that it cuts late (`UDP_SEGMENT`): the way down is gone once for all of them.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    ptr,
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{DATAGRAM_BYTES_MAX, Socket, address::Name, control::Control};

/// Most datagrams per system call.
pub const BATCH: usize = 64;
/// Room for one datagram.
const SLOT_BYTES: usize = DATAGRAM_BYTES_MAX;
/// Most bytes of a message: what an IP datagram holds, with its headers.
const JOINED_BYTES_MAX: usize = 65_000;
/// How long a full send buffer is waited for before the batch is given up: what a radio link takes
/// to drain a few datagrams.
const ROOM_WAIT: Duration = Duration::from_millis(10);

/// A queue of datagrams to send.
#[derive(Debug)]
pub struct Outbox {
    bytes: Box<[u8]>,
    to: [Option<SocketAddr>; BATCH],
    lens: [usize; BATCH],
    count: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT_BYTES].into(),
            to: [None; BATCH],
            lens: [0; BATCH],
            count: 0,
        }
    }
}

impl Outbox {
    /// Number of datagrams that wait to be sent.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no datagram waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of datagrams from `first` on that can leave as one message.
    fn run(&self, first: usize, count: usize) -> usize {
        let each = self.lens[first];
        let mut bytes = each;
        let mut end = first + 1;
        // Only the last one may be shorter.
        while end < count
            && self.lens[end - 1] == each
            && (1..=each).contains(&self.lens[end])
            && self.to[end] == self.to[first]
            && bytes + self.lens[end] <= JOINED_BYTES_MAX
        {
            bytes += self.lens[end];
            end += 1;
        }
        end - first
    }
}

/// Headers of a call, on the stack: they point into buffers only while it runs.
struct Headers {
    names: [Name; BATCH],
    controls: [Control; BATCH],
    vectors: [libc::iovec; BATCH],
    messages: [libc::mmsghdr; BATCH],
    /// Datagrams of each message.
    runs: [usize; BATCH],
}

impl Socket {
    /// Puts a datagram into the outbox, after a flush when the outbox is full. A datagram longer than
    /// [`DATAGRAM_BYTES_MAX`] counts as an error and is dropped.
    pub fn send(&mut self, outbox: &mut Outbox, to: SocketAddr, bytes: &[u8]) {
        self.send_with(outbox, bytes.len(), |slot| {
            slot.copy_from_slice(bytes);
            Some(to)
        });
    }

    /// Puts a datagram of `len` bytes into the outbox that `write` writes in place; `write` returns the receiver's address, or
    /// `None` to send nothing. As [`Socket::send`] otherwise.
    pub fn send_with(
        &mut self,
        outbox: &mut Outbox,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Option<SocketAddr>,
    ) {
        if len > SLOT_BYTES {
            self.counters.send_errors += 1;
            return;
        }
        if outbox.count == BATCH {
            self.flush(outbox);
        }
        let i = outbox.count;
        let Some(to) = write(&mut outbox.bytes[i * SLOT_BYTES..][..len]) else {
            return;
        };
        outbox.lens[i] = len;
        outbox.to[i] = Some(to);
        outbox.count += 1;
    }

    /// Sends all datagrams of the outbox. When the send buffer stays full for 10 ms, the rest is dropped, as
    /// a full queue on the way would do; so the outbox is always empty afterwards.
    pub fn flush(&mut self, outbox: &mut Outbox) {
        let count = std::mem::take(&mut outbox.count);
        let mut first = 0;
        let mut patient = true;
        // Ends: a turn sends or gives up a datagram, waits for the only time, or ends the cutting for good.
        while first < count {
            let (sent, error) = self.send_some(outbox, first, count);
            let bytes = outbox.lens[first..first + sent].iter().sum::<usize>();
            self.counters.datagrams_sent += sent as u64;
            self.counters.bytes_sent += bytes as u64;
            first += sent;
            match error {
                None | Some((Errno::EINTR, _)) => {}
                Some((Errno::EAGAIN | Errno::ENOBUFS, _)) if patient => {
                    patient = self.wait_for_room();
                }
                Some((Errno::EAGAIN | Errno::ENOBUFS, _)) => {
                    self.counters.no_room += (count - first) as u64;
                    return;
                }
                Some((Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP, n))
                    if n > 1 =>
                {
                    // An adapter that computes no checksums, say, or a path of small datagrams.
                    self.cuts = false;
                }
                Some((e, n)) => {
                    // The first message's fault; the others may have better luck.
                    let count = match e {
                        Errno::ECONNREFUSED => &mut self.counters.refused,
                        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN => {
                            &mut self.counters.unreachable
                        }
                        _ => &mut self.counters.send_errors,
                    };
                    *count += n as u64;
                    first += n;
                }
            }
        }
    }

    /// Sends datagrams from `first` on, by one call. Returns how many left, or why none did and how many the first message
    /// consists of.
    fn send_some(
        &mut self,
        outbox: &mut Outbox,
        first: usize,
        count: usize,
    ) -> (usize, Option<(Errno, usize)>) {
        // SAFETY: `iovec` and `mmsghdr` are C structs of integers and pointers, for which zero (null) is valid.
        let (vectors, messages) = unsafe { std::mem::zeroed() };
        let mut h = Headers {
            names: [Name::NONE; BATCH],
            controls: [Control::EMPTY; BATCH],
            vectors,
            messages,
            runs: [0; BATCH],
        };
        for i in first..count {
            h.vectors[i] = libc::iovec {
                iov_base: outbox.bytes[i * SLOT_BYTES..].as_mut_ptr().cast(),
                iov_len: outbox.lens[i],
            };
        }
        let vectors = h.vectors.as_mut_ptr();
        let (mut at, mut number) = (first, 0);
        while at < count {
            let run = if self.cuts { outbox.run(at, count) } else { 1 };
            let header = &mut h.messages[number].msg_hdr;
            if let Some(to) = outbox.to[at] {
                (h.names[number], header.msg_namelen) = Name::new(to);
            }
            header.msg_name = ptr::from_mut(&mut h.names[number]).cast();
            // SAFETY: `at < count <= BATCH`: the run's vectors lie inside.
            header.msg_iov = unsafe { vectors.add(at) };
            header.msg_iovlen = run as _;
            if run > 1 {
                let each = u16::try_from(outbox.lens[at]).unwrap_or(u16::MAX);
                h.controls[number].set_segment_bytes(header, each);
            }
            h.runs[number] = run;
            at += run;
            number += 1;
        }
        self.counters.send_calls += 1;
        // SAFETY: the first `number` headers point to names, controls, vectors and bytes that outlive the call and stay where
        // they are; the kernel only reads them.
        let sent = unsafe {
            libc::sendmmsg(
                self.as_fd().as_raw_fd(),
                h.messages.as_mut_ptr(),
                number as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        match Errno::result(sent) {
            Ok(n) => {
                let n = usize::try_from(n).unwrap_or(0).clamp(1, number);
                (h.runs[..n].iter().sum(), None)
            }
            Err(e) => (0, Some((e, h.runs[0]))),
        }
    }

    /// Waits until the send buffer has room; `false` when it has none after [`ROOM_WAIT`].
    fn wait_for_room(&self) -> bool {
        let timeout = u16::try_from(ROOM_WAIT.as_millis()).unwrap_or(1);
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        matches!(poll(&mut fds, PollTimeout::from(timeout)), Ok(n) if n > 0)
    }
}
