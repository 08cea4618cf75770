//! Who a datagram says it is from.

use zerocopy::FromBytes;

use super::{
    MessageKind,
    chunk::chunk_sender,
    header::{MAGIC, RawHeader},
};

/// The id and the incarnation that a datagram says it is from (0 if it does not say the incarnation), and how heavy it is: 0
/// for objects, 1 for what is said about their transfers, 2 for the rest. `None` if it is none of this protocol's. Nothing
/// else is checked.
pub fn sender(datagram: &[u8]) -> Option<(u16, u64, u8)> {
    use MessageKind::{Absent, Grant, Later, Nack, Pull};
    if let Some(from) = chunk_sender(datagram) {
        return Some((from.0, 0, 0));
    }
    let (raw, _) = RawHeader::ref_from_prefix(datagram).ok()?;
    let weight = match MessageKind::from_wire(raw.kind) {
        Some(Pull | Grant | Nack | Absent | Later) => 1,
        _ => 2,
    };
    (raw.magic == MAGIC).then(|| (raw.from.get().0, raw.incarnation.get().0, weight))
}
