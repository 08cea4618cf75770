//! The handover from an edge to a worker that it starts, over the socket that is the worker's standard
//! input: the segment, the bell that says "jobs", the bell that says "finished" and the weights.
//!
//! The socket stays open: it ends when either process does.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg},
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of the message.
const MAGIC: [u8; 4] = *b"TSRW";

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Message {
    magic: [u8; 4],
    worker: u32,
}

/// Everything that a worker receives from its edge.
#[derive(Debug)]
pub struct Handover {
    /// Number of the worker, from 0.
    pub worker: usize,
    /// The shared segment.
    pub segment: OwnedFd,
    /// An eventfd in semaphore mode, with a count of at least the number of queued jobs.
    pub jobs: OwnedFd,
    /// An eventfd that is not zero when a job has finished since the network process last looked.
    pub finished: OwnedFd,
    /// The open weights file: a worker that starts later uses the same file, even if its path has changed.
    pub weights: OwnedFd,
}

/// Sends the handover to a worker, which need not run yet.
///
/// # Errors
/// When the system call fails.
pub fn send(socket: impl AsFd, worker: usize, fds: [BorrowedFd<'_>; 4]) -> std::io::Result<()> {
    let message = Message {
        magic: MAGIC,
        worker: worker as u32,
    };
    let raw = fds.map(|fd| fd.as_raw_fd());
    let sent = sendmsg::<UnixAddr>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(message.as_bytes())],
        &[ControlMessage::ScmRights(&raw)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    if sent == size_of::<Message>() {
        Ok(())
    } else {
        Err(std::io::ErrorKind::WriteZero.into())
    }
}

/// Waits for the handover.
///
/// # Errors
/// When the socket ends, or brings another message.
pub fn receive(socket: impl AsFd) -> std::io::Result<Handover> {
    let mut bytes = [0u8; size_of::<Message>()];
    let mut space = cmsg_space!([std::os::fd::RawFd; 4]);
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg::<UnixAddr>(
        socket.as_fd().as_raw_fd(),
        &mut iov,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let length = got.bytes;
    let mut fds = Vec::new();
    for c in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = c {
            // SAFETY: the kernel has just made these descriptors for this process; nobody else
            // knows them.
            fds.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    let odd = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let message = Message::read_from_bytes(&bytes).map_err(|_| odd())?;
    let [segment, jobs, finished, weights] = <[OwnedFd; 4]>::try_from(fds).map_err(|_| odd())?;
    if length != size_of::<Message>() || message.magic != MAGIC {
        return Err(odd());
    }
    Ok(Handover {
        worker: message.worker as usize,
        segment,
        jobs,
        finished,
        weights,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn descriptors_arrive() {
        let (a, b) = UnixStream::pair().unwrap();
        let files = [0, 1, 2, 3].map(|k| {
            let f = tempfile::tempfile().unwrap();
            f.set_len(100 + k).unwrap();
            f
        });
        send(&a, 3, [0, 1, 2, 3].map(|k: usize| files[k].as_fd())).unwrap();
        let h = receive(&b).unwrap();
        assert_eq!(h.worker, 3);
        for (k, fd) in [h.segment, h.jobs, h.finished, h.weights]
            .into_iter()
            .enumerate()
        {
            let file = std::fs::File::from(fd);
            assert_eq!(file.metadata().unwrap().len(), 100 + k as u64);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"TSRW\x03\0\0\0").unwrap();
        assert!(receive(&b).is_err(), "no descriptors");
        a.write_all(b"x").unwrap();
        assert!(receive(&b).is_err(), "too short");
        drop(a);
        assert!(receive(&b).is_err(), "the other side is gone");
    }
}
