//! What travelled between nodes: one entry per transfer, read from the datagrams that pass.

use std::collections::BTreeMap;

use tessera_protocol::{
    ObjectId, ProgramInfo, PullId,
    wire::{self, Message},
};

/// A box of an object on its way from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The node that has the object.
    pub from: usize,
    /// The node that asked for the box.
    pub to: usize,
    /// The object.
    pub object: ObjectId,
    /// Virtual time at which the first chunk was sent, in microseconds.
    pub start_us: u64,
    /// Virtual time at which the last chunk passed the sender's link, in microseconds.
    pub end_us: u64,
    /// Bytes of values sent; chunks that were sent again count again.
    pub bytes: u64,
    /// Chunks sent.
    pub chunks: u64,
}

/// All transfers of a world.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    list: Vec<Transfer>,
    /// Places in the list, by holder, receiver and the receiver's number.
    open: BTreeMap<(usize, usize, PullId), usize>,
}

impl Transfers {
    /// Transfers that are recorded; later ones are left out.
    const LENGTH_MAX: usize = 1 << 22;

    /// Notes a datagram from one node to another: when it was sent, and when it passed the sender's link.
    pub fn sent(
        &mut self,
        info: &ProgramInfo,
        [from, to]: [usize; 2],
        [start_us, end_us]: [u64; 2],
        bytes: &[u8],
    ) {
        match wire::parse(bytes, info) {
            Ok((_, Message::Pull(r) | Message::Grant(r) | Message::Nack(r))) => {
                let key = (to, from, r.pull);
                let known = self.open.get(&key).map(|k| self.list[*k].object);
                if known == Some(r.object) || self.list.len() == Self::LENGTH_MAX {
                    return;
                }
                self.open.insert(key, self.list.len());
                self.list.push(Transfer {
                    from: to,
                    to: from,
                    object: r.object,
                    start_us: u64::MAX,
                    end_us: 0,
                    bytes: 0,
                    chunks: 0,
                });
            }
            Ok((_, Message::Data(d))) => {
                let Some(k) = self.open.get(&(from, to, d.pull)) else {
                    return;
                };
                let t = &mut self.list[*k];
                t.start_us = t.start_us.min(start_us);
                t.end_us = t.end_us.max(end_us);
                t.bytes += d.bytes.len() as u64;
                t.chunks += 1;
            }
            _ => {}
        }
    }

    /// Transfers of which chunks were sent, ordered by their beginnings.
    pub fn list(&self) -> Vec<Transfer> {
        let sent = self.list.iter().filter(|t| t.chunks > 0);
        let mut list: Vec<Transfer> = sent.copied().collect();
        list.sort_by_key(|t| (t.start_us, t.from, t.to));
        list
    }
}
