//! The state machine of the gateway. The gateway knows which nodes are alive, names victims to thieves,
//! merges results, and has the shell run the tail. A shell (the gateway's process, or the simulator) calls
//! the machine.
//!
//! *States.* Of each node: unknown, alive, dead. Of each frame in flight: waiting for slots, open
//! (the gateway pulls and merges the outputs), tail (the shell runs the tail).
//!
//! *Inputs.* [`GatewayInput`]: datagrams, the timer, finished or failed tails, the end of the run.
//!
//! *Outputs.* [`GatewayOutput`]: datagrams, tails to run, drop records, the time of the next call.
//!
//! | file | is about |
//! |---|---|
//! | `registration` | which process speaks for a node, and which nodes are turned away |
//! | `known_nodes` | nodes that have registered, and which of their frames have ended |
//! | `victim_ring` | nodes that have work; thieves are sent to them in turn |
//! | `frames`, `merge` | frames in flight, and how their tensors are put together |
//! | `pictures` | whole frames that people are to see |
//! | `serving` | boxes that edges fetch from the gateway, with work sharing |
//! | `view` | what is known at one time, for people |
//! | `receive`, `send` | datagrams in, and the queue of datagrams out |
//!
//! The gateway knows nodes and frames from their latest heartbeats alone, so a restarted gateway
//! learns everything again from the first heartbeats. A heartbeat counts only when the heartbeat names
//! this incarnation of the gateway: late datagrams cannot bring old frames back.
//!
//! The gateway notes a frame when a heartbeat first lists the frame. From then on the frame ends here as exactly
//! one record, whatever happens to the source. A restarted gateway cannot know one thing: its earlier incarnation
//! may have written a frame's record without the owner hearing of it. The gateway publishes such a frame again,
//! under the same [`FrameId`].

mod frames;
mod known_nodes;
mod merge;
mod pictures;
mod receive;
mod registration;
mod send;
mod serving;
mod victim_ring;
mod view;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

pub use self::view::{ConditionView, FrameView, NodeView, Stage};
use self::{
    frames::FramesInFlight,
    known_nodes::KnownNodes,
    pictures::Pictures,
    send::{Action, Outgoing},
    victim_ring::VictimRing,
};
use super::{
    Drained, FrameId, GATEWAY, GatewayConfig, GatewayInput, GatewayOutput, Loss, Micros, NodeId,
    Notice, ProgramInfo, TaskId, To,
    chunk_server::ChunkServer,
    notice::Notices,
    peer::Sender,
    pull::Receiver,
    retry::Retry,
    stats::GatewayStats,
    wire::{MessageKind, plan_prefix},
};
use crate::store::Store;

/// The state machine of the gateway: call `handle` with one input, then `poll` until `WaitUntil`.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    info: Arc<ProgramInfo>,
    me: Sender,
    stats: GatewayStats,
    /// Times of the first and the latest call.
    clock: Option<(Micros, Micros)>,
    nodes: KnownNodes,
    ring: VictimRing,
    frames: FramesInFlight,
    receiver: Receiver<GatewayPull>,
    /// Frames that are fetched whole, for people.
    pictures: Pictures,
    /// With work sharing, what edges fetch from here.
    serve: ChunkServer,
    /// The outgoing queue.
    outgoing: VecDeque<Outgoing>,
    /// Before this time no node can have been silent for too long.
    next_silence_us: Micros,
    /// Actions for the shell.
    actions: VecDeque<Action>,
    /// Notices for the operator.
    notices: Notices,
    /// True when further pulls may have become possible, or the opening of a frame.
    dirty: bool,
    /// The nodes that may bring frames; `None` for all.
    allowed: Option<BTreeSet<NodeId>>,
    /// Of the last frame that became whole: tasks whose outputs the gateway has merged, and who had them.
    last_makers: Vec<(TaskId, NodeId)>,
    /// Set once the run is to end: when to send `Stop` again, and the pause after that.
    stopping: Option<Retry>,
    out: Vec<u8>,
}

/// What a pull fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GatewayPull {
    /// A box, for the tail or to pass it on.
    Part(TailPull),
    /// A whole frame, for people.
    Picture(FrameId),
}

/// The box of a frame that a pull fetches: for the tail, or to pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TailPull {
    frame: FrameId,
    need: usize,
}

/// What [`Gateway::poll`] returns, before the borrow of the datagram.
enum GatewayStep {
    Do(Action),
    Tell(Notice),
    Send(To),
    Wait(Micros),
}

impl Gateway {
    /// Most waiting datagrams; further ones are dropped and count as lost.
    const OUTGOING_MAX: usize = 4096;

    /// A gateway that knows no nodes yet.
    pub fn new(config: GatewayConfig, info: Arc<ProgramInfo>) -> Self {
        let me = Sender {
            id: GATEWAY,
            incarnation: config.incarnation,
            plan: plan_prefix(&info),
        };
        Self {
            receiver: Receiver::new(config.transfer),
            pictures: Pictures::default(),
            serve: ChunkServer::default(),
            config,
            info,
            me,
            stats: GatewayStats::default(),
            clock: None,
            nodes: KnownNodes::default(),
            ring: VictimRing::default(),
            frames: FramesInFlight::default(),
            outgoing: VecDeque::new(),
            next_silence_us: 0,
            actions: VecDeque::new(),
            notices: Notices::default(),
            dirty: false,
            allowed: None,
            last_makers: Vec::new(),
            stopping: None,
            out: Vec::new(),
        }
    }

    /// Says which nodes may bring frames.
    pub fn allow_sources(&mut self, sources: impl IntoIterator<Item = NodeId>) {
        self.allowed = Some(sources.into_iter().collect());
    }

    /// The gateway's counters so far.
    pub const fn stats(&self) -> &GatewayStats {
        &self.stats
    }

    /// Takes one input. Call [`Gateway::poll`] afterwards until [`GatewayOutput::WaitUntil`].
    pub fn handle(&mut self, now_us: Micros, input: GatewayInput<'_>, store: &mut impl Store) {
        self.tick(now_us, store);
        match input {
            GatewayInput::Datagram { from, bytes } => {
                if let Err(why) = self.receive(now_us, from, bytes, store) {
                    self.stats.traffic.rejected.add(why);
                }
            }
            GatewayInput::Tick => {}
            GatewayInput::TailDone { frame } => self.tail_ended(now_us, frame, true, store),
            GatewayInput::TailFailed { frame } => self.tail_ended(now_us, frame, false, store),
            GatewayInput::Fetch { frame } => self.fetch(frame, store),
            GatewayInput::Removed { node } => self.lose(now_us, node, Loss::Removed, store),
            GatewayInput::Stop => {
                self.stopping
                    .get_or_insert(Retry::now(now_us, self.config.retry_us[0]));
            }
        }
    }

    /// Returns the next output; call until [`GatewayOutput::WaitUntil`].
    pub fn poll(&mut self, now_us: Micros, store: &mut impl Store) -> GatewayOutput<'_> {
        match self.step(now_us, store) {
            GatewayStep::Do(actions) => actions.into_output(now_us),
            GatewayStep::Tell(notice) => GatewayOutput::Notice(notice),
            GatewayStep::Send(to) => GatewayOutput::Send {
                to,
                bytes: &self.out,
            },
            GatewayStep::Wait(until_us) => GatewayOutput::WaitUntil(until_us),
        }
    }

    fn step(&mut self, now_us: Micros, store: &mut impl Store) -> GatewayStep {
        loop {
            self.tick(now_us, store);
            if let Some(actions) = self.actions.pop_front() {
                return GatewayStep::Do(actions);
            }
            if let Some(notice) = self.notices.next() {
                return GatewayStep::Tell(notice);
            }
            self.repeat(now_us);
            while let Some(outgoing) = self.outgoing.pop_front() {
                if let Some((to, kind)) = self.write(now_us, outgoing) {
                    self.stats.traffic.sent.add(kind, self.out.len());
                    return GatewayStep::Send(to);
                }
            }
            let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
            if let Some((to, kind)) = self.receiver.poll(now_us, self.me, transfer, out) {
                self.stats.traffic.sent.add(kind, self.out.len());
                return GatewayStep::Send(to.to());
            }
            if let Some(to) = self.serve_next(store) {
                let bytes = self.out.len();
                self.stats.traffic.sent.add(MessageKind::Data, bytes);
                return GatewayStep::Send(to);
            }
            // Polling may have ended pulls; each turn of this loop ends some or is the last.
            if !self.receiver.has_ended() && !self.dirty {
                return GatewayStep::Wait(self.wake(now_us));
            }
        }
    }

    /// All nodes that the gateway knows, and which of them count as alive.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, bool)> + '_ {
        self.nodes.iter().map(|n| (n.peer.id, n.alive))
    }

    /// How far the run is from its end, for a shell that exits with the run.
    pub fn drained(&self) -> Drained {
        let alive: BTreeSet<_> = (self.nodes.iter())
            .filter(|n| n.alive)
            .map(|n| n.peer.id)
            .collect();
        let busy: BTreeSet<_> = self.frames.iter().map(|(id, _)| id.source).collect();
        let finished = (self.nodes.iter())
            .filter(|n| n.alive && n.no_more && n.floor == n.next && !busy.contains(&n.peer.id));
        Drained {
            alive: alive.len(),
            sources: self.nodes.sources(),
            finished: finished.count(),
            frames: self.frames.len(),
        }
    }

    /// Does everything that follows from the time and from earlier inputs.
    fn tick(&mut self, now_us: Micros, store: &mut impl Store) {
        let (started, last) = self.clock.unwrap_or((now_us, now_us));
        self.clock = Some((started, now_us));
        let gap = now_us.saturating_sub(last);
        if gap > self.config.dead_after_us / 2 {
            // This process stood still, not the other nodes: their heartbeats wait in the socket.
            for n in self.nodes.iter_mut() {
                n.seen_us += gap;
            }
        }
        if now_us >= self.next_silence_us {
            self.look_for_silence(now_us, store);
        }
        while let Some((from, chunk_bytes)) = self.receiver.take_narrowed() {
            self.notices.add(Notice::NarrowPath {
                from: from.id,
                addr: from.addr,
                chunk_bytes,
            });
        }
        while let Some((tag, how)) = self.receiver.take_ended() {
            match tag {
                GatewayPull::Part(part) => self.pull_ended(now_us, part, how),
                GatewayPull::Picture(frame) => self.picture_ended(frame, how, store),
            }
        }
        if std::mem::take(&mut self.dirty) {
            self.open_frames(now_us, store);
            self.start_pulls(now_us);
        }
    }

    fn look_for_silence(&mut self, now_us: Micros, store: &mut impl Store) {
        let limit = self.config.dead_after_us;
        let silent =
            |n: &&known_nodes::KnownNode| n.alive && now_us.saturating_sub(n.seen_us) > limit;
        let silent: Vec<_> = (self.nodes.iter().filter(silent))
            .map(|n| n.peer.id)
            .collect();
        for id in silent {
            self.lose(now_us, id, Loss::Silent, store);
        }
        let alive = self.nodes.iter().filter(|n| n.alive);
        let next = alive.map(|n| n.seen_us + limit + 1).min();
        // A node that joins meanwhile cannot be silent for too long before that time.
        self.next_silence_us = next.unwrap_or(now_us + limit);
    }

    /// The time of the next call, if no input arrives earlier.
    fn wake(&self, now_us: Micros) -> Micros {
        let silence = [self.next_silence_us].into_iter();
        let pushes = self.nodes.iter().filter_map(|n| n.push.map(|p| p.at_us));
        let lost = self.frames.iter().filter_map(|(_, f)| f.next_repeat());
        let stop = self.stopping.iter().map(|s| s.at_us);
        let transfers = self.receiver.next().into_iter();
        let all = silence
            .chain(pushes)
            .chain(lost)
            .chain(stop)
            .chain(transfers);
        let latest = now_us + self.config.heartbeat_us;
        all.min().unwrap_or(latest).clamp(now_us + 1, latest)
    }

    fn enqueue(&mut self, message: Outgoing) {
        if self.outgoing.len() < Self::OUTGOING_MAX {
            self.outgoing.push_back(message);
        }
    }
}

/// The sender of a datagram as a peer.
const fn sender(envelope: &super::wire::Envelope, addr: std::net::SocketAddr) -> super::peer::Peer {
    super::peer::Peer {
        id: envelope.from,
        incarnation: envelope.incarnation,
        addr,
    }
}
