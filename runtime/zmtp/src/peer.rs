//! One connection: the greeting, READY, then requests.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    command::{self, Command},
    frame::Head,
    request::Request,
    violation::Violation,
};

/// Bytes of a greeting.
const GREETING_BYTES: usize = 64;
/// Longest command, in bytes.
const COMMAND_BYTES_MAX: u64 = 4096;
/// Bytes that may be read at once, at least.
const ROOM_BYTES: usize = 64 << 10;

/// How much a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame that is kept, in bytes.
    pub kept_bytes_max: u64,
    /// Longest frame that is skipped, in bytes; a longer one ends the connection.
    pub frame_bytes_max: u64,
    /// Most frames of a message.
    pub frames_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Greeting,
    /// Between frames.
    Head,
    Body(Head),
    /// A frame too long to be kept, of which so many bytes have not come.
    Skip(Head, u64),
}

/// See the module.
#[derive(Debug)]
pub struct Peer {
    limits: Limits,
    phase: Phase,
    is_ready: bool,
    out: BytesMut,
    message: Vec<Bytes>,
    /// Which frames of the message were skipped.
    cut: Vec<usize>,
}

impl Peer {
    /// A connection that was just accepted. Its first [`Peer::output`] is to be written before anything is read: peers may wait
    /// for it in the middle of their own greeting.
    pub fn new(limits: Limits) -> Self {
        let mut out = BytesMut::with_capacity(128);
        out.extend_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL");
        out.resize(GREETING_BYTES, 0);
        command::put_ready(&mut out);
        Self {
            limits,
            phase: Phase::Greeting,
            is_ready: false,
            out,
            message: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// Bytes that are to be written now.
    pub fn output(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// True when the peer may send requests.
    pub const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// True when a message has begun and not ended.
    pub fn is_inside_message(&self) -> bool {
        let between = matches!(self.phase, Phase::Head | Phase::Greeting);
        !between || !self.message.is_empty()
    }

    /// Makes room for what is to come next: for the rest of a frame that is kept, which is within the limits.
    pub fn make_room(&self, input: &mut BytesMut) {
        let missing = match self.phase {
            Phase::Body(head) => usize::try_from(head.len).unwrap_or(0),
            _ => 0,
        };
        input.reserve(missing.saturating_sub(input.len()).max(ROOM_BYTES));
    }

    /// Takes what is whole from the bytes that came, up to a request's end; `None` when more bytes must come.
    ///
    /// # Errors
    /// When the peer breaks the protocol or exceeds its limits: [`Peer::output`] may have a last word to it, then the connection is
    /// to be closed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Request>, Violation> {
        loop {
            match self.phase {
                Phase::Greeting => {
                    if input.len() < GREETING_BYTES {
                        return greeting(input).map(|()| None);
                    }
                    greeting(input)?;
                    input.advance(GREETING_BYTES);
                    self.phase = Phase::Head;
                }
                Phase::Head => {
                    let Some(head) = Head::take(input)? else {
                        return Ok(None);
                    };
                    self.phase = self.begin(head)?;
                }
                Phase::Body(head) => {
                    let len = usize::try_from(head.len).map_err(|_| Violation::Long(head.len))?;
                    if input.len() < len {
                        return Ok(None);
                    }
                    let body = input.split_to(len).freeze();
                    self.phase = Phase::Head;
                    if head.is_command {
                        self.command(&body)?;
                    } else if let Some(request) = self.end(head, body) {
                        return Ok(Some(request));
                    }
                }
                Phase::Skip(head, left) => {
                    let here = left.min(input.len() as u64);
                    input.advance(usize::try_from(here).unwrap_or(0));
                    if here < left {
                        self.phase = Phase::Skip(head, left - here);
                        return Ok(None);
                    }
                    self.phase = Phase::Head;
                    self.cut.push(self.message.len());
                    if let Some(request) = self.end(head, Bytes::new()) {
                        return Ok(Some(request));
                    }
                }
            }
        }
    }

    fn begin(&self, head: Head) -> Result<Phase, Violation> {
        if head.is_command {
            return if head.len > COMMAND_BYTES_MAX {
                Err(Violation::Long(head.len))
            } else {
                Ok(Phase::Body(head))
            };
        }
        if !self.is_ready {
            return Err(Violation::NotReady);
        }
        if head.len > self.limits.frame_bytes_max {
            return Err(Violation::Long(head.len));
        }
        if self.message.len() >= self.limits.frames_max {
            return Err(Violation::Frames(self.limits.frames_max));
        }
        Ok(if head.len > self.limits.kept_bytes_max {
            Phase::Skip(head, head.len)
        } else {
            Phase::Body(head)
        })
    }

    fn end(&mut self, head: Head, body: Bytes) -> Option<Request> {
        self.message.push(body);
        if head.more {
            return None;
        }
        let message = std::mem::take(&mut self.message);
        Request::new(message, &std::mem::take(&mut self.cut))
    }

    fn command(&mut self, body: &[u8]) -> Result<(), Violation> {
        match Command::read(body)? {
            Command::Ready(kind) if !self.is_ready => {
                if !matches!(kind, b"REQ" | b"DEALER") {
                    let reason = "this socket answers to REQ and DEALER";
                    command::put_error(&mut self.out, reason);
                    let kind = String::from_utf8_lossy(&kind[..kind.len().min(16)]);
                    return Err(Violation::SocketType(kind.into_owned()));
                }
                self.is_ready = true;
            }
            Command::Ping(context) if self.is_ready => {
                command::put_pong(&mut self.out, context);
            }
            Command::Error => return Err(Violation::Error),
            _ if !self.is_ready => return Err(Violation::NotReady),
            _ => {}
        }
        Ok(())
    }
}

/// Looks at a greeting as far as it is there.
fn greeting(bytes: &[u8]) -> Result<(), Violation> {
    let is = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_none_or(|b| right(*b));
    if !is(0, |b| b == 0xff) || !is(9, |b| b & 1 == 1) || !is(10, |major| major >= 3) {
        return Err(Violation::NoZmtp3);
    }
    match bytes.get(12..32) {
        Some(mechanism) if mechanism[..4] != *b"NULL" || mechanism[4..].iter().any(|b| *b != 0) => {
            Err(Violation::Mechanism)
        }
        _ => Ok(()),
    }
}
