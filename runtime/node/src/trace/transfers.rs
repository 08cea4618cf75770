//! Objects on their way: from the first request to the last byte. Those that overlap lie in lanes, since slices of one track
//! must nest.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::dataflow::ObjectKey;
use tessera_protocol::{FrameId, Micros, NodeId, PullId, wire::Request};
use tessera_trace::tracks::LANES_MAX;

/// Time without a byte after which a transfer counts as given up.
const GIVEN_UP_US: Micros = 5_000_000;

/// A transfer that has begun.
#[derive(Debug)]
struct Open {
    lane: u32,
    begin: Micros,
    last: Micros,
    name: String,
    frame: FrameId,
    flow: u64,
    flows_out: bool,
    bytes: usize,
    left: usize,
    /// Offsets that have come: some come twice.
    seen: BTreeSet<u32>,
}

/// A transfer whose last byte has come.
pub struct Transferred {
    pub tid: u32,
    pub lane: u32,
    pub what: &'static str,
    /// The first in its lane.
    pub is_new_lane: bool,
    pub name: String,
    pub begin: Micros,
    pub end: Micros,
    pub frame: FrameId,
    pub with: NodeId,
    pub bytes: usize,
    pub flow: u64,
    pub flows_out: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Transfers {
    first_tid: u32,
    what: &'static str,
    open: BTreeMap<(NodeId, PullId), Open>,
    /// When each lane is free again; a lane in use is not in it.
    free: BTreeMap<u32, Micros>,
    lanes: u32,
    named: BTreeSet<u32>,
}

impl Transfers {
    /// None yet; lanes are tracks from `first_tid` on.
    pub fn new(first_tid: u32, what: &'static str) -> Self {
        Self {
            first_tid,
            what,
            open: BTreeMap::new(),
            free: BTreeMap::new(),
            lanes: 0,
            named: BTreeSet::new(),
        }
    }

    /// A request for an object; one that is repeated changes nothing.
    pub fn begin(
        &mut self,
        now: Micros,
        key: (NodeId, PullId),
        what: &Request<'_>,
        flow: u64,
        flows_out: bool,
    ) {
        if self.open.contains_key(&key) {
            return;
        }
        let Some(lane) = self.lane(now) else { return };
        let bytes = what.region.len() * what.element.bytes();
        let frame = what.object.frame;
        let name = match what.object.key {
            ObjectKey::Frame => "the frame".to_owned(),
            ObjectKey::Output { task, output: 0 } => format!("output of task {}", task.0),
            ObjectKey::Output { task, output } => format!("output {output} of task {}", task.0),
        };
        self.open.insert(
            key,
            Open {
                lane,
                begin: now,
                last: now,
                name,
                frame,
                flow,
                flows_out,
                bytes,
                left: bytes,
                seen: BTreeSet::new(),
            },
        );
    }

    fn lane(&mut self, now: Micros) -> Option<u32> {
        let free = self
            .free
            .iter()
            .find(|(_, at)| **at <= now)
            .map(|(lane, _)| *lane);
        if let Some(lane) = free {
            self.free.remove(&lane);
            return Some(lane);
        }
        if self.lanes == LANES_MAX {
            // Those that were given up make room.
            let old = |o: &Open| o.last + GIVEN_UP_US < now;
            let over: Vec<_> = self
                .open
                .iter()
                .filter(|(_, o)| old(o))
                .map(|(k, _)| *k)
                .collect();
            for key in over {
                if let Some(o) = self.open.remove(&key) {
                    self.free.insert(o.lane, now);
                }
            }
            let lane = self.free.pop_first()?.0;
            return Some(lane);
        }
        self.lanes += 1;
        Some(self.lanes - 1)
    }

    /// Bytes of a transfer; the transfer when these are its last.
    pub fn bytes(
        &mut self,
        now: Micros,
        key: (NodeId, PullId),
        offset: u32,
        len: usize,
    ) -> Option<Transferred> {
        let open = self.open.get_mut(&key)?;
        if open.seen.insert(offset) {
            open.left = open.left.saturating_sub(len);
            open.last = now;
        }
        if open.left > 0 {
            return None;
        }
        let open = self.open.remove(&key)?;
        self.free.insert(open.lane, now);
        Some(Transferred {
            tid: self.first_tid + open.lane,
            lane: open.lane,
            what: self.what,
            is_new_lane: self.named.insert(open.lane),
            name: open.name,
            begin: open.begin,
            end: now,
            frame: open.frame,
            with: key.0,
            bytes: open.bytes,
            flow: open.flow,
            flows_out: open.flows_out,
        })
    }
}
