//! Commands: READY, ERROR, PING and PONG. Others are left alone.

use bytes::{BufMut, BytesMut};

use crate::{frame, violation::Violation};

/// Longest context of a PING, in bytes.
const CONTEXT_MAX: usize = 16;

/// A peer's command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The peer's socket is of this type.
    Ready(&'a [u8]),
    /// The peer wants to know whether this end is there.
    Ping(&'a [u8]),
    /// The peer ends the connection.
    Error,
    /// Any other.
    Other,
}

impl<'a> Command<'a> {
    /// Reads a command's body.
    ///
    /// # Errors
    /// When it has no name, or READY names no socket type.
    pub fn read(body: &'a [u8]) -> Result<Self, Violation> {
        let (name, data) = short(body).ok_or(Violation::Command)?;
        match name {
            b"READY" => {
                let kind = socket_type(data).ok_or(Violation::Command)?;
                Ok(Self::Ready(kind))
            }
            b"PING" => {
                // Two bytes of time to live, which only this end's silence could exceed.
                let context = data.get(2..).ok_or(Violation::Command)?;
                Ok(Self::Ping(&context[..context.len().min(CONTEXT_MAX)]))
            }
            b"ERROR" => Ok(Self::Error),
            _ => Ok(Self::Other),
        }
    }
}

/// A text behind its length of one byte, and the rest.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

/// The value of the property `Socket-Type`; capitals do not count in names.
fn socket_type(mut properties: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while !properties.is_empty() {
        let (name, rest) = short(properties)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (value, rest) = rest.split_at_checked(len)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            found = Some(value);
        }
        properties = rest;
    }
    found
}

/// Appends this end's READY.
pub fn put_ready(out: &mut BytesMut) {
    frame::put_command(out, b"\x05READY\x0bSocket-Type\0\0\0\x06ROUTER");
}

/// Appends an answer to a PING.
pub fn put_pong(out: &mut BytesMut, context: &[u8]) {
    frame::put_command(out, &[b"\x04PONG", context].concat());
}

/// Appends why the connection ends; `reason` is short.
pub fn put_error(out: &mut BytesMut, reason: &str) {
    let mut body = BytesMut::from(&b"\x05ERROR"[..]);
    let reason = &reason.as_bytes()[..reason.len().min(255)];
    body.put_u8(u8::try_from(reason.len()).unwrap_or(u8::MAX));
    body.put_slice(reason);
    frame::put_command(out, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let ready = b"\x05READY\x08Identity\0\0\0\0\x0bsocket-TYPE\0\0\0\x03REQ";
        assert_eq!(Command::read(ready), Ok(Command::Ready(b"REQ")));
        let ping = b"\x04PING\0\x0aabc";
        assert_eq!(Command::read(ping), Ok(Command::Ping(b"abc")));
        assert_eq!(Command::read(b"\x05ERROR\x02no"), Ok(Command::Error));
        assert_eq!(Command::read(b"\x09SUBSCRIBEx"), Ok(Command::Other));
    }

    #[test]
    fn what_is_no_command_is_told() {
        for body in [
            &b""[..],
            b"\x05READ",
            b"\x05READY",
            b"\x05READY\x0bSocket-Type",
            b"\x05READY\x0bSocket-Type\0\0\0\xffREQ",
            b"\x04PING\0",
        ] {
            assert_eq!(Command::read(body), Err(Violation::Command), "{body:?}");
        }
    }
}
