//! The link to the gateway: heartbeats, and the gateway's answers.

use std::collections::BTreeSet;

use super::{Edge, Event};
use crate::{
    EdgeConfig, FrameId, GATEWAY, Incarnation, Micros, NodeId, NodeIncarnation, Notice, Refusal,
    Ticket,
    info::PlanPrefix,
    peer::Peer,
    store::Store,
    wire::{
        ClusterState, Envelope, FrameEntry, FrameStatus, Heartbeat, Message, NodeStatus, Reject,
        Verdict,
    },
};

/// What this edge knows of the gateway, and what it has told the gateway.
#[derive(Debug)]
pub struct GatewayLink {
    /// The gateway's incarnation, once the gateway has spoken.
    pub gateway: Option<Incarnation>,
    /// True when no more frames will come.
    pub no_more: bool,
    /// True when something has changed that the gateway should hear of now.
    pub changed: bool,
    /// True when the gateway has ended the run.
    pub stopped: bool,
    seq: u32,
    /// Sequence number of the latest answered heartbeat.
    answered: u32,
    /// First heartbeat with the content of the latest: an answer to the first also answers the latest.
    first: u32,
    /// When the edge sent that heartbeat, and how long answers take.
    first_at: Micros,
    rtt: u64,
    /// The ticket that a registering heartbeat must show.
    ticket: Ticket,
    /// The gateway's latest verdict on this node.
    verdict: Option<Verdict>,
    /// True when another living node asks for this node's id.
    contested: bool,
    sent_has_work: bool,
    last: Option<Micros>,
    /// Pause before the edge repeats an unanswered heartbeat, in microseconds.
    pause_us: u64,
    retry_us: [u64; 2],
    heartbeat_us: u64,
    dead_after_us: u64,
    /// The last node asked about.
    turn: NodeId,
}

impl GatewayLink {
    /// Pause before the edge reports a change that can wait, such as running out of work, in microseconds.
    const LAZY_US: u64 = 20_000;
    /// Periods between the heartbeats of a node at rest.
    const REST_BEATS: u64 = 2;

    /// A link on which nothing was sent yet.
    pub fn new(config: &EdgeConfig) -> Self {
        Self {
            gateway: None,
            no_more: false,
            changed: false,
            stopped: false,
            seq: 0,
            answered: 0,
            first: 0,
            first_at: 0,
            rtt: 0,
            ticket: Ticket::default(),
            verdict: None,
            contested: false,
            sent_has_work: false,
            last: None,
            pause_us: config.retry_us[0],
            // Several heartbeats must be lost before this node counts as dead.
            retry_us: config
                .retry_us
                .map(|r| r.min(config.heartbeat_us / 2).max(1)),
            heartbeat_us: config.heartbeat_us,
            dead_after_us: config.dead_after_us,
            turn: NodeId(0),
        }
    }

    /// True when the gateway's present incarnation has accepted this node.
    pub fn joined(&self) -> bool {
        self.verdict == Some(Verdict::Welcome) && !self.stopped
    }

    /// Sequence number of the latest heartbeat.
    pub const fn seq(&self) -> u32 {
        self.seq
    }

    /// When the next heartbeat is due. `at_rest` says that this node has nothing to do with any frame.
    pub fn next(&self, now_us: Micros, has_work: bool, at_rest: bool) -> Micros {
        let Some(last) = self.last else { return now_us };
        if self.stopped {
            return Micros::MAX;
        }
        if matches!(self.verdict, Some(Verdict::Refused(_))) {
            return last + self.dead_after_us;
        }
        if self.changed || has_work && !self.sent_has_work {
            return now_us;
        }
        let regular = if self.answered < self.first {
            last + self.pause_us.max(self.rtt * 2)
        } else if at_rest {
            // An unanswered one is repeated soon, so a node at rest is not lost sooner.
            last + Self::REST_BEATS * self.heartbeat_us
        } else {
            last + self.heartbeat_us
        };
        if self.sent_has_work && !has_work {
            regular.min(last + Self::LAZY_US)
        } else {
            regular
        }
    }

    /// Notes the answer to a heartbeat.
    fn answer(&mut self, now_us: Micros, seq: u32) {
        self.answered = seq;
        self.pause_us = self.retry_us[0];
        if seq == self.first {
            let sample = now_us
                .saturating_sub(self.first_at)
                .min(self.dead_after_us / 8);
            self.rtt = if self.rtt == 0 {
                sample
            } else {
                (self.rtt * 3 + sample) / 4
            };
        }
    }

    /// Counts a heartbeat that is about to be written; returns its sequence number.
    fn count(&mut self, now_us: Micros, has_work: bool) -> u32 {
        self.seq += 1;
        if self.answered < self.first && !self.changed && has_work == self.sent_has_work {
            self.pause_us = (self.pause_us * 2).min(self.retry_us[1]);
        } else {
            (self.first, self.first_at) = (self.seq, now_us);
        }
        self.last = Some(now_us);
        self.changed = false;
        self.sent_has_work = has_work;
        self.seq
    }
}

impl Edge {
    /// Writes a heartbeat.
    pub(super) fn write_heartbeat(&mut self, now_us: Micros) {
        let has_work = self.has_work(now_us);
        let seq = self.link.count(now_us, has_work);
        let frames: Vec<FrameEntry> = (self.frames.in_flight())
            .map(|(n, f)| {
                let age_us = now_us.saturating_sub(f.meta.captured_us);
                let finished = f.finished_for_tail(&self.info);
                FrameEntry::new(n, f.failed, finished, f.meta, age_us).anew(f.attempt)
            })
            .collect();
        let ask: Vec<_> = (self.asking_about().into_iter())
            .map(|id| id.into())
            .collect();
        let heartbeat = Heartbeat {
            seq,
            ticket: self.link.ticket,
            has_work,
            no_more: self.link.no_more,
            floor: self.frames.floor(),
            next: self.frames.next(),
            plan_hash: self.info.plan_hash,
            model_digest: self.info.model_digest,
            frames: &frames,
            ask: &ask,
        };
        let envelope = self.me.to(self.link.gateway);
        Message::Heartbeat(heartbeat).encode(envelope, &mut self.out);
    }

    /// Nodes whose state matters here: nodes with own tasks or their outputs, owners of outputs kept here, and nodes that
    /// inputs are fetched from.
    /// The nodes take turns when a heartbeat cannot name all of them.
    fn asking_about(&mut self) -> Vec<NodeId> {
        let mut all: BTreeSet<NodeId> = self.foreign.owners();
        for (_, f) in self.frames.in_flight() {
            for (_, t) in f.tasks.iter() {
                all.extend(t.holders.iter().map(|h| h.id));
                all.extend(t.lease.map(|l| l.thief.id));
            }
        }
        all.extend(self.homes_to_find());
        let fetches = self.jobs.iter().flat_map(|(_, j)| j.fetches.values());
        all.extend(fetches.map(|f| f.holder.id));
        all.remove(&self.config.id);
        all.remove(&GATEWAY);
        let turn = self.link.turn;
        let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|&n| n <= turn);
        let list: Vec<NodeId> = (after.into_iter().chain(before))
            .take(Heartbeat::ASKED_MAX)
            .collect();
        if let Some(&last) = list.last() {
            self.link.turn = last;
        }
        list
    }

    /// Handles a state from a gateway. Of two processes that answer, the gateway is the one that answered the
    /// later heartbeat: earlier answers of another process are stale.
    ///
    /// # Errors
    /// [`Reject::Stale`] when the state comes from an incarnation that is not the gateway's present one.
    pub(super) fn gateway_seen(
        &mut self,
        envelope: &Envelope,
        state: &ClusterState<'_>,
    ) -> Result<(), Reject> {
        if self.link.gateway == Some(envelope.incarnation) {
            return Ok(());
        }
        if state.seq <= self.link.answered || state.seq > self.link.seq {
            return Err(Reject::Stale);
        }
        let restarted = self.link.gateway.replace(envelope.incarnation).is_some();
        self.link.ticket = Ticket::default();
        if self.link.joined() {
            self.link.verdict = None;
        }
        if restarted {
            self.notices.add(Notice::GatewayRestarted);
        }
        // The gateway does not know this node before a heartbeat meant for the gateway arrives.
        self.link.changed = true;
        self.gateway_forgot();
        self.search_restart();
        Ok(())
    }

    pub(super) fn on_state(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        state: &ClusterState<'_>,
        store: &mut impl Store,
    ) {
        if state.seq > self.link.answered && state.seq <= self.link.seq {
            self.link.answer(now_us, state.seq);
            self.on_verdict(now_us, envelope, state);
            if state.work {
                self.work_somewhere(now_us);
            }
        }
        for note in state.frames {
            let number = note.number.get();
            match note.status() {
                FrameStatus::Waiting => {
                    // An unasked state may be old.
                    if state.seq > 0 && state.seq == self.link.answered {
                        self.frame_closed(number);
                    }
                }
                FrameStatus::Open => self.frame_opened(number, note.opened.get()),
                FrameStatus::Over(outcome) => self.frame_over(number, outcome, store),
            }
        }
        for entry in state.nodes {
            // An unasked state may be old news of life and death.
            let asked = state.seq > 0 && state.seq == self.link.answered;
            self.on_node_status(&entry.status(), asked.then_some(state.seq), store);
        }
    }

    /// Handles the gateway's state of another node. `answers` is the heartbeat that asked: the gateway may have
    /// answered before it heard of a process that this node met later.
    fn on_node_status(
        &mut self,
        status: &NodeStatus,
        answers: Option<u32>,
        store: &mut impl Store,
    ) {
        let (id, present) = (status.node.id(), status.node.incarnation());
        let replaced = |f: &FrameId, since: u32| {
            f.source == id && f.incarnation != present && answers.is_some_and(|seq| seq > since)
        };
        let over: Vec<FrameId> = (self.foreign.iter())
            .filter(|(f, kept)| status.over(*f) || replaced(f, kept.since))
            .map(|(f, _)| f)
            .collect();
        for frame in over {
            self.foreign_frame_over(frame, store);
        }
        if status.alive {
            self.offer(Peer::from(&status.node));
        }
        if let Some(seq) = answers.filter(|_| id != self.config.id) {
            let news: Vec<NodeIncarnation> = self.peers.known_since(id, seq).collect();
            let ended = |p: NodeIncarnation| {
                p.id == id && (p.incarnation != present || !status.alive) && !news.contains(&p)
            };
            self.incarnations_ended(ended, store);
        }
    }

    fn on_verdict(&mut self, now_us: Micros, envelope: &Envelope, state: &ClusterState<'_>) {
        self.link.ticket = state.ticket;
        match state.verdict {
            Verdict::Welcome => self.welcome(now_us, state.contested),
            Verdict::Register => {
                self.link.verdict = None;
                self.link.changed = true;
            }
            Verdict::Wait => self.link.verdict = None,
            Verdict::Refused(why) => self.refused(envelope, why),
        }
    }

    fn welcome(&mut self, now_us: Micros, contested: bool) {
        self.offers.joined(now_us);
        if !self.link.joined() {
            self.condition.joined();
        }
        self.link.verdict = Some(Verdict::Welcome);
        self.dirty = true;
        if contested && !self.link.contested {
            self.notices.add(Notice::IdContested {
                node: self.config.id,
            });
        }
        self.link.contested = contested;
    }

    fn refused(&mut self, envelope: &Envelope, why: Refusal) {
        let verdict = Some(Verdict::Refused(why));
        if self.link.verdict != verdict {
            self.link.verdict = verdict;
            self.notices.add(Notice::TurnedAway {
                why,
                own_plan: PlanPrefix(self.me.plan),
                gateway_plan: PlanPrefix(envelope.plan),
            });
            self.events.push_back(Event::Refused(why));
        }
    }

    /// Stops taking part. The edge tells the gateway once; if the datagram gets lost, the gateway notices the silence.
    pub(super) fn leave(&mut self) {
        if self.link.joined() {
            self.enqueue(super::send::Outgoing::Bye);
        }
        self.link.stopped = true;
    }

    pub(super) fn on_stop(&mut self) -> Result<(), Reject> {
        if !self.link.joined() && !self.link.stopped {
            return Err(Reject::Unexpected);
        }
        if !self.link.stopped {
            self.link.stopped = true;
            self.events.push_back(Event::Stopped);
        }
        self.enqueue(super::send::Outgoing::Bye);
        Ok(())
    }
}
