//! A node that only fetches and serves boxes: the part of both machines that carries objects, by itself, to measure it.
//!
//! ```text
//!   hold(object) ──> served to whoever asks          fetch(box of an object) ──> take_ended()
//! ```
//!
//! Call [`Exchange::poll`] until it has nothing to send after every other call, and again at [`Exchange::next`].

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use super::{
    Incarnation, Micros, NodeId, ObjectId, ProgramInfo, To, TransferConfig, TransferStats,
    chunk_server::{Answer, ChunkServer, Held, Place},
    peer::{Peer, Sender},
    pull::{Destination, Receiver},
    store::{SlotId, Store},
    wire::{Message, NO_RUN, Reject, parse, plan_prefix},
};
use tessera_plan::region::Region;

/// Most answers that wait to be sent; a receiver repeats what is not answered.
const ANSWERS_MAX: usize = 256;

/// A node that fetches and serves boxes.
#[derive(Debug)]
pub struct Exchange {
    me: Sender,
    info: ProgramInfo,
    receiver: Receiver<u32>,
    server: ChunkServer,
    /// Objects that lie here whole.
    held: BTreeMap<ObjectId, Place>,
    answers: VecDeque<(Peer, Answer)>,
    stats: TransferStats,
    out: Vec<u8>,
}

impl Exchange {
    /// A node without objects.
    pub fn new(
        id: NodeId,
        incarnation: Incarnation,
        info: ProgramInfo,
        config: TransferConfig,
    ) -> Self {
        let plan = plan_prefix(&info);
        Self {
            me: Sender {
                id,
                incarnation,
                plan,
            },
            info,
            receiver: Receiver::new(config),
            server: ChunkServer::default(),
            held: BTreeMap::new(),
            answers: VecDeque::new(),
            stats: TransferStats::default(),
            out: Vec::new(),
        }
    }

    /// Notes that `slot` holds `region` of an object from now on.
    pub fn hold(&mut self, object: ObjectId, slot: SlotId, region: Region) {
        let run = NO_RUN;
        self.held.insert(object, Place { slot, region, run });
    }

    /// Starts to fetch a box of an object into a slot, where it lies packed. Nothing of it is fetched if the program has no
    /// such object.
    pub fn fetch(&mut self, tag: u32, holder: To, object: ObjectId, region: Region, slot: SlotId) {
        let Some(element) = self.info.element(object.key) else {
            return;
        };
        let holder = Peer {
            id: holder.node,
            incarnation: holder.incarnation.unwrap_or(Incarnation(0)),
            addr: holder.addr,
        };
        let destination = Destination {
            slot,
            region,
            element,
        };
        (self.receiver).start(tag, holder, object, region, destination, &mut self.stats);
    }

    /// Handles a datagram.
    ///
    /// # Errors
    /// A [`Reject`] when the datagram breaks a rule, or is none about boxes. Nothing has changed then.
    pub fn receive(
        &mut self,
        now_us: Micros,
        from: SocketAddr,
        bytes: &[u8],
        store: &mut impl Store,
    ) -> Result<(), Reject> {
        let (envelope, message) = parse(bytes, &self.info)?;
        if let Message::Data(data) = &message {
            let (me, stats) = (self.me, &mut self.stats);
            (self.receiver).on_data(now_us, me, envelope.from, data, store, stats)?;
            return Ok(());
        }
        if envelope.to_incarnation != Some(self.me.incarnation) {
            return Err(Reject::OtherIncarnation);
        }
        match &message {
            Message::Pull(request) | Message::Grant(request) | Message::Nack(request) => {
                let to = Peer {
                    id: envelope.from,
                    incarnation: envelope.incarnation,
                    addr: from,
                };
                let held = self.held.get(&request.object).copied().map(Held::Here);
                let answer = (self.server).request(to, request, held, store, &mut self.stats);
                if let Some(answer) = answer.filter(|_| self.answers.len() < ANSWERS_MAX) {
                    self.answers.push_back((to, answer));
                }
            }
            Message::Absent { pull } => {
                (self.receiver).on_absent(&envelope, now_us, *pull, &mut self.stats)?;
            }
            Message::Later(later) => self.receiver.on_later(now_us, &envelope, *later)?,
            _ => return Err(Reject::Unexpected),
        }
        Ok(())
    }

    /// The next datagram to send.
    pub fn poll(&mut self, now_us: Micros, store: &impl Store) -> Option<(To, &[u8])> {
        let to = self.step(now_us, store)?;
        Some((to.to(), &self.out))
    }

    fn step(&mut self, now_us: Micros, store: &impl Store) -> Option<Peer> {
        if let Some((to, answer)) = self.answers.pop_front() {
            let message = match answer {
                Answer::Later(later) => Message::Later(later),
                Answer::Absent(pull) => Message::Absent { pull },
            };
            message.encode(self.me.to(Some(to.incarnation)), &mut self.out);
            return Some(to);
        }
        let (stats, out) = (&mut self.stats, &mut self.out);
        if let Some((to, _)) = self.receiver.poll(now_us, self.me, stats, out) {
            return Some(to);
        }
        let held = |object: &ObjectId, _| self.held.get(object).copied().map(Held::Here);
        self.server.poll(self.me, held, store, stats, out)
    }

    /// When to call [`Exchange::poll`] again, if nothing else happens earlier.
    pub fn next(&self) -> Option<Micros> {
        self.receiver.next()
    }

    /// The next fetch that has ended: its tag, and whether the box is here.
    pub fn take_ended(&mut self) -> Option<(u32, bool)> {
        let (tag, how) = self.receiver.take_ended()?;
        Some((tag, how.is_ok()))
    }

    /// What was carried so far.
    pub const fn stats(&self) -> &TransferStats {
        &self.stats
    }
}
