//! Frames: flags, a length of one or eight bytes, a body.

use bytes::{Buf, BufMut, BytesMut};

use crate::violation::Violation;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Another frame of the same message follows.
    pub more: bool,
    /// The body is a command.
    pub is_command: bool,
    /// Bytes of the body.
    pub len: u64,
}

impl Head {
    /// Takes a head from the bytes that came; `None` while it is not whole.
    ///
    /// # Errors
    /// When there are flags that nobody knows, or a command that goes on.
    pub fn take(from: &mut BytesMut) -> Result<Option<Self>, Violation> {
        let Some(flags) = from.first().copied() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(Violation::Flags(flags));
        }
        let (more, is_command) = (flags & MORE != 0, flags & COMMAND != 0);
        if more && is_command {
            return Err(Violation::Flags(flags));
        }
        let long = flags & LONG != 0;
        if from.len() < if long { 9 } else { 2 } {
            return Ok(None);
        }
        from.advance(1);
        let len = if long {
            from.get_u64()
        } else {
            u64::from(from.get_u8())
        };
        Ok(Some(Self {
            more,
            is_command,
            len,
        }))
    }
}

/// Appends a frame.
pub fn put(out: &mut BytesMut, body: &[u8], more: bool) {
    put_with(out, body, if more { MORE } else { 0 });
}

/// Appends a command.
pub fn put_command(out: &mut BytesMut, body: &[u8]) {
    put_with(out, body, COMMAND);
}

fn put_with(out: &mut BytesMut, body: &[u8], flags: u8) {
    out.reserve(9 + body.len());
    match u8::try_from(body.len()) {
        Ok(len) => out.put_slice(&[flags, len]),
        Err(_) => {
            out.put_u8(flags | LONG);
            out.put_u64(body.len() as u64);
        }
    }
    out.put_slice(body);
}
