//! The gateway: knows who is alive, matches thieves with victims, merges, runs the tail.
//!
//! What it knows of nodes and frames it knows from their latest beats, so a gateway that was
//! restarted learns everything again from the first beats it hears. A beat counts only when it
//! names this life of the gateway: old ones that a network kept cannot bring frames back.
//!
//! A frame is noted when a beat first lists it; from then on it ends here as exactly one record,
//! whatever happens to its source. One thing a gateway cannot know after a restart: that its
//! earlier life had already written the record of a frame whose owner never heard so. That frame
//! is published again, under the same [`FrameId`].

mod frames;
mod hear;
mod merge;
mod nodes;
mod ring;
mod say;

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use self::{
    frames::Frames,
    nodes::Nodes,
    ring::Ring,
    say::{Post, Todo},
};
use super::{
    Drained, FrameId, GATEWAY, GatewayConfig, GatewayInput, GatewayOutput, Now, ProgramInfo,
    peer::Speaker, pull::Receiver, stats::GatewayStats, wire::plan_prefix,
};
use crate::store::Store;

/// The state machine of the gateway.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    info: Arc<ProgramInfo>,
    me: Speaker,
    stats: GatewayStats,
    /// First call, and the latest.
    clock: Option<(Now, Now)>,
    nodes: Nodes,
    ring: Ring,
    frames: Frames,
    receiver: Receiver<Tag>,
    /// Datagrams that wait to be taken.
    post: VecDeque<Post>,
    /// Nobody has been silent for too long before.
    next_silence: Now,
    /// What the shell is to do.
    todo: VecDeque<Todo>,
    /// Something may have become possible that was not: more pulls, or opening a frame.
    stirred: bool,
    /// When told to end the run: when to say so again, and the pause after that.
    stopping: Option<(Now, u64)>,
    out: Vec<u8>,
}

/// What a pull is for: a need of a frame's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    frame: FrameId,
    need: usize,
}

/// What [`Gateway::poll`] gives, before it is put into words.
enum Step {
    Do(Todo),
    Send(SocketAddr),
    Wait(Now),
}

impl Gateway {
    /// Most datagrams that wait; beyond it they count as lost.
    const MOST_POST: usize = 4096;

    /// A gateway that knows nobody yet.
    pub fn new(config: GatewayConfig, info: Arc<ProgramInfo>) -> Self {
        let me = Speaker {
            id: GATEWAY,
            epoch: config.epoch,
            plan: plan_prefix(&info),
        };
        Self {
            receiver: Receiver::new(config.transfer),
            config,
            info,
            me,
            stats: GatewayStats::default(),
            clock: None,
            nodes: Nodes::default(),
            ring: Ring::default(),
            frames: Frames::default(),
            post: VecDeque::new(),
            next_silence: 0,
            todo: VecDeque::new(),
            stirred: false,
            stopping: None,
            out: Vec::new(),
        }
    }

    /// Counters so far.
    pub const fn stats(&self) -> &GatewayStats {
        &self.stats
    }

    /// Takes one input. Drain [`Gateway::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: GatewayInput<'_>, store: &mut impl Store) {
        self.tick(now, store);
        match input {
            GatewayInput::Datagram { from, bytes } => {
                if let Err(why) = self.hear(now, from, bytes, store) {
                    self.stats.traffic.rejected.add(why);
                }
            }
            GatewayInput::Tick => {}
            GatewayInput::TailDone { frame } => self.tail_ended(now, frame, true, store),
            GatewayInput::TailFailed { frame } => self.tail_ended(now, frame, false, store),
            GatewayInput::Stop => {
                self.stopping.get_or_insert((now, self.config.retry[0]));
            }
        }
    }

    /// The next thing to do; call until it is [`GatewayOutput::WaitUntil`].
    pub fn poll(&mut self, now: Now, store: &mut impl Store) -> GatewayOutput<'_> {
        match self.step(now, store) {
            Step::Do(todo) => todo.into_output(),
            Step::Send(to) => GatewayOutput::Send {
                to,
                bytes: &self.out,
            },
            Step::Wait(until) => GatewayOutput::WaitUntil(until),
        }
    }

    fn step(&mut self, now: Now, store: &mut impl Store) -> Step {
        loop {
            self.tick(now, store);
            if let Some(todo) = self.todo.pop_front() {
                return Step::Do(todo);
            }
            self.repeat(now);
            while let Some(post) = self.post.pop_front() {
                if let Some((to, kind)) = self.write(now, post) {
                    self.stats.traffic.sent.add(kind, self.out.len());
                    return Step::Send(to);
                }
            }
            let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
            if let Some((to, kind)) = self.receiver.poll(now, self.me, transfer, out) {
                self.stats.traffic.sent.add(kind, self.out.len());
                return Step::Send(to.addr);
            }
            // Polling may have ended pulls; each turn of this loop ends some or is the last.
            if !self.receiver.has_ended() && !self.stirred {
                return Step::Wait(self.wake(now));
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
    fn tick(&mut self, now: Now, store: &mut impl Store) {
        let (started, last) = self.clock.unwrap_or((now, now));
        self.clock = Some((started, now));
        let gap = now.saturating_sub(last);
        if gap > self.config.dead_after / 2 {
            // This process stood still, not the others: their beats wait in the socket.
            for n in self.nodes.iter_mut() {
                n.heard += gap;
            }
        }
        if now >= self.next_silence {
            self.look_for_silence(now, store);
        }
        while let Some((tag, how)) = self.receiver.take_ended() {
            self.pull_ended(now, tag, how);
        }
        if std::mem::take(&mut self.stirred) {
            self.open_frames(now, store);
            self.start_pulls(now);
        }
    }

    fn look_for_silence(&mut self, now: Now, store: &mut impl Store) {
        let limit = self.config.dead_after;
        let silent = |n: &&nodes::Node| n.alive && now.saturating_sub(n.heard) > limit;
        let silent: Vec<_> = (self.nodes.iter().filter(silent))
            .map(|n| n.peer.id)
            .collect();
        for id in silent {
            self.lose(now, id, store);
        }
        let alive = self.nodes.iter().filter(|n| n.alive);
        let next = alive.map(|n| n.heard + limit + 1).min();
        // Whoever joins meanwhile is not silent before that.
        self.next_silence = next.unwrap_or(now + limit);
    }

    /// Until nothing can be done but wait.
    fn wake(&self, now: Now) -> Now {
        let silence = [self.next_silence].into_iter();
        let pushes = self.nodes.iter().filter_map(|n| n.push.map(|p| p.0));
        let lost = self.frames.iter().filter_map(|(_, f)| f.next_repeat());
        let stop = self.stopping.iter().map(|s| s.0);
        let transfers = self.receiver.next().into_iter();
        let all = silence
            .chain(pushes)
            .chain(lost)
            .chain(stop)
            .chain(transfers);
        let latest = now + self.config.beat;
        all.min().unwrap_or(latest).clamp(now + 1, latest)
    }

    fn send(&mut self, post: Post) {
        if self.post.len() < Self::MOST_POST {
            self.post.push_back(post);
        }
    }
}

/// Doubles a pause up to a bound; says when it ends.
const fn next_pause(now: Now, pause: u64, retry: [u64; 2]) -> (Now, u64) {
    let doubled = pause * 2;
    let next = if doubled < retry[1] {
        doubled
    } else {
        retry[1]
    };
    (now + pause, next)
}

/// A datagram's sender as a node.
const fn sender(envelope: &super::wire::Envelope, addr: SocketAddr) -> super::peer::Peer {
    super::peer::Peer {
        id: envelope.from,
        epoch: envelope.epoch,
        addr,
    }
}
