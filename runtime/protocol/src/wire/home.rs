//! The body between a board and the source whose tasks have their home on the board.

use zerocopy::little_endian::U16;

use super::{
    Reject,
    list::{Reader, piece},
    number::RequestField,
    writer::Writer,
};
use crate::RequestId;

/// A board's standing request for tasks. Leases answer it with its number and the numbers behind it, one for each
/// task that the board has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want<'a> {
    /// The sender's number of the first lease.
    pub request: RequestId,
    /// Number of tasks that the sender has room for; at most [`Self::ROOM_MAX`].
    pub room: u8,
    /// True when the sender has no task at all.
    pub idle: bool,
    /// Numbers of the receiver's leases that the sender has, or has ended: the receiver repeats the others.
    pub held: &'a [RequestField],
}

piece! {
    /// Body of [`Want`].
    RawWant {
        request: RequestField,
        room: u8,
        idle: u8,
        held: U16,
    }
}

impl<'a> Want<'a> {
    /// Most tasks that one request asks for.
    pub const ROOM_MAX: u8 = 64;
    /// Most leases that one request names.
    pub const HELD_MAX: usize = 64;

    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, Reject> {
        let raw = r.piece::<RawWant>()?;
        let held: &[RequestField] = r.list(raw.held.get().into(), Self::HELD_MAX)?;
        r.end()?;
        if raw.idle > 1 || raw.room > Self::ROOM_MAX {
            return Err(Reject::Value);
        }
        Ok(Self {
            request: raw.request.get(),
            room: raw.room,
            idle: raw.idle == 1,
            held,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawWant {
            request: self.request.into(),
            room: self.room,
            idle: self.idle.into(),
            held: (self.held.len() as u16).into(),
        });
        w.list(self.held, Self::HELD_MAX);
    }
}
