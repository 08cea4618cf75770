//! An edge: owns the frames of its source, computes, steals, holds objects for others.
//!
//! | part | is about |
//! |---|---|
//! | `link` | beats to the gateway and what it answers: who is alive, how frames stand |
//! | `frames`, `tasks` | own frames, and the table of each one's tasks |
//! | `own_tasks` | own tasks that this node runs, and what follows when anybody has finished one |
//! | `leased_tasks` | own tasks in other nodes' hands: leases given, and what becomes of them |
//! | `stolen_tasks` | other nodes' tasks in this node's hands: leases taken |
//! | `placement` | the policy: which task runs where |
//! | `search` | asking the gateway for a victim, and the victim for a task |
//! | `reports` | telling owners what became of leases, and that work goes on |
//! | `results` | telling the gateway where finished tiles lie |
//! | `job`, `jobs` | tasks on their way to a worker: inputs pulled, run, kept or given up |
//! | `guests`, `slots` | what is kept for others, and what is set aside for own frames |
//!
//! Control messages are written when they are sent, from what is known then; all of them may be
//! lost, doubled, overtaken or come from a former life: each is either repeated until answered,
//! or what it says is said again by the next beat.

mod frames;
mod guests;
mod hear;
mod job;
mod jobs;
mod leased_tasks;
mod link;
mod own_tasks;
mod peers;
mod placement;
mod reports;
mod results;
mod say;
mod search;
mod slots;
mod stolen_tasks;
#[cfg(test)]
mod stolen_tests;
mod tasks;
#[cfg(test)]
mod tests;

pub use self::placement::Placement;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use self::{
    frames::Frames, guests::Guests, job::Jobs, link::Link, peers::Peers, placement::Situation,
    reports::Reports, say::Post, search::Search, slots::Slots,
};
use super::{
    EdgeConfig, EdgeInput, EdgeOutput, FrameId, FrameMeta, Job, Now, ObjectId, Outcome,
    ProgramInfo, Refusal,
    peer::Speaker,
    pull::Receiver,
    serve::Serve,
    stats::EdgeStats,
    wire::{Kind, plan_prefix},
};
use crate::store::{SlotId, Store};
use tessera_plan::region::Region;

/// The state machine of an edge.
#[derive(Debug)]
pub struct Edge {
    config: EdgeConfig,
    info: Arc<ProgramInfo>,
    me: Speaker,
    stats: EdgeStats,
    /// The latest call.
    clock: Option<Now>,
    link: Link,
    peers: Peers,
    frames: Frames,
    guests: Guests,
    slots: Slots,
    jobs: Jobs,
    search: Search,
    reports: Reports,
    /// No lease that was given ends before.
    next_expiry: Now,
    /// When a task that is out may get a backup run.
    next_backup: Option<Now>,
    receiver: Receiver<job::Tag>,
    serve: Serve,
    /// Datagrams that wait to be taken.
    post: VecDeque<Post>,
    /// What the shell is to hear.
    events: VecDeque<Event>,
    /// Something may have become possible that was not.
    stirred: bool,
    out: Vec<u8>,
}

/// Something for the shell to hear.
#[derive(Clone, Debug)]
enum Event {
    FrameEnded(u32, FrameMeta, Outcome),
    Refused(Refusal),
    Stopped,
}

/// What [`Edge::poll`] gives, before it is put into words.
enum Step {
    Tell(Event),
    Run(Job),
    Send(SocketAddr),
    Wait(Now),
}

impl Edge {
    /// Most datagrams that wait; beyond it they count as lost.
    const MOST_POST: usize = 4096;

    /// An edge that has not spoken to anyone yet.
    pub fn new(config: EdgeConfig, info: Arc<ProgramInfo>) -> Self {
        let me = Speaker {
            id: config.id,
            epoch: config.epoch,
            plan: plan_prefix(&info),
        };
        Self {
            slots: Slots::new(&config, &info),
            receiver: Receiver::new(config.transfer),
            link: Link::new(&config),
            search: Search::new(&config),
            reports: Reports::default(),
            config,
            info,
            me,
            stats: EdgeStats::default(),
            clock: None,
            peers: Peers::default(),
            frames: Frames::default(),
            guests: Guests::default(),
            jobs: Jobs::default(),
            next_expiry: Now::MAX,
            next_backup: None,
            serve: Serve::default(),
            post: VecDeque::new(),
            events: VecDeque::new(),
            stirred: true,
            out: Vec::new(),
        }
    }

    /// Counters so far.
    pub const fn stats(&self) -> &EdgeStats {
        &self.stats
    }

    /// Takes one input. Drain [`Edge::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: EdgeInput<'_>, store: &mut impl Store) {
        self.tick(now, store);
        match input {
            EdgeInput::Datagram { from, bytes } => {
                if let Err(why) = self.hear(now, from, bytes, store) {
                    self.stats.traffic.rejected.add(why);
                }
            }
            EdgeInput::Tick => {}
            EdgeInput::Frame { slot, meta } => self.take_frame(slot, meta),
            EdgeInput::Done { job } => self.job_done(now, job, store),
            EdgeInput::Failed { job } => self.job_failed(now, job, store),
            EdgeInput::NoMoreFrames => {
                self.link.no_more = true;
                self.link.changed = true;
            }
            EdgeInput::Leave => self.leave(),
        }
    }

    /// The next thing to do; call until it is [`EdgeOutput::WaitUntil`].
    pub fn poll(&mut self, now: Now, store: &mut impl Store) -> EdgeOutput<'_> {
        match self.step(now, store) {
            Step::Tell(Event::FrameEnded(number, meta, outcome)) => EdgeOutput::FrameEnded {
                number,
                meta,
                outcome,
            },
            Step::Tell(Event::Refused(why)) => EdgeOutput::Refused(why),
            Step::Tell(Event::Stopped) => EdgeOutput::Stopped,
            Step::Run(job) => EdgeOutput::Run(job),
            Step::Send(to) => EdgeOutput::Send {
                to,
                bytes: &self.out,
            },
            Step::Wait(until) => EdgeOutput::WaitUntil(until),
        }
    }

    /// Whether the gateway has taken this node in.
    pub fn joined(&self) -> bool {
        self.link.joined()
    }

    /// Whether the machine has room for another frame of this source.
    pub fn wants_frame(&self) -> bool {
        let most = self.config.max_frames.min(EdgeConfig::MAX_FRAMES);
        self.link.joined()
            && !self.link.no_more
            && self.frames.len() < most
            && self.frames.fits_window()
    }

    fn step(&mut self, now: Now, store: &mut impl Store) -> Step {
        loop {
            self.tick(now, store);
            if let Some(event) = self.events.pop_front() {
                return Step::Tell(event);
            }
            if let Some(job) = self.next_run() {
                return Step::Run(job);
            }
            self.repeat(now);
            while let Some(post) = self.post.pop_front() {
                if let Some((to, kind)) = self.write(now, post) {
                    return self.sent(to, kind);
                }
            }
            let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
            if let Some((to, kind)) = self.receiver.poll(now, self.me, transfer, out) {
                return self.sent(to.addr, kind);
            }
            if let Some(to) = self.serve_next(store) {
                return self.sent(to, Kind::Data);
            }
            // Polling may have ended pulls; each turn of this loop ends some or is the last.
            if !self.receiver.has_ended() && !self.stirred {
                return Step::Wait(self.wake(now));
            }
        }
    }

    fn sent(&mut self, to: SocketAddr, kind: Kind) -> Step {
        self.stats.traffic.sent.add(kind, self.out.len());
        Step::Send(to)
    }

    /// Everything that follows from the time and from what has happened so far.
    fn tick(&mut self, now: Now, store: &mut impl Store) {
        let gap = now.saturating_sub(self.clock.unwrap_or(now));
        self.clock = Some(now);
        if gap > self.config.lease / 2 {
            // This process stood still: renewals wait in its socket.
            self.extend_leases(gap);
        }
        while let Some((tag, how)) = self.receiver.take_ended() {
            self.pull_ended(now, tag, how, store);
        }
        if now >= self.next_expiry {
            self.expire_leases(now);
        }
        if self.next_backup.is_some_and(|at| at <= now) {
            self.stirred = true;
        }
        if std::mem::take(&mut self.stirred) {
            self.start_own_jobs(now, store);
            if self.frames.len() == 0 && self.jobs.is_empty() && self.guests.is_empty() {
                self.slots.rest(store);
            }
        }
        self.steal(now);
    }

    fn wake(&self, now: Now) -> Now {
        let times = [
            Some(self.link.next(now, self.has_work())),
            self.search_next(),
            self.reports.next(),
            self.results_next(),
            (self.next_expiry < Now::MAX).then_some(self.next_expiry),
            self.next_backup,
            self.receiver.next(),
        ];
        let latest = now + self.config.beat;
        let next = times.into_iter().flatten().min().unwrap_or(latest);
        next.clamp(now + 1, latest)
    }

    fn send(&mut self, post: Post) {
        if self.post.len() < Self::MOST_POST {
            self.post.push_back(post);
        }
    }

    fn take_frame(&mut self, slot: SlotId, meta: FrameMeta) {
        let bytes = self.info.tensors.first().map_or(0, |t| t.bytes(t.region));
        self.slots.adopt(slot, bytes, &mut self.stats);
        self.frames.add(slot, meta, &self.info);
        self.stats.frames_accepted += 1;
        self.link.changed = true;
        self.stirred = true;
    }

    fn frame_id(&self, number: u32) -> FrameId {
        FrameId {
            source: self.config.id,
            epoch: self.config.epoch,
            number,
        }
    }

    /// The number of an own frame.
    fn own(&self, frame: FrameId) -> Option<u32> {
        (frame.source == self.config.id && frame.epoch == self.config.epoch).then_some(frame.number)
    }

    /// Where an object lies here.
    fn find(&self, object: &ObjectId) -> Option<(SlotId, Region)> {
        find(
            &self.frames,
            &self.guests,
            &self.info,
            self.own(object.frame),
            object,
        )
    }

    fn serve_next(&mut self, store: &impl Store) -> Option<SocketAddr> {
        let (frames, guests, info) = (&self.frames, &self.guests, &self.info);
        let (id, epoch) = (self.config.id, self.config.epoch);
        let lookup = |o: &ObjectId| {
            let own = (o.frame.source == id && o.frame.epoch == epoch).then_some(o.frame.number);
            find(frames, guests, info, own, o)
        };
        let transfer = &mut self.stats.transfer;
        let to = (self.serve).poll(self.me, lookup, store, transfer, &mut self.out)?;
        Some(to.addr)
    }

    fn has_work(&self) -> bool {
        self.config.placement.offers_work(&self.situation())
    }

    /// What placement may look at.
    fn situation(&self) -> Situation<'_> {
        Situation {
            info: &self.info,
            config: &self.config,
            frames: &self.frames,
            jobs: self.jobs.len(),
            guest_bytes: self.slots.guest_bytes(),
        }
    }
}

fn find(
    frames: &Frames,
    guests: &Guests,
    info: &ProgramInfo,
    own: Option<u32>,
    object: &ObjectId,
) -> Option<(SlotId, Region)> {
    match own {
        Some(number) => frames.live(number)?.find(info, object.part),
        None => {
            let guest = guests.get(object.frame).filter(|g| !g.over)?;
            guest.find(info, object.part)
        }
    }
}

/// Doubles a pause up to a bound; says when it ends.
const fn next_pause(now: Now, pause: u64, most: u64) -> (Now, u64) {
    let doubled = pause * 2;
    (now + pause, if doubled < most { doubled } else { most })
}
