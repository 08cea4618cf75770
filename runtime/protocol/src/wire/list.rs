//! Elements of the lists at the end of bodies, with the reading and writing of lists.

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

/// Derives the traits that every piece of a datagram needs.
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
    /// An incarnation of a node, and its last known address. 28 bytes.
    PeerAddress {
        /// The node's id.
        id: NodeField,
        /// UDP port.
        port: U16,
        /// The incarnation of the node's process.
        incarnation: IncarnationField,
        /// IPv6 address, or an IPv4 address mapped into one.
        ip: [u8; 16],
    }
}

piece! {
    /// A frame in flight at its source. 120 bytes.
    FrameEntry {
        /// The frame's number.
        number: FrameField,
        /// 1 when one of the frame's tasks failed on every attempt, else 0.
        failed: u8,
        /// Length of the frame's name in bytes.
        name_bytes: u8,
        /// Number of the frame's finished tasks whose outputs the tail reads.
        finished: U16,
        /// The source's own number for the frame, as in [`FrameMeta`].
        tag: U64,
        /// Width of the original picture in pixels.
        image_w: U32,
        /// Height of the original picture in pixels.
        image_h: U32,
        /// Time of capture on the source's clock, in microseconds.
        captured_us: U64,
        /// Microseconds from the capture to this announcement. Clocks of nodes differ, so only spans are comparable.
        age_us: U64,
        /// How often the frame was begun anew.
        attempt: u8,
        /// As in [`FrameMeta`]; zero behind the end of the name.
        name: [u8; FrameName::BYTES_MAX],
    }
}

piece! {
    /// The state of a frame at the gateway. 8 bytes.
    FrameStatusEntry {
        /// The frame's number.
        number: FrameField,
        /// An encoded [`super::FrameStatus`].
        stand: u8,
        /// Zero.
        pad: u8,
        /// How often the gateway has given slots to the frame: what the gateway merged in earlier slots is gone.
        opened: U16,
    }
}

piece! {
    /// The gateway's knowledge of a node and of the node's frames. 44 bytes.
    NodeStatusEntry {
        /// The node's incarnation and last known address.
        node: PeerAddress,
        /// 1: alive; 0: dead, or silent for so long that the node counts as dead.
        alive: u8,
        /// Zero.
        pad: [u8; 3],
        /// First frame of this incarnation that may still be in flight: all earlier frames have ended.
        floor: FrameField,
        /// Bit `i` is set when frame `floor + i` has ended.
        ended: U64,
    }
}

piece! {
    /// A thief's reference to a lease. 12 bytes.
    LeaseRef {
        /// Number of the frame at the owner.
        number: FrameField,
        /// The leased task.
        task: TaskField,
        /// Number of the request that the lease answered.
        request: RequestField,
    }
}

piece! {
    /// An object that a thief could not get from a holder. 16 bytes.
    LostObject {
        /// The task that made the object; [`NO_TASK`] for the frame.
        task: TaskField,
        /// Index of the task's output.
        output: U16,
        /// The id of the node that was asked.
        holder: NodeField,
        /// The incarnation of the node that was asked.
        incarnation: IncarnationField,
    }
}

piece! {
    /// A task, finished or not, and the holder of the outputs. 8 bytes.
    ResultEntry {
        /// The finished task.
        task: TaskField,
        /// How often the owner has had to have the task done again.
        generation: U16,
        /// Index into the datagram's list of nodes.
        holder: u8,
        /// 1: the holder is still making the outputs, or will; 0: the task is finished.
        early: u8,
    }
}

piece! {
    /// The gateway's knowledge of a task's outputs. 8 bytes.
    ResultNote {
        /// The reported task.
        task: TaskField,
        /// The task's generation, as in [`ResultEntry`].
        generation: U16,
        /// 1: the outputs are merged; 0: the gateway knows where the outputs are.
        merged: u8,
        /// 1: the gateway knows only who is making the outputs.
        early: u8,
    }
}

piece! {
    /// Outputs that the gateway could not get from a holder. 16 bytes.
    LostResult {
        /// The task that made the outputs; [`NO_TASK`] for the frame itself.
        task: TaskField,
        /// The task's generation, as in [`ResultEntry`].
        generation: U16,
        /// The id of the node that was asked.
        holder: NodeField,
        /// The incarnation of the node that was asked.
        incarnation: IncarnationField,
    }
}

piece! {
    /// A range of consecutive chunks. 8 bytes.
    ChunkRange {
        /// Index of the first chunk.
        start: U32,
        /// Number of chunks.
        count: U32,
    }
}

piece! {
    /// A box in wire format. 24 bytes.
    RawRegion {
        /// `lo, hi` of the axes `y`, `x` and `c`, half-open.
        axes: [U32; 6],
    }
}

impl PeerAddress {
    /// Encodes a node's process and address.
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

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.id.get()
    }

    /// The process, without its address.
    pub fn who(&self) -> NodeIncarnation {
        NodeIncarnation {
            id: self.id(),
            incarnation: self.incarnation(),
        }
    }

    /// The incarnation of the node's process.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation.get()
    }

    /// The node's UDP address.
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
    /// Encodes a frame in flight.
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
            attempt: 0,
            name,
        }
    }

    /// The same for a frame that was begun anew `attempt` times.
    #[must_use]
    pub const fn anew(mut self, attempt: u8) -> Self {
        self.attempt = attempt;
        self
    }

    /// True when the name is valid.
    pub(super) fn is_sound(&self) -> bool {
        FrameName::from_wire(self.name_bytes, &self.name).is_some()
    }

    /// The source's description of the frame. [`super::parse`] rejects invalid names.
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
    /// Encodes a box.
    pub fn new(r: Region) -> Self {
        Self {
            // Boxes of checked programs: sides are far below 2^32.
            axes: [r.y.lo, r.y.hi, r.x.lo, r.x.hi, r.c.lo, r.c.hi].map(|n| U32::new(n as u32)),
        }
    }

    /// Decodes the box.
    pub fn region(&self) -> Region {
        let [y0, y1, x0, x1, c0, c1] = self.axes.map(|n| n.get() as usize);
        Region::new([y0, y1], [x0, x1], [c0, c1])
    }
}

/// Encodes an object's key as the task (or [`NO_TASK`]) and the index of the output.
pub fn key_to_wire(key: ObjectKey) -> (TaskId, u16) {
    match key {
        ObjectKey::Frame => (NO_TASK, 0),
        ObjectKey::Output { task, output } => (task, output),
    }
}

/// Decodes an object's key.
///
/// # Errors
/// [`Reject::Id`] when the program has no such object.
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

    /// Reads one piece of fixed size.
    pub fn piece<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
    ) -> Result<&'a T, Reject> {
        let (piece, rest) = T::ref_from_prefix(self.rest).map_err(|_| Reject::Length)?;
        self.rest = rest;
        Ok(piece)
    }

    /// Reads `count` elements; `most` is the upper bound of `count`.
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

    /// Returns all remaining bytes.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that no bytes remain.
    pub fn end(self) -> Result<(), Reject> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Reject::Length)
        }
    }
}
