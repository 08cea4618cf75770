//! The state machine of an edge: owns the frames of its source, computes, steals, and holds
//! objects for others. A shell (a node's process, or the simulator) calls the machine.
//!
//! *States.* Towards the gateway: unknown, joined, refused, stopped ([`Edge::joined`]). Of each own
//! frame: waiting for the gateway, open, over. Of each task of an own frame: waiting for producers,
//! ready, leased, running here, done. Of the search for work: resting, asking the gateway, asking
//! a victim, parked. Of each job: loading its inputs, loaded, running.
//!
//! *Inputs.* [`EdgeInput`]: datagrams, the timer, new frames, jobs done or failed.
//!
//! *Outputs.* [`EdgeOutput`]: datagrams, jobs to run, frames that have ended, the time of the next call.
//!
//! | file | is about |
//! |---|---|
//! | `gateway_link` | heartbeats to the gateway and the answers: who is alive, the states of frames |
//! | `condition` | how this board is, told to the gateway |
//! | `own_frames`, `task_table` | own frames, and the state of each frame's tasks |
//! | `own_tasks` | own tasks that this node runs, and the consequences when any node finishes a task |
//! | `leased_tasks` | own tasks that thieves run: this node is the victim |
//! | `stolen_tasks` | other nodes' tasks that this node runs: this node is the thief |
//! | `placement` | the policy: which node runs which task |
//! | `wants` | what this node has room for, told to the sources that it knows |
//! | `offers` | boards that wait for tasks of this source, and what they are given |
//! | `search` | asking the gateway for a victim, and the victim for a task |
//! | `reports` | telling owners the outcome of leases, and renewing leases still in work |
//! | `results` | telling the gateway where finished outputs lie |
//! | `pending_job`, `jobs` | tasks on their way to a worker: inputs pulled, run, kept or given up |
//! | `shared_boxes` | inputs that several tasks of this board read are fetched once |
//! | `foreign_frames`, `slots` | objects kept for other nodes' frames, and slots reserved for own frames |
//! | `peers` | other edges: addresses, and the numbers of their latest messages |
//! | `serving` | objects that other nodes fetch, finished or still being made |
//! | `verify` | tasks that other boards computed are computed again, and who was wrong is left out |
//! | `receive`, `send` | datagrams in, and the queue of datagrams out |
//!
//! The edge encodes a control message at the time of sending, from the state at that time. The edge repeats each
//! message until the answer arrives, or until the next heartbeat contains the same content.

mod condition;
#[cfg(test)]
mod edge_alone;
mod foreign_frames;
mod gateway_link;
#[cfg(test)]
mod home_tests;
mod jobs;
mod leased_tasks;
mod offers;
mod own_frames;
mod own_tasks;
mod peers;
mod pending_job;
mod placement;
mod receive;
mod reports;
mod results;
mod search;
mod send;
mod serving;
mod shared_boxes;
mod slots;
mod stolen_tasks;
#[cfg(test)]
mod stolen_tests;
mod task_table;
#[cfg(test)]
mod tests;
mod verify;
mod wants;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use self::{
    condition::ToldCondition,
    foreign_frames::ForeignFrames,
    gateway_link::GatewayLink,
    offers::Offers,
    own_frames::OwnFrames,
    peers::Peers,
    pending_job::{PendingJobs, PullTag},
    placement::{Policy, Situation},
    reports::Reports,
    search::Search,
    send::Outgoing,
    slots::Slots,
    verify::Verifier,
    wants::Wants,
};
use super::{
    EdgeConfig, EdgeInput, EdgeOutput, FrameId, FrameMeta, FrameNumber, FrameOutcome, Job, JobId,
    Micros, NodeId, ObjectId, ProgramInfo, Refusal, TaskId, To,
    chunk_server::ChunkServer,
    notice::{Notice, Notices},
    peer::Sender,
    pull::Receiver,
    stats::EdgeStats,
    wire::{MessageKind, plan_prefix},
};
use crate::store::{SlotId, Store};
use tessera_plan::region::Region;

/// The state machine of an edge: call `handle` with one input, then `poll` until `WaitUntil`.
#[derive(Debug)]
pub struct Edge {
    config: EdgeConfig,
    info: Arc<ProgramInfo>,
    me: Sender,
    stats: EdgeStats,
    /// Time of the latest call.
    clock: Option<Micros>,
    link: GatewayLink,
    condition: ToldCondition,
    peers: Peers,
    frames: OwnFrames,
    foreign: ForeignFrames,
    slots: Slots,
    jobs: PendingJobs,
    /// True if some tasks of the program stand in for others.
    has_stand_ins: bool,
    /// Tasks that read the frame itself, by home.
    frame_readers: BTreeMap<u16, Vec<TaskId>>,
    search: Search,
    wants: Wants,
    offers: Offers,
    reports: Reports,
    /// Before this time no given lease ends.
    next_expiry_us: Micros,
    /// When a leased task may get a backup run.
    next_backup_us: Option<Micros>,
    /// Checks of what other boards made.
    verifier: Verifier,
    receiver: Receiver<pending_job::PullTag>,
    serve: ChunkServer,
    /// When a task may run that stands in for another.
    next_strips_us: Option<Micros>,
    /// When to look again at outputs that are being made and that others wait for.
    next_made_us: Option<Micros>,
    /// The outgoing queue.
    outgoing: VecDeque<Outgoing>,
    /// Events for the shell.
    events: VecDeque<Event>,
    /// Notices for the operator.
    notices: Notices,
    /// The nodes that may bring frames; `None` for all.
    sources: Option<BTreeSet<NodeId>>,
    /// True when something has changed: tasks may be ready, or slots free.
    dirty: bool,
    out: Vec<u8>,
}

/// An event for the shell.
#[derive(Clone, Debug)]
enum Event {
    FrameEnded(FrameNumber, FrameMeta, FrameOutcome),
    Arrived {
        job: JobId,
        slot: SlotId,
        rows: usize,
    },
    Abandon(JobId),
    Refused(Refusal),
    Stopped,
}

/// What [`Edge::poll`] returns, before the borrow of the datagram.
enum EdgeStep {
    Event(Event),
    Tell(Notice),
    Run(Job),
    Send(To),
    Wait(Micros),
}

impl Edge {
    /// Most waiting datagrams; further ones are dropped and count as lost.
    const OUTGOING_MAX: usize = 4096;

    /// An edge that has not sent anything yet.
    pub fn new(config: EdgeConfig, info: Arc<ProgramInfo>) -> Self {
        let me = Sender {
            id: config.id,
            incarnation: config.incarnation,
            plan: plan_prefix(&info),
        };
        Self {
            slots: Slots::new(&config, &info),
            has_stand_ins: info.has_stand_ins(),
            frame_readers: shared_boxes::frame_readers(&info),
            receiver: Receiver::new(config.transfer),
            link: GatewayLink::new(&config),
            condition: ToldCondition::default(),
            search: Search::new(&config),
            wants: Wants::default(),
            offers: Offers::default(),
            reports: Reports::default(),
            verifier: Verifier::default(),
            config,
            info,
            me,
            stats: EdgeStats::default(),
            clock: None,
            peers: Peers::default(),
            frames: OwnFrames::default(),
            foreign: ForeignFrames::default(),
            jobs: PendingJobs::default(),
            next_expiry_us: Micros::MAX,
            next_backup_us: None,
            serve: ChunkServer::default(),
            next_strips_us: None,
            next_made_us: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            notices: Notices::default(),
            sources: None,
            dirty: true,
            out: Vec::new(),
        }
    }

    /// The edge's counters so far.
    pub const fn stats(&self) -> &EdgeStats {
        &self.stats
    }

    /// Takes one input. Call [`Edge::poll`] afterwards until [`EdgeOutput::WaitUntil`].
    pub fn handle(&mut self, now_us: Micros, input: EdgeInput<'_>, store: &mut impl Store) {
        self.tick(now_us, store);
        match input {
            EdgeInput::Datagram { from, bytes } => {
                if let Err(why) = self.receive(now_us, from, bytes, store) {
                    self.stats.traffic.rejected.add(why);
                }
            }
            EdgeInput::Tick => {}
            EdgeInput::Frame { slot, meta } => self.take_frame(slot, meta),
            EdgeInput::Done { job } => self.job_done(now_us, job, store),
            EdgeInput::Failed { job } => self.job_failed(now_us, job, store),
            EdgeInput::NoMoreFrames => {
                self.link.no_more = true;
                self.link.changed = true;
                self.slots.frames_over(store);
            }
            EdgeInput::Condition(condition) => self.condition.set(condition),
            EdgeInput::Leave => self.leave(),
        }
    }

    /// Returns the next output; call until [`EdgeOutput::WaitUntil`].
    pub fn poll(&mut self, now_us: Micros, store: &mut impl Store) -> EdgeOutput<'_> {
        match self.step(now_us, store) {
            EdgeStep::Event(Event::FrameEnded(number, meta, outcome)) => EdgeOutput::FrameEnded {
                number,
                meta,
                outcome,
            },
            EdgeStep::Event(Event::Arrived { job, slot, rows }) => {
                EdgeOutput::Arrived { job, slot, rows }
            }
            EdgeStep::Event(Event::Abandon(job)) => EdgeOutput::Abandon { job },
            EdgeStep::Event(Event::Refused(why)) => EdgeOutput::Refused(why),
            EdgeStep::Event(Event::Stopped) => EdgeOutput::Stopped,
            EdgeStep::Tell(notice) => EdgeOutput::Notice(notice),
            EdgeStep::Run(job) => EdgeOutput::Run(job),
            EdgeStep::Send(to) => EdgeOutput::Send {
                to,
                bytes: &self.out,
            },
            EdgeStep::Wait(until_us) => EdgeOutput::WaitUntil(until_us),
        }
    }

    /// Sets another address for the gateway: all further datagrams to the gateway go there.
    pub fn gateway_moved(&mut self, to: SocketAddr) {
        self.config.gateway = to;
        self.link.changed = true;
    }

    /// Says which nodes may bring frames. Others may give no tasks.
    pub fn allow_sources(&mut self, sources: impl IntoIterator<Item = NodeId>) {
        self.sources = Some(sources.into_iter().collect());
    }

    fn may_bring(&self, id: NodeId) -> bool {
        self.sources.as_ref().is_none_or(|s| s.contains(&id))
    }

    /// True when the gateway's present incarnation has accepted this node.
    pub fn joined(&self) -> bool {
        self.link.joined()
    }

    /// True when the machine has room for another frame of this source.
    pub fn wants_frame(&self) -> bool {
        let most = self.config.frames_max.min(EdgeConfig::FRAMES_MAX);
        self.link.joined()
            && !self.link.no_more
            && self.frames.len() < most
            && self.frames.fits_window()
    }

    /// A slot for the frame that [`Edge::wants_frame`] asks for; `None` while the store has no room. The shell
    /// returns the slot by [`EdgeInput::Frame`], or by [`Edge::return_frame_slot`] when there is no frame.
    pub fn frame_slot(&mut self, store: &mut impl Store) -> Option<SlotId> {
        self.slots.for_frame(store)
    }

    /// Takes back a slot that [`Edge::frame_slot`] gave.
    pub fn return_frame_slot(&mut self, slot: SlotId, store: &mut impl Store) {
        self.slots.frame_back(slot, store);
    }

    fn step(&mut self, now_us: Micros, store: &mut impl Store) -> EdgeStep {
        loop {
            self.tick(now_us, store);
            if let Some(event) = self.events.pop_front() {
                return EdgeStep::Event(event);
            }
            if let Some(notice) = self.notices.next() {
                return EdgeStep::Tell(notice);
            }
            if let Some(job) = self.next_run() {
                return EdgeStep::Run(job);
            }
            self.repeat(now_us);
            while let Some(outgoing) = self.outgoing.pop_front() {
                if let Some((to, kind)) = self.write(now_us, outgoing) {
                    return self.sent(to, kind);
                }
            }
            let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
            if let Some((to, kind)) = self.receiver.poll(now_us, self.me, transfer, out) {
                return self.sent(to.to(), kind);
            }
            if let Some(to) = self.serve_next(store) {
                return self.sent(to, MessageKind::Data);
            }
            // Polling may have ended pulls; each turn of this loop ends some or is the last.
            if !self.receiver.has_ended() && !self.dirty {
                return EdgeStep::Wait(self.wake(now_us));
            }
        }
    }

    fn sent(&mut self, to: To, kind: MessageKind) -> EdgeStep {
        self.stats.traffic.sent.add(kind, self.out.len());
        EdgeStep::Send(to)
    }

    /// Does everything that follows from the time and from earlier inputs.
    fn tick(&mut self, now_us: Micros, store: &mut impl Store) {
        let gap = now_us.saturating_sub(self.clock.unwrap_or(now_us));
        self.clock = Some(now_us);
        if gap > self.config.lease_us / 2 {
            // This process stood still: renewals wait in its socket.
            self.extend_leases(gap);
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
                PullTag::Input(tag) => self.pull_ended(now_us, tag, how, store),
                PullTag::Check(serial) => self.compare_pulled(now_us, serial, how, store),
            }
        }
        if self.next_made_us.is_some_and(|at| at <= now_us) {
            self.serve_made(store);
        }
        if now_us >= self.next_expiry_us {
            self.expire_leases(now_us);
        }
        let due = [
            self.next_backup_us,
            self.next_strips_us,
            self.verifier.next(),
        ];
        if due.into_iter().flatten().any(|at| at <= now_us) || self.offers.is_due(now_us) {
            self.dirty = true;
        }
        if std::mem::take(&mut self.dirty) {
            self.look_at_dispute(now_us);
            self.restart_frames(now_us, store);
            self.compare_next(now_us, store);
            self.release_late_strips(now_us);
            self.start_own_jobs(now_us, store);
            self.give_home_tasks(now_us, store);
            if self.is_at_rest() {
                self.slots.rest(store);
            }
        }
        self.steal(now_us);
        self.tell_wants(now_us);
    }

    /// True when this node has nothing to do with any frame.
    fn is_at_rest(&self) -> bool {
        self.frames.len() == 0 && self.jobs.is_empty() && self.foreign.is_empty()
    }

    fn next_heartbeat(&self, now_us: Micros) -> Micros {
        (self.link).next(now_us, self.has_work(now_us), self.is_at_rest())
    }

    fn wake(&self, now_us: Micros) -> Micros {
        let times = [
            Some(self.next_heartbeat(now_us)),
            self.search_next(now_us),
            self.wants.next(now_us),
            self.offers.next(),
            self.reports.next(),
            self.results_next(),
            (self.next_expiry_us < Micros::MAX).then_some(self.next_expiry_us),
            self.next_backup_us,
            self.next_strips_us,
            self.next_made_us,
            self.verifier.next(),
            self.receiver.next(),
        ];
        let latest = now_us + self.config.heartbeat_us;
        let next = times.into_iter().flatten().min().unwrap_or(latest);
        next.clamp(now_us + 1, latest)
    }

    fn enqueue(&mut self, message: Outgoing) {
        if self.outgoing.len() < Self::OUTGOING_MAX {
            self.outgoing.push_back(message);
        }
    }

    fn take_frame(&mut self, slot: SlotId, meta: FrameMeta) {
        self.slots.adopt(slot, &mut self.stats);
        self.frames.add(slot, meta, self.config.verify, &self.info);
        self.stats.frames_accepted += 1;
        self.link.changed = true;
        self.dirty = true;
    }

    fn frame_id(&self, number: FrameNumber) -> FrameId {
        FrameId {
            source: self.config.id,
            incarnation: self.config.incarnation,
            number,
        }
    }

    /// The number of a frame, if the frame is this node's own.
    fn own(&self, frame: FrameId) -> Option<FrameNumber> {
        (frame.source == self.config.id && frame.incarnation == self.config.incarnation)
            .then_some(frame.number)
    }

    fn has_work(&self, now_us: Micros) -> bool {
        self.policy().offers_work(&self.situation(now_us))
    }

    /// The policy of this node's program.
    fn policy(&self) -> Policy {
        Policy(self.info.placement)
    }

    /// The state that placement may read.
    fn situation(&self, now_us: Micros) -> Situation<'_> {
        Situation {
            info: &self.info,
            config: &self.config,
            me: self.me.who(),
            now_us,
            frames: &self.frames,
            peers: &self.peers,
            paces: &self.offers.paces,
            missing_after_us: self.offers.missing_after_us(),
            pending: &self.jobs,
            jobs: self.jobs.len(),
            active: self.jobs.active(),
            foreign_bytes: self.slots.foreign_bytes(),
            sources: 1 + self.wants.sources(),
        }
    }
}

fn find(
    frames: &OwnFrames,
    foreign: &ForeignFrames,
    info: &ProgramInfo,
    own: Option<FrameNumber>,
    object: &ObjectId,
) -> Option<(SlotId, Region)> {
    match own {
        Some(number) => frames.live(number)?.find(info, object.key),
        None => {
            let foreign = foreign.get(object.frame).filter(|g| !g.over)?;
            foreign.find(info, object.key)
        }
    }
}
