//! Keeps the datagrams of nodes that are shut out away from a socket.
//!
//! To receive a datagram costs a node much more than not to open it. So the kernel gets a small program (classic BPF, `SO_ATTACH_FILTER`)
//! that looks at the head of each datagram before the datagram takes any room: data whose head names one of some places is dropped. It
//! needs no privilege. Where the kernel does not take it, such data is dropped behind the system call.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use nix::{errno::Errno, libc};
use tessera_secure::ShutOuts;

use super::Socket;

/// Most places that are looked for; data of further ones passes.
const PLACES_MAX: usize = 64;
/// Bytes of the UDP header, at which such a program begins to read.
const UDP_BYTES: u32 = 8;
/// What a program returns for a datagram that is dropped, and for one that is kept whole.
const DROPS: u32 = 0;
const KEEPS: u32 = u32::MAX;

/// One instruction. `yes` and `no` are what a jump skips.
const fn step(code: u32, k: u32, yes: u8, no: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k,
    }
}

/// The program.
fn program(places: &[u16]) -> Vec<libc::sock_filter> {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_LEN,
        BPF_LSH, BPF_MISC, BPF_OR, BPF_RET, BPF_TAX, BPF_W, BPF_X,
    };
    let byte = |at: u32| step(BPF_LD | BPF_B | BPF_ABS, UDP_BYTES + at, 0, 0);
    let at = ShutOuts::RECEIVER_AT as u32;
    let keep = step(BPF_RET | BPF_K, KEEPS, 0, 0);
    let mut all = vec![
        // What is too short to name a place is not of concern here.
        step(BPF_LD | BPF_W | BPF_LEN, 0, 0, 0),
        step(BPF_JMP | BPF_JGE | BPF_K, UDP_BYTES + at + 2, 1, 0),
        keep,
        byte(0),
        step(BPF_JMP | BPF_JEQ | BPF_K, ShutOuts::KIND.into(), 1, 0),
        keep,
        // The second byte of the little-endian word, then the first.
        byte(at + 1),
        step(BPF_ALU | BPF_AND | BPF_K, ShutOuts::PLACE_MASK >> 8, 0, 0),
        step(BPF_ALU | BPF_LSH | BPF_K, 8, 0, 0),
        step(BPF_MISC | BPF_TAX, 0, 0, 0),
        byte(at),
        step(BPF_ALU | BPF_OR | BPF_X, 0, 0, 0),
    ];
    for &place in places.iter().take(PLACES_MAX) {
        all.push(step(BPF_JMP | BPF_JEQ | BPF_K, place.into(), 0, 1));
        all.push(step(BPF_RET | BPF_K, DROPS, 0, 0));
    }
    all.push(keep);
    all
}

impl Socket {
    /// Keeps data away whose heads name these places ([`ShutOuts::place`]), and nothing else; none of them: takes everything again.
    ///
    /// # Errors
    /// When the kernel does not take such programs. Then everything comes as before.
    pub fn keep_away(&self, places: &[u16]) -> io::Result<()> {
        let mut steps = program(places);
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // Without a program the kernel wants an integer, and does not look at it.
        let nothing: libc::c_int = 0;
        let (option, value, len): (_, *const libc::c_void, _) = if places.is_empty() {
            let value = ptr::from_ref(&nothing).cast();
            (libc::SO_DETACH_FILTER, value, size_of_val(&nothing))
        } else {
            let value = ptr::from_ref(&program).cast();
            (libc::SO_ATTACH_FILTER, value, size_of_val(&program))
        };
        let (fd, len) = (self.as_fd().as_raw_fd(), len as libc::socklen_t);
        // SAFETY: `value` points to `len` bytes that live until the call returns: an integer, or a `sock_fprog` whose pointer and length
        // are those of `steps`, which the kernel copies.
        let done = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, len) };
        match Errno::result(done) {
            Ok(_) => Ok(()),
            // There was no program.
            Err(Errno::ENOENT) if places.is_empty() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::{Inbox, Outbox};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    /// Data of a place, with other bits of the receiver's number set, too.
    fn data(place: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![7; len];
        bytes[0] = ShutOuts::KIND;
        bytes[4..8].copy_from_slice(&(0xabcd_e000 | u32::from(place)).to_le_bytes());
        assert_eq!(ShutOuts::place(&bytes), Some(place));
        bytes
    }

    /// Sends all, as many as these to a message, and a last datagram; what arrived before that.
    fn passes(from: &mut Socket, to: &mut Socket, all: &[Vec<u8>], join: usize) -> Vec<Vec<u8>> {
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        for some in all.chunks(join) {
            for bytes in some {
                from.send(&mut outbox, to.local(), bytes);
            }
            from.flush(&mut outbox);
        }
        from.send(&mut outbox, to.local(), b"the last one");
        from.flush(&mut outbox);
        let mut got: Vec<Vec<u8>> = Vec::new();
        while got.last().is_none_or(|b| b != b"the last one") {
            let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLIN)];
            assert!(poll(&mut fds, PollTimeout::from(10_000u16)).unwrap() > 0);
            let count = to.receive(&mut inbox);
            got.extend((0..count).filter_map(|k| inbox.get(k).map(|(_, b)| b.to_vec())));
        }
        got.pop();
        got
    }

    #[test]
    fn data_of_some_places_is_kept_away() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(mut to) = Socket::bind(at.parse().unwrap()) else {
                continue; // a machine without IPv6
            };
            let mut from = Socket::bind(at.parse().unwrap()).unwrap();
            let mut other = data(3, 64);
            other[0] = 1;
            let all = [
                data(3, 64),
                data(4, 64),
                data(259, 64),
                data(1023, 1400),
                data(1022, 1400),
                other.clone(),
                Vec::new(),
                vec![ShutOuts::KIND; 5],
                data(3, 1400),
            ];
            let kept = |places: &[u16]| -> Vec<Vec<u8>> {
                let stays = |b: &&Vec<u8>| {
                    b.len() < 8 || !ShutOuts::place(b).is_some_and(|p| places.contains(&p))
                };
                (all.iter().filter(stays).cloned()).collect()
            };
            for places in [&[3, 1023][..], &[], &[259], &[4, 3, 1022]] {
                to.keep_away(places).unwrap();
                assert_eq!(
                    passes(&mut from, &mut to, &all, 1),
                    kept(places),
                    "{places:?}"
                );
            }
            to.keep_away(&[]).unwrap();
            to.keep_away(&[]).unwrap();
        }
    }

    /// Many of one sender, which the kernel joins: one head stands for them, since one sender's data has one place at its receiver.
    #[test]
    fn joined_datagrams_are_kept_away() {
        let at = "127.0.0.1:0".parse().unwrap();
        let (mut from, mut to) = (Socket::bind(at).unwrap(), Socket::bind(at).unwrap());
        let all = vec![data(5, 1200); 200];
        let places: Vec<u16> = (5..5 + 2 * PLACES_MAX as u16).collect();
        to.keep_away(&places).unwrap();
        assert_eq!(passes(&mut from, &mut to, &all, 50), [[0; 0]; 0]);
    }
}
