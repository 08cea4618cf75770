//! Control messages of `sendmmsg` and `recvmmsg`: the length of the datagrams that one message consists of.

use std::ptr;

use nix::libc;

/// Room for one control message of an integer, aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Control([u8; 32]);

impl Control {
    /// Room without a message.
    pub const EMPTY: Self = Self([0; 32]);

    /// Makes a header point to this room, for a message from the kernel. Valid until this moves.
    pub fn attach(&mut self, header: &mut libc::msghdr) {
        header.msg_control = ptr::from_mut(self).cast();
        header.msg_controllen = size_of::<Self>() as _;
    }

    /// Writes that the kernel shall cut the message into datagrams of `bytes` bytes (`UDP_SEGMENT`), and makes a header point
    /// here. Valid until this moves.
    pub fn set_segment_bytes(&mut self, header: &mut libc::msghdr, bytes: u16) {
        self.attach(header);
        // SAFETY: the room is larger than a control message of two bytes; `CMSG_FIRSTHDR` gives its beginning, which is
        // aligned, and `CMSG_DATA` a place inside it.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as _;
            let message = libc::CMSG_FIRSTHDR(header);
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
            libc::CMSG_DATA(message)
                .cast::<u16>()
                .write_unaligned(bytes);
        }
    }

    /// The length of the datagrams that the kernel has joined (`UDP_GRO`); `None` for a single one. `header` is the one that
    /// this room was attached to, after the call.
    pub fn segment_bytes(&self, header: &libc::msghdr) -> Option<usize> {
        // SAFETY: the kernel has written whole control messages into the room, and their length into the header; the macros
        // stay inside.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(header);
            if message.is_null()
                || (*message).cmsg_level != libc::SOL_UDP
                || (*message).cmsg_type != libc::UDP_GRO
            {
                return None;
            }
            let bytes = libc::CMSG_DATA(message)
                .cast::<libc::c_int>()
                .read_unaligned();
            usize::try_from(bytes).ok().filter(|n| *n > 0)
        }
    }
}
