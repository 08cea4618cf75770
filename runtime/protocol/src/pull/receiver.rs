//! The receiver of all pulls of a node.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use super::{
    PullError,
    path::{Path, RequestedChunk},
    rtt::Rtt,
    runs::scatter_open,
    transfer::{Destination, Pull},
};
use crate::{
    Micros, NodeId, ObjectId, PullId, TransferConfig,
    ids::NodeIncarnation,
    peer::{Peer, Sender},
    stats::TransferStats,
    store::Store,
    wire::{ChunkRange, Data, Envelope, Message, MessageKind, NO_RUN, Reject},
};
use tessera_plan::region::Region;

/// Fetches boxes of objects. `T` is the caller's tag for a pull.
#[derive(Debug)]
pub struct Receiver<T> {
    pub(super) config: TransferConfig,
    pub(super) pulls: BTreeMap<PullId, Pull<T>>,
    pub(super) paths: BTreeMap<NodeIncarnation, HolderPath>,
    pub(super) next: PullId,
    /// Number of chunks under way over all paths.
    pub(super) under_way: usize,
    /// Round trips over all paths.
    pub(super) load: Rtt,
    /// The path served last: the next turn starts with the next path.
    pub(super) turn: NodeIncarnation,
    /// True when nothing can be requested before something changes.
    pub(super) settled: bool,
    pub(super) ended: VecDeque<(T, Result<(), PullError>)>,
    /// Holders from which only smaller chunks arrive, with the bytes of these, in the order of detection.
    pub(super) narrowed: VecDeque<(Peer, usize)>,
    /// Earliest time at which a deferred pull asks again.
    pub(super) next_deferred_us: Option<Micros>,
    /// Earliest time at which a request may leave that waits for its turn in time.
    pub(super) next_paced_us: Option<Micros>,
    pub(super) ranges: Vec<ChunkRange>,
}

/// A path, and the pulls with chunks to request over the path, first come, first served.
#[derive(Debug)]
pub(super) struct HolderPath {
    pub(super) path: Path,
    pub(super) queue: VecDeque<PullId>,
    /// Number of pulls from this holder.
    pub(super) pulls: usize,
}

impl<T: Copy> Receiver<T> {
    /// A receiver without pulls.
    pub fn new(mut config: TransferConfig) -> Self {
        config.chunk_bytes = (config.chunk_bytes & !3).clamp(4, TransferConfig::CHUNK_BYTES_MAX);
        Self {
            config,
            pulls: BTreeMap::new(),
            paths: BTreeMap::new(),
            next: PullId(1),
            under_way: 0,
            load: Rtt::default(),
            turn: Peer::NOBODY,
            settled: true,
            ended: VecDeque::new(),
            narrowed: VecDeque::new(),
            next_deferred_us: None,
            next_paced_us: None,
            ranges: Vec::new(),
        }
    }

    /// Number of pulls.
    pub fn len(&self) -> usize {
        self.pulls.len()
    }

    /// True while objects travel that are made.
    pub fn fetches(&self) -> bool {
        self.pulls.values().any(|p| p.deferred_until_us.is_none())
    }

    /// Number of chunks under way.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Starts to fetch `region` of `object`. The receiver writes to the slot until the pull ends or is
    /// cancelled.
    pub fn start(
        &mut self,
        tag: T,
        holder: Peer,
        object: ObjectId,
        region: Region,
        destination: Destination,
        stats: &mut TransferStats,
    ) -> PullId {
        // Skips numbers in use after 2^32 pulls.
        while self.pulls.contains_key(&self.next) {
            self.next.0 = self.next.0.wrapping_add(1);
        }
        let id = self.next;
        self.next.0 = self.next.0.wrapping_add(1);
        stats.pulls += 1;
        if region.is_empty() {
            stats.pulled += 1;
            self.ended.push_back((tag, Ok(())));
            return id;
        }
        let line = self
            .paths
            .entry(holder.who())
            .or_insert_with(|| HolderPath {
                path: Path::new(&self.config),
                queue: VecDeque::new(),
                pulls: 0,
            });
        line.pulls += 1;
        let chunk_bytes = line.path.chunk_bytes();
        let pull = Pull::new(tag, holder, object, region, destination, chunk_bytes);
        self.pulls.insert(id, pull);
        enqueue(&mut line.queue, &self.pulls, id, false, false);
        self.settled = false;
        id
    }

    /// Notes whether a core waits for a pull's box, or whether it is fetched ahead.
    pub fn set_ahead(&mut self, id: PullId, ahead: bool) {
        let pull = self.pulls.get_mut(&id);
        let Some(pull) = pull.filter(|p| p.ahead != ahead) else {
            return;
        };
        pull.ahead = ahead;
        let (holder, queued) = (pull.holder.who(), pull.queued);
        if let Some(line) = self.paths.get_mut(&holder).filter(|_| queued) {
            line.queue.retain(|&p| p != id);
            enqueue(&mut line.queue, &self.pulls, id, ahead, false);
        }
    }

    /// Ends a pull without a result. The receiver no longer writes to the pull's slot.
    pub fn cancel(&mut self, id: PullId) {
        self.remove(id);
    }

    fn remove(&mut self, id: PullId) -> Option<Pull<T>> {
        let pull = self.pulls.remove(&id)?;
        if let Some(line) = self.paths.get_mut(&pull.holder.who()) {
            self.under_way -= line.path.under_way();
            line.path.forget(id);
            self.under_way += line.path.under_way();
            if pull.queued {
                line.queue.retain(|&p| p != id);
            }
            line.pulls -= 1;
        }
        self.settled = false;
        Some(pull)
    }

    fn end(&mut self, id: PullId, how: Result<(), PullError>, stats: &mut TransferStats) {
        let Some(pull) = self.remove(id) else { return };
        match how {
            Ok(()) => stats.pulled += 1,
            Err(PullError::Absent) => stats.absent += 1,
            Err(PullError::Unreachable) => stats.unreachable += 1,
        }
        self.ended.push_back((pull.tag, how));
    }

    /// Ends pulls from a node, or an incarnation of a node, that is known to be gone.
    pub fn gone(&mut self, dead: impl Fn(&Peer) -> bool, stats: &mut TransferStats) {
        let gone: Vec<PullId> = (self.pulls.iter())
            .filter(|(_, p)| dead(&p.holder))
            .map(|(&id, _)| id)
            .collect();
        for id in gone {
            self.end(id, Err(PullError::Unreachable), stats);
        }
        self.drop_idle_paths();
    }

    /// Bounds the number of remembered paths.
    fn drop_idle_paths(&mut self) {
        const IDLE_MAX: usize = 256;
        if self.paths.len() > IDLE_MAX {
            self.paths.retain(|_, l| l.pulls > 0);
        }
    }

    /// Handles a holder's answer that it does not have the object.
    ///
    /// # Errors
    /// [`Reject::Unexpected`] when the holder was not asked.
    pub fn on_absent(
        &mut self,
        envelope: &Envelope,
        now_us: Micros,
        id: PullId,
        stats: &mut TransferStats,
    ) -> Result<(), Reject> {
        let asked = self.pulls.get_mut(&id);
        let Some(pull) = asked.filter(|p| p.holder.id == envelope.from) else {
            return Err(Reject::Unexpected);
        };
        if pull.early && pull.run == NO_RUN && pull.unknown < Self::UNKNOWN_MAX {
            // The holder may not have its own lease yet.
            pull.unknown += 1;
            self.defer(id, now_us + Self::UNKNOWN_US);
            return Ok(());
        }
        self.end(id, Err(PullError::Absent), stats);
        Ok(())
    }

    /// The node that a pull asks for chunks.
    pub fn holder_of(&self, id: PullId) -> Option<Peer> {
        self.pulls.get(&id).map(|p| p.holder)
    }

    /// Handles a chunk that arrives at `me` and says that it is from node `from`. Returns the pull's tag, and the number of
    /// rows of its box that are here with all rows before them, if the pull goes on.
    ///
    /// # Errors
    /// A [`Reject`] when the chunk was not requested of this process of the sender, or by this process of the receiver, or
    /// was damaged on the way. The slot stays unchanged then.
    pub fn on_data(
        &mut self,
        now_us: Micros,
        me: Sender,
        from: NodeId,
        data: &Data<'_>,
        store: &mut impl Store,
        stats: &mut TransferStats,
    ) -> Result<Option<(T, usize)>, Reject> {
        let Some(pull) = self.pulls.get_mut(&data.pull) else {
            stats.chunks_late += 1;
            return Ok(None);
        };
        if pull.holder.id != from {
            return Err(Reject::Unexpected);
        }
        let holder = Sender {
            id: from,
            incarnation: pull.holder.incarnation,
            plan: me.plan,
        };
        data.check(&holder.to(Some(me.incarnation)))?;
        let (size, offset) = (pull.chunk_bytes, data.offset as usize);
        let end = (offset + size).min(pull.bytes());
        if !offset.is_multiple_of(size) || offset + data.bytes.len() != end {
            return Err(Reject::Range);
        }
        let chunk = (offset / size) as u32;
        if pull.early && chunk >= pull.made {
            self.resume(now_us, data.pull, chunk);
        }
        let Some(pull) = self.pulls.get_mut(&data.pull) else {
            return Ok(None);
        };
        if let Some(line) = self.paths.get_mut(&pull.holder.who()) {
            self.under_way -= line.path.under_way();
            let most = budget_chunks(&self.config, line.path.shortest());
            let rtt = line.path.arrive(now_us, data.pull, chunk, most);
            if let Some(sample) = rtt {
                self.load.measure(sample);
            }
            self.under_way += line.path.under_way();
            self.settled = false;
            if line.path.prove(data.bytes.len(), &self.config) {
                let bytes = line.path.chunk_bytes();
                self.narrowed.push_back((pull.holder, bytes));
            }
            if pull.got.get(chunk) && pull.copied > 0 {
                pull.copied -= 1;
            } else if pull.got.get(chunk) && pull.repeated > 0 {
                pull.repeated -= 1;
                line.path.spurious();
            }
        }
        if !pull.arrived(chunk) {
            stats.chunks_duplicate += 1;
            return Ok(None);
        }
        stats.chunks_received += 1;
        stats.bytes_received += data.bytes.len() as u64;
        let destination = pull.destination;
        scatter_open(
            destination.element.bytes(),
            store.open_bytes(destination.slot),
            destination.region,
            pull.region,
            offset,
            data.bytes,
        );
        if pull.got.full() {
            self.end(data.pull, Ok(()), stats);
            return Ok(None);
        }
        Ok(Some((pull.tag, pull.rows())))
    }

    /// The next holder whose large datagrams get lost while smaller ones arrive, and the payload of these in bytes.
    pub fn take_narrowed(&mut self) -> Option<(Peer, usize)> {
        self.narrowed.pop_front()
    }

    /// The next pull that has ended.
    pub fn take_ended(&mut self) -> Option<(T, Result<(), PullError>)> {
        self.ended.pop_front()
    }

    /// True when [`Receiver::take_ended`] has a pull to return.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// When to call [`Receiver::poll`] again, if nothing else happens earlier.
    pub fn next(&self) -> Option<Micros> {
        (self.paths.values())
            .filter_map(|l| l.path.next(&self.load, &self.config))
            .chain(self.next_deferred_us)
            .chain(self.next_paced_us)
            .min()
    }

    /// Writes the next request to `out`; returns the destination and the kind.
    pub fn poll(
        &mut self,
        now_us: Micros,
        me: Sender,
        stats: &mut TransferStats,
        out: &mut Vec<u8>,
    ) -> Option<(Peer, MessageKind)> {
        self.ask_deferred(now_us);
        self.look_for_losses(now_us, stats);
        if self.next_paced_us.is_some_and(|at| at <= now_us) {
            self.settled = false;
        }
        if self.settled {
            return None;
        }
        let busy = self.paths.values().filter(|l| l.pulls > 0);
        let shortest = busy.map(|l| l.path.shortest()).min();
        let budget = budget_chunks(&self.config, shortest.unwrap_or(u64::MAX));
        let room = budget.saturating_sub(self.under_way);
        // Terminates: a turn without a request takes a pull out of its queue.
        while let Some((id, pull)) = self.next_turn(now_us, room) {
            self.turn = id;
            let asked = self.ask(now_us, id, pull, room, me, stats, out);
            if asked.is_some() {
                return asked;
            }
        }
        self.settled = true;
        None
    }

    /// The next holder, in turn, that may receive a request now, and the pull to request for.
    fn next_turn(&mut self, now_us: Micros, room: usize) -> Option<(NodeIncarnation, PullId)> {
        let after = self
            .paths
            .range((Bound::Excluded(self.turn), Bound::Unbounded));
        let order = after.chain(self.paths.range(..=self.turn));
        let mut next_paced_us: Option<Micros> = None;
        let mut ready = order.filter_map(|(&id, line)| {
            let pull = self.ready(id, room)?;
            let until_us = line.path.paced_until();
            if until_us > now_us {
                next_paced_us = Some(next_paced_us.map_or(until_us, |at| at.min(until_us)));
                return None;
            }
            Some((id, pull))
        });
        // Of those that may ask, one for a box that a core waits for.
        let mut found = None;
        for (id, pull) in &mut ready {
            let ahead = self.pulls.get(&pull).is_some_and(|p| p.ahead);
            if !ahead || found.is_none() {
                found = Some((id, pull));
            }
            if !ahead {
                break;
            }
        }
        drop(ready);
        self.next_paced_us = next_paced_us;
        found
    }

    /// The pull that may send a request to a holder now, if any.
    fn ready(&self, id: NodeIncarnation, room: usize) -> Option<PullId> {
        let line = self.paths.get(&id)?;
        let front = *line.queue.front()?;
        let wanted = self.pulls.get(&front)?.wanted();
        let room = room.min(line.path.window().saturating_sub(line.path.under_way()));
        // Unless fewer are wanted, or nothing is under way.
        let enough = line.path.worth_asking();
        let worth = room >= enough.min(wanted) || line.path.under_way() == 0;
        (room > 0 && worth).then_some(front)
    }

    #[expect(clippy::too_many_arguments, reason = "the second half of poll")]
    fn ask(
        &mut self,
        now_us: Micros,
        id: NodeIncarnation,
        front: PullId,
        room: usize,
        me: Sender,
        stats: &mut TransferStats,
        out: &mut Vec<u8>,
    ) -> Option<(Peer, MessageKind)> {
        let line = self.paths.get_mut(&id)?;
        let pull = self.pulls.get_mut(&front)?;
        let room = room.min(line.path.window().saturating_sub(line.path.under_way()));
        let room = room.min(line.path.request_chunks_max());
        let repeats = pull.repeats();
        let before = line.path.under_way();
        let again = pull.take_wanted(now_us, front, room, &mut line.path, &mut self.ranges);
        let asked = line.path.under_way() - before;
        self.under_way += asked;
        line.path.pace(now_us, asked);
        stats.chunks_rerequested += u64::from(again);
        if pull.wanted() == 0 {
            line.queue.pop_front();
            pull.queued = false;
        }
        if self.ranges.is_empty() {
            return None;
        }
        let request = pull.request(front, &self.ranges);
        let message = match (repeats, pull.begun) {
            (true, _) => Message::Nack(request),
            (false, true) => Message::Grant(request),
            (false, false) => Message::Pull(request),
        };
        pull.begun = true;
        message.encode(me.to(Some(pull.holder.incarnation)), out);
        Some((pull.holder, message.kind()))
    }

    fn look_for_losses(&mut self, now_us: Micros, stats: &mut TransferStats) {
        let mut dead = Vec::new();
        for (&id, line) in &mut self.paths {
            if line.pulls == 0 && line.path.may_be_wide(now_us) {
                line.path = Path::new(&self.config);
            }
            if line
                .path
                .next(&self.load, &self.config)
                .is_none_or(|due| due > now_us)
            {
                continue;
            }
            self.settled = false;
            let (pulls, queue) = (&mut self.pulls, &mut line.queue);
            let before = line.path.under_way();
            let found = line
                .path
                .overdue(now_us, &self.load, &self.config, |a: RequestedChunk| {
                    let Some(pull) = pulls.get_mut(&a.pull) else {
                        return;
                    };
                    pull.miss(a.chunk);
                    if !std::mem::replace(&mut pull.queued, true) {
                        let ahead = pull.ahead;
                        enqueue(queue, pulls, a.pull, ahead, true);
                    }
                });
            self.under_way -= before - line.path.under_way();
            match found {
                Ok(found) => {
                    stats.gaps += u64::from(found.gap);
                    stats.timeouts += u64::from(found.timeout);
                    let before = line.path.under_way();
                    if line.path.narrow(now_us) {
                        self.under_way -= before;
                        restart(
                            &mut self.pulls,
                            id,
                            &mut line.queue,
                            line.path.chunk_bytes(),
                        );
                    }
                }
                Err(_) => dead.push(id),
            }
        }
        for id in dead {
            stats.timeouts += 1;
            self.gone(|p| p.who() == id, stats);
            // A new incarnation of the path begins with the next pull.
            self.paths.remove(&id);
        }
    }
}

/// Puts a pull into the queue of its path: those that a core waits for before those that are fetched ahead, of these and
/// of those in the order in which they came, or `first` of them.
pub(super) fn enqueue<T>(
    queue: &mut VecDeque<PullId>,
    pulls: &BTreeMap<PullId, Pull<T>>,
    id: PullId,
    ahead: bool,
    first: bool,
) {
    let is_ahead = |p: &PullId| pulls.get(p).is_some_and(|p| p.ahead);
    let at = match (ahead, first) {
        (false, true) => Some(0),
        (true, false) => None,
        (false, false) | (true, true) => queue.iter().position(is_ahead),
    };
    queue.insert(at.unwrap_or(queue.len()), id);
}

/// A node reads its socket at least this often, in microseconds, as far as a busy board can promise.
const READ_WITHIN_US: u64 = 25_000;
/// Most receive buffers that may be under way, on however long a path.
const BUFFERS_MAX: u64 = 16;

/// Most chunks that may be under way on paths whose shortest round trip is `shortest` microseconds. On a long path most of
/// them are on the way at any time: what arrives between two looks at the socket has to fit into its buffer.
fn budget_chunks(config: &TransferConfig, shortest: u64) -> usize {
    let chunks = (config.receive_budget_bytes / config.chunk_bytes).max(1);
    let buffers = match shortest {
        u64::MAX => 1,
        us => (us / READ_WITHIN_US).clamp(1, BUFFERS_MAX),
    };
    chunks * buffers as usize
}

/// Restarts all pulls from a holder, with chunks of another size.
fn restart<T>(
    pulls: &mut BTreeMap<PullId, Pull<T>>,
    holder: NodeIncarnation,
    queue: &mut VecDeque<PullId>,
    chunk_bytes: usize,
) {
    queue.clear();
    for (&id, pull) in pulls.iter_mut().filter(|(_, p)| p.holder.who() == holder) {
        pull.restart(chunk_bytes);
        pull.deferred_until_us = None;
        pull.queued = true;
        queue.push_back(id);
    }
}
