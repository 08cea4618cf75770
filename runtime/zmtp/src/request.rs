//! A request, and the form of its reply.

use bytes::{Bytes, BytesMut};

use crate::frame;

/// A message that wants a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the reply begins with, the empty frame included: without it, the peer would drop the reply.
    envelope: Vec<Bytes>,
    /// The frames behind it. One that was too long to be kept is empty.
    pub frames: Vec<Bytes>,
    /// A frame was too long to be kept.
    pub is_cut: bool,
}

impl Request {
    /// A message's parts, of which those at the places `cut` were too long to be kept; `None` without the empty frame that ends an
    /// envelope: nothing could be replied to it.
    pub fn new(mut message: Vec<Bytes>, cut: &[usize]) -> Option<Self> {
        let end = (0..message.len()).find(|at| message[*at].is_empty() && !cut.contains(at))?;
        let frames = message.split_off(end + 1);
        Some(Self {
            envelope: message,
            frames,
            is_cut: !cut.is_empty(),
        })
    }

    /// The bytes of the reply with these frames.
    pub fn reply(&self, frames: &[&[u8]]) -> Bytes {
        let mut out = BytesMut::new();
        for part in &self.envelope {
            frame::put(&mut out, part, true);
        }
        for (at, body) in frames.iter().enumerate() {
            frame::put(&mut out, body, at + 1 < frames.len());
        }
        out.freeze()
    }
}
