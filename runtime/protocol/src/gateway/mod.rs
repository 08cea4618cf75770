//! The state machine of the gateway: knows which nodes are alive, names victims to thieves,
//! merges results, and has the tail run. A shell (the gateway's process, or the simulator) calls it.
//!
//! *States.* Of each node: unknown, alive, dead. Of each frame in flight: waiting for slots, open
//! (its outputs are being pulled and merged), tail (the shell runs it).
//!
//! *Inputs.* [`GatewayInput`]: datagrams, the timer, tails done or failed, the end of the run.
//!
//! *Outputs.* [`GatewayOutput`]: datagrams, tails to run, drop records, when to call again.
//!
//! | file | is about |
//! |---|---|
//! | `registration` | which process is a node, and who is turned away |
//! | `known_nodes` | nodes that have registered, and which of their frames have ended |
//! | `victim_ring` | nodes that have work; thieves are sent to them in turn |
//! | `frames`, `merge` | frames in flight, and how their tensors are put together |
//! | `receive`, `send` | datagrams in, and the queue of datagrams out |
//!
//! The gateway knows nodes and frames from their latest heartbeats alone, so a gateway that was
//! restarted learns everything again from the first ones. A heartbeat counts only when it names
//! this incarnation of the gateway: old ones that a network kept cannot bring frames back.
//!
//! A frame is noted when a heartbeat first lists it. From then on it ends here as exactly one
//! record, whatever happens to its source. There is one thing that a restarted gateway cannot know:
//! that its earlier incarnation had already written the record of a frame whose owner never heard
//! of it. That frame is published again, under the same [`FrameId`].

mod frames;
mod known_nodes;
mod merge;
mod receive;
mod registration;
mod send;
mod victim_ring;

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use self::{
    frames::FramesInFlight,
    known_nodes::KnownNodes,
    send::{Action, Outgoing},
    victim_ring::VictimRing,
};
use super::{
    Drained, FrameId, GATEWAY, GatewayConfig, GatewayInput, GatewayOutput, Loss, Micros, Notice,
    ProgramInfo, notice::Notices, peer::Sender, pull::Receiver, retry::Retry, stats::GatewayStats,
    wire::plan_prefix,
};
use crate::store::Store;

/// The state machine of the gateway: `handle` one input, then `poll` until it waits.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    info: Arc<ProgramInfo>,
    me: Sender,
    stats: GatewayStats,
    /// First call, and the latest.
    clock: Option<(Micros, Micros)>,
    nodes: KnownNodes,
    ring: VictimRing,
    frames: FramesInFlight,
    receiver: Receiver<TailPull>,
    /// The outgoing queue.
    outgoing: VecDeque<Outgoing>,
    /// Nobody has been silent for too long before.
    next_silence_us: Micros,
    /// What the shell is to do.
    actions: VecDeque<Action>,
    /// What an operator is to hear.
    notices: Notices,
    /// Something may have become possible that was not: more pulls, or opening a frame.
    dirty: bool,
    /// When told to end the run: when to say so again, and the pause after that.
    stopping: Option<Retry>,
    out: Vec<u8>,
}

/// What a pull is for: a need of a frame's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TailPull {
    frame: FrameId,
    need: usize,
}

/// What [`Gateway::poll`] gives, before it borrows the datagram.
enum GatewayStep {
    Do(Action),
    Tell(Notice),
    Send(SocketAddr),
    Wait(Micros),
}

impl Gateway {
    /// Most datagrams that wait; beyond it they count as lost.
    const OUTGOING_MAX: usize = 4096;

    /// A gateway that knows nobody yet.
    pub fn new(config: GatewayConfig, info: Arc<ProgramInfo>) -> Self {
        let me = Sender {
            id: GATEWAY,
            incarnation: config.incarnation,
            plan: plan_prefix(&info),
        };
        Self {
            receiver: Receiver::new(config.transfer),
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
            stopping: None,
            out: Vec::new(),
        }
    }

    /// Counters so far.
    pub const fn stats(&self) -> &GatewayStats {
        &self.stats
    }

    /// Takes one input. Drain [`Gateway::poll`] afterwards.
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
            GatewayInput::Stop => {
                self.stopping
                    .get_or_insert(Retry::now(now_us, self.config.retry_us[0]));
            }
        }
    }

    /// The next thing to do; call until it is [`GatewayOutput::WaitUntil`].
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
                return GatewayStep::Send(to.addr);
            }
            // Polling may have ended pulls; each turn of this loop ends some or is the last.
            if !self.receiver.has_ended() && !self.dirty {
                return GatewayStep::Wait(self.wake(now_us));
            }
        }
    }

    /// Whether the run is over, for a shell that should end with it.
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

    /// Everything that follows from the time and from what has happened so far.
    fn tick(&mut self, now_us: Micros, store: &mut impl Store) {
        let (started, last) = self.clock.unwrap_or((now_us, now_us));
        self.clock = Some((started, now_us));
        let gap = now_us.saturating_sub(last);
        if gap > self.config.dead_after_us / 2 {
            // This process stood still, not the others: their heartbeats wait in the socket.
            for n in self.nodes.iter_mut() {
                n.seen_us += gap;
            }
        }
        if now_us >= self.next_silence_us {
            self.look_for_silence(now_us, store);
        }
        while let Some(from) = self.receiver.take_narrowed() {
            self.notices.add(Notice::NarrowPath {
                from: from.id,
                addr: from.addr,
                chunk_bytes: crate::TransferConfig::NARROW_CHUNK_BYTES,
            });
        }
        while let Some((tag, how)) = self.receiver.take_ended() {
            self.pull_ended(now_us, tag, how);
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
        // Whoever joins meanwhile is not silent before that.
        self.next_silence_us = next.unwrap_or(now_us + limit);
    }

    /// Until nothing can be done but wait.
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

/// A datagram's sender as a node.
const fn sender(envelope: &super::wire::Envelope, addr: SocketAddr) -> super::peer::Peer {
    super::peer::Peer {
        id: envelope.from,
        incarnation: envelope.incarnation,
        addr,
    }
}
