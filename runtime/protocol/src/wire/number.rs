//! Numbers in wire format: little-endian, unaligned, one type for each type of number.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use crate::{FrameNumber, Incarnation, NodeId, PullId, RequestId, TaskId, Ticket};

/// Defines for each type of number the field that carries the number.
macro_rules! fields {
    ($($name:ident($raw:ident) carries $of:ident,)*) => {$(
        #[doc = concat!("A [`", stringify!($of), "`] in a datagram.")]
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name($raw);

        impl $name {
            /// The number in the field.
            pub const fn get(self) -> $of {
                $of(self.0.get())
            }
        }

        impl From<$of> for $name {
            fn from(of: $of) -> Self {
                Self($raw::new(of.0))
            }
        }
    )*};
}

fields! {
    NodeField(U16) carries NodeId,
    IncarnationField(U64) carries Incarnation,
    FrameField(U32) carries FrameNumber,
    TaskField(U32) carries TaskId,
    RequestField(U32) carries RequestId,
    PullField(U32) carries PullId,
    TicketField(U32) carries Ticket,
}
