//! Batches of datagrams: `recvmmsg` and `sendmmsg` over buffers that are allocated once.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    DATAGRAM_BYTES_MAX, Socket,
    address::{NAME_BYTES, Name},
};

/// Most datagrams per system call.
pub const BATCH: usize = 64;
/// Room for one datagram.
const SLOT_BYTES: usize = DATAGRAM_BYTES_MAX;
/// How long a full send buffer is waited for before the batch is given up: what a radio link takes
/// to drain a few datagrams.
const ROOM_WAIT: Duration = Duration::from_millis(10);

/// Buffers for received datagrams.
#[derive(Debug)]
pub struct Inbox {
    bytes: Box<[u8]>,
    from: [Option<SocketAddr>; BATCH],
    lens: [usize; BATCH],
    count: usize,
}

/// A queue of datagrams to send.
#[derive(Debug)]
pub struct Outbox {
    bytes: Box<[u8]>,
    to: [Option<SocketAddr>; BATCH],
    lens: [usize; BATCH],
    count: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT_BYTES].into(),
            from: [None; BATCH],
            lens: [0; BATCH],
            count: 0,
        }
    }
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

/// Headers of a batch, on the stack: they point into buffers only while a call runs.
struct Headers {
    names: [Name; BATCH],
    vectors: [libc::iovec; BATCH],
    messages: [libc::mmsghdr; BATCH],
}

impl Headers {
    fn new() -> Self {
        // SAFETY: `iovec` and `mmsghdr` are C structs of integers and pointers, for which zero
        // (null) is valid.
        let (vectors, messages) = unsafe { std::mem::zeroed() };
        Self {
            names: [Name::NONE; BATCH],
            vectors,
            messages,
        }
    }

    /// Points the first `count` messages at their names and at slots of `base`: message `i` gets
    /// the lengths `lens(i)` of its name and its bytes. Valid until this or the bytes move or are
    /// borrowed anew.
    ///
    /// # Safety
    /// `base` points to `BATCH * SLOT_BYTES` bytes.
    unsafe fn point(
        &mut self,
        base: *mut u8,
        count: usize,
        lens: impl Fn(usize) -> (libc::socklen_t, usize),
    ) {
        let (names, vectors) = (self.names.as_mut_ptr(), self.vectors.as_mut_ptr());
        for (i, message) in self.messages.iter_mut().take(count).enumerate() {
            let (name_len, len) = lens(i);
            // SAFETY: `i < BATCH`, so all three stay inside; nothing else refers to the vector.
            let (name, vector) = unsafe {
                let vector = vectors.add(i);
                *vector = libc::iovec {
                    iov_base: base.add(i * SLOT_BYTES).cast(),
                    iov_len: len,
                };
                (names.add(i), vector)
            };
            message.msg_hdr.msg_name = name.cast();
            message.msg_hdr.msg_namelen = name_len;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
    }
}

impl Inbox {
    /// The sender and the bytes of datagram `i` of the last [`Socket::receive`], which may be changed in place; `None` behind
    /// the last datagram, and for a dropped datagram.
    pub fn get(&mut self, i: usize) -> Option<(SocketAddr, &mut [u8])> {
        if i >= self.count {
            return None;
        }
        let bytes = &mut self.bytes[i * SLOT_BYTES..][..self.lens[i]];
        Some((self.from[i]?, bytes))
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
}

impl Socket {
    /// Receives up to [`BATCH`] datagrams without waiting; returns their number, dropped ones included.
    /// A number below [`BATCH`] means that no datagram is left.
    pub fn receive(&mut self, inbox: &mut Inbox) -> usize {
        let mut headers = Headers::new();
        // SAFETY: `bytes` has that length since its construction.
        unsafe {
            headers.point(inbox.bytes.as_mut_ptr(), BATCH, |_| {
                (NAME_BYTES, SLOT_BYTES)
            });
        }
        inbox.count = 0;
        self.counters.receive_calls += 1;
        // SAFETY: all `BATCH` headers point to live, disjoint names and slots of the lengths given,
        // none of which is touched otherwise until the call returns; no timeout is passed.
        let got = unsafe {
            libc::recvmmsg(
                self.as_fd().as_raw_fd(),
                headers.messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let got = match Errno::result(got) {
            Ok(n) => usize::try_from(n).unwrap_or(0).min(BATCH),
            Err(Errno::EAGAIN | Errno::EINTR) => return 0,
            Err(_) => {
                // An ICMP error of an earlier datagram, say: reading it has cleared it.
                self.counters.receive_errors += 1;
                return 0;
            }
        };
        for i in 0..got {
            let m = &headers.messages[i];
            let len = m.msg_len as usize;
            let whole = m.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 && len <= SLOT_BYTES;
            self.counters.datagrams_received += 1;
            self.counters.bytes_received += len as u64;
            self.counters.truncated += u64::from(!whole);
            inbox.lens[i] = if whole { len } else { 0 };
            inbox.from[i] = if whole {
                headers.names[i].get(m.msg_hdr.msg_namelen)
            } else {
                None
            };
        }
        inbox.count = got;
        got
    }

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
        let mut headers = Headers::new();
        let count = std::mem::take(&mut outbox.count);
        let mut name_lens = [0; BATCH];
        for (i, name_len) in name_lens.iter_mut().take(count).enumerate() {
            if let Some(to) = outbox.to[i] {
                (headers.names[i], *name_len) = Name::new(to);
            }
        }
        // SAFETY: `bytes` has that length since its construction.
        unsafe {
            headers.point(outbox.bytes.as_mut_ptr(), count, |i| {
                (name_lens[i], outbox.lens[i])
            });
        }
        let mut first = 0;
        let mut patient = true;
        while first < count {
            match self.send_some(&mut headers.messages[first..count]) {
                Ok(sent) => {
                    let lens = &outbox.lens[first..first + sent];
                    self.counters.datagrams_sent += sent as u64;
                    self.counters.bytes_sent += lens.iter().sum::<usize>() as u64;
                    first += sent;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) if patient => patient = self.wait_for_room(),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.counters.no_room += (count - first) as u64;
                    return;
                }
                Err(e) => {
                    // The first datagram's fault; the others may have better luck.
                    match e {
                        Errno::ECONNREFUSED => self.counters.refused += 1,
                        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN => {
                            self.counters.unreachable += 1;
                        }
                        _ => self.counters.send_errors += 1,
                    }
                    first += 1;
                }
            }
        }
    }

    /// Sends a prefix of `messages`, whose headers point to live names and bytes; gives its length,
    /// at least 1.
    fn send_some(&mut self, messages: &mut [libc::mmsghdr]) -> Result<usize, Errno> {
        self.counters.send_calls += 1;
        // SAFETY: the headers were set up by `flush`, whose names, vectors and bytes outlive the
        // call and stay where they are; the kernel only reads them.
        let sent = unsafe {
            libc::sendmmsg(
                self.as_fd().as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        let sent = usize::try_from(Errno::result(sent)?).unwrap_or(0);
        Ok(sent.clamp(1, messages.len()))
    }

    /// Waits until the send buffer has room; `false` when it has none after [`ROOM_WAIT`].
    fn wait_for_room(&self) -> bool {
        let timeout = u16::try_from(ROOM_WAIT.as_millis()).unwrap_or(1);
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        matches!(poll(&mut fds, PollTimeout::from(timeout)), Ok(n) if n > 0)
    }
}
