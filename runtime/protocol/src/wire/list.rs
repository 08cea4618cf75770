//! Elements of the lists that bodies end with, and how lists are read and written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    NO_TASK, Reject,
    number::{FrameField, IncarnationField, NodeField, RequestField, TaskField},
};
use crate::{
    FrameMeta, FrameName, FrameNumber, Incarnation, Micros, NodeId, NodeIncarnation, ProgramInfo,
    TaskId,
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

/// Derives what every piece of a datagram has.
macro_rules! piece {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::KnownLayout,
            zerocopy::Immutable,
            zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }
    };
}
pub(super) use piece;

piece! {
    /// An incarnation of a node, and where it was seen. 28 bytes.
    PeerAddress {
        /// The node.
        id: NodeField,
        /// UDP port.
        port: U16,
        /// Its process.
        incarnation: IncarnationField,
        /// IPv6 address, or an IPv4 address mapped into one.
        ip: [u8; 16],
    }
}

piece! {
    /// A frame in flight at its source. 120 bytes.
    FrameEntry {
        /// Its number.
        number: FrameField,
        /// 1 when a task of it failed on every attempt, else 0.
        failed: u8,
        /// Zero.
        /// Bytes of its name.
        name_bytes: u8,
        /// Its finished tasks that the tail reads of.
        finished: U16,
        /// As in [`FrameMeta`].
        tag: U64,
        /// As in [`FrameMeta`].
        image_w: U32,
        /// As in [`FrameMeta`].
        image_h: U32,
        /// As in [`FrameMeta`].
        captured_us: U64,
        /// Microseconds from its capture to this announcement. Nodes' clocks begin anywhere; spans can be compared.
        age_us: U64,
        /// Zero.
        pad_end: u8,
        /// As in [`FrameMeta`]; zero behind its end.
        name: [u8; FrameName::BYTES_MAX],
    }
}

piece! {
    /// What the gateway has made of a frame. 8 bytes.
    FrameStatusEntry {
        /// Its number.
        number: FrameField,
        /// A [`super::FrameStatus`].
        stand: u8,
        /// Zero.
        pad: u8,
        /// How often the gateway has made room for it: what it merged in an earlier room is gone.
        opened: U16,
    }
}

piece! {
    /// What the gateway knows of a node, and of the frames it has brought. 44 bytes.
    NodeStatusEntry {
        /// Where it was seen.
        node: PeerAddress,
        /// 1: alive, 0: dead, or not seen for so long that it must be.
        alive: u8,
        /// Zero.
        pad: [u8; 3],
        /// All frames of this incarnation before it have ended.
        floor: FrameField,
        /// Bit `i`: frame `floor + i` has ended.
        ended: U64,
    }
}

piece! {
    /// A lease as its thief names it. 12 bytes.
    LeaseRef {
        /// Frame number at the owner.
        number: FrameField,
        /// Task.
        task: TaskField,
        /// Number of the request that it answered.
        request: RequestField,
    }
}

piece! {
    /// An object that a thief could not get from a holder. 16 bytes.
    LostObject {
        /// Task that made it; [`NO_TASK`] for the frame.
        task: TaskField,
        /// Output of the task.
        output: U16,
        /// The node that was asked.
        holder: NodeField,
        /// Which incarnation of it.
        incarnation: IncarnationField,
    }
}

piece! {
    /// Where a finished task's outputs lie. 8 bytes.
    ResultEntry {
        /// Task.
        task: TaskField,
        /// How often the owner has had to have the task done again.
        generation: U16,
        /// Index into the datagram's nodes.
        holder: u8,
        /// Zero.
        pad: u8,
    }
}

piece! {
    /// What the gateway has of a task. 8 bytes.
    ResultNote {
        /// Task.
        task: TaskField,
        /// As in [`ResultEntry`].
        generation: U16,
        /// 1: merged, 0: known.
        merged: u8,
        /// Zero.
        pad: u8,
    }
}

piece! {
    /// Outputs that the gateway could not get. 16 bytes.
    LostResult {
        /// Task; [`NO_TASK`] for the frame itself.
        task: TaskField,
        /// As in [`ResultEntry`].
        generation: U16,
        /// The node that was asked.
        holder: NodeField,
        /// Which incarnation of it.
        incarnation: IncarnationField,
    }
}

piece! {
    /// Consecutive chunks. 8 bytes.
    ChunkRange {
        /// First chunk.
        start: U32,
        /// How many.
        count: U32,
    }
}

piece! {
    /// A box. 24 bytes.
    RawRegion {
        /// `y`, `x`, `c`, each `lo, hi`.
        axes: [U32; 6],
    }
}

impl PeerAddress {
    /// A node for the wire.
    pub fn new(id: NodeId, incarnation: Incarnation, addr: SocketAddr) -> Self {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self {
            id: id.into(),
            port: addr.port().into(),
            incarnation: incarnation.into(),
            ip: ip.octets(),
        }
    }

    /// The node.
    pub fn id(&self) -> NodeId {
        self.id.get()
    }

    /// Which process it is, wherever it was seen.
    pub fn who(&self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id(),
            incarnation: self.incarnation(),
        }
    }

    /// Its process.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation.get()
    }

    /// Its UDP address.
    pub fn addr(&self) -> SocketAddr {
        let ip = Ipv6Addr::from(self.ip);
        let ip = ip
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(ip), std::net::IpAddr::V4);
        SocketAddr::new(ip, self.port.get())
    }
}

impl LostObject {
    /// The process that was asked.
    pub fn holder(&self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.holder.get(),
            incarnation: self.incarnation.get(),
        }
    }
}

impl LostResult {
    /// The process that was asked.
    pub fn holder(&self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.holder.get(),
            incarnation: self.incarnation.get(),
        }
    }
}

impl FrameEntry {
    /// A frame for the wire.
    pub fn new(
        number: FrameNumber,
        failed: bool,
        finished: u16,
        meta: FrameMeta,
        age_us: Micros,
    ) -> Self {
        let (name_bytes, name) = meta.name.to_wire();
        Self {
            number: number.into(),
            failed: failed.into(),
            name_bytes,
            finished: finished.into(),
            tag: meta.tag.into(),
            image_w: meta.image_w.into(),
            image_h: meta.image_h.into(),
            captured_us: meta.captured_us.into(),
            age_us: age_us.into(),
            pad_end: 0,
            name,
        }
    }

    /// Whether its name is one.
    pub(super) fn is_sound(&self) -> bool {
        FrameName::from_wire(self.name_bytes, &self.name).is_some()
    }

    /// What its source says of it. A name that is none does not pass [`super::parse`].
    pub fn meta(&self) -> FrameMeta {
        FrameMeta {
            name: FrameName::from_wire(self.name_bytes, &self.name).unwrap_or_default(),
            tag: self.tag.get(),
            image_w: self.image_w.get(),
            image_h: self.image_h.get(),
            captured_us: self.captured_us.get(),
        }
    }
}

impl RawRegion {
    /// A box for the wire.
    pub fn new(r: Region) -> Self {
        Self {
            // Boxes of checked programs: sides are far below 2^32.
            axes: [r.y.lo, r.y.hi, r.x.lo, r.x.hi, r.c.lo, r.c.hi].map(|n| U32::new(n as u32)),
        }
    }

    /// The box.
    pub fn region(&self) -> Region {
        let [y0, y1, x0, x1, c0, c1] = self.axes.map(|n| n.get() as usize);
        Region::new([y0, y1], [x0, x1], [c0, c1])
    }
}

/// How a part travels: its task (or [`NO_TASK`]) and output.
pub fn key_to_wire(key: ObjectKey) -> (TaskId, u16) {
    match key {
        ObjectKey::Frame => (NO_TASK, 0),
        ObjectKey::Output { task, output } => (task, output),
    }
}

/// The part that travelled so.
///
/// # Errors
/// [`Reject::Id`] when the program has no such part.
pub fn key_from_wire(task: TaskId, output: u16, info: &ProgramInfo) -> Result<ObjectKey, Reject> {
    let key = if task == NO_TASK && output == 0 {
        ObjectKey::Frame
    } else {
        ObjectKey::Output { task, output }
    };
    info.region(key).map(|_| key).ok_or(Reject::Id)
}

/// Reads bodies from the front of a datagram.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A fixed piece.
    pub fn piece<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
    ) -> Result<&'a T, Reject> {
        let (piece, rest) = T::ref_from_prefix(self.rest).map_err(|_| Reject::Length)?;
        self.rest = rest;
        Ok(piece)
    }

    /// `count` elements, at most `most`.
    pub fn list<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
        count: usize,
        most: usize,
    ) -> Result<&'a [T], Reject> {
        if count > most {
            return Err(Reject::Count);
        }
        let (list, rest) =
            <[T]>::ref_from_prefix_with_elems(self.rest, count).map_err(|_| Reject::Count)?;
        self.rest = rest;
        Ok(list)
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Reject> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Reject::Length)
        }
    }
}
