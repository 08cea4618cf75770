//! Runs a scenario to its end and checks the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    core::Counters,
    edge_spec::EdgeSpec,
    frame_record::FrameRecord,
    link::NetCounters,
    scenario::Scenario,
    violation::{Failure, Violation},
    world::World,
};
use tessera_protocol::{DropReason, FrameId, FrameOutcome, NodeId, Refusal, Verify};

/// Totals of a scenario's run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames accepted by sources.
    pub frames: usize,
    /// Frames with detections.
    pub detections: usize,
    /// Frames with a drop record.
    pub dropped: usize,
    /// Frames of killed sources without a record.
    pub unknown: usize,
    /// Virtual microseconds until the last frame had ended.
    pub busy_us: u64,
    /// Longest time from the last fault to a frame's end, in virtual microseconds.
    pub recovery_us: u64,
    /// Length of the largest idle machine's state as debug text.
    pub state_bytes: usize,
    /// Totals of jobs, frames, datagrams and inputs.
    pub counters: Counters,
    /// Totals of the network until the last frame ended.
    pub net: NetCounters,
    /// Datagrams per second that all idle nodes send together.
    pub idle_per_s: u64,
    /// Most bytes in use at a time in any edge's store.
    pub edge_peak_bytes: usize,
    /// Number of times that a store was full.
    pub store_refused: u64,
    /// Tasks that sources had computed again, to the same bits.
    pub checked: u64,
    /// How often boards were found to be wrong.
    pub caught: u64,
    /// Frames that were begun anew.
    pub begun_anew: u64,
}

impl Summary {
    /// Adds another scenario's totals; peaks become the greater of both.
    pub fn add(&mut self, o: &Self) {
        self.frames += o.frames;
        self.detections += o.detections;
        self.dropped += o.dropped;
        self.unknown += o.unknown;
        self.busy_us += o.busy_us;
        self.recovery_us = self.recovery_us.max(o.recovery_us);
        self.state_bytes = self.state_bytes.max(o.state_bytes);
        self.counters.add(&o.counters);
        self.net.add(&o.net);
        self.idle_per_s += o.idle_per_s;
        self.edge_peak_bytes = self.edge_peak_bytes.max(o.edge_peak_bytes);
        self.store_refused += o.store_refused;
        self.checked += o.checked;
        self.caught += o.caught;
        self.begun_anew += o.begun_anew;
    }
}

/// Virtual time after the last fault within which all frames must have ended, beside what sources need to compute again what they
/// check.
const RECOVERY_US_MAX: u64 = 200_000_000;
/// Longest state of an idle machine as debug text.
const STATE_BYTES_MAX: usize = 100_000;
/// Virtual time within which nodes forget ended frames.
const SETTLE_US: u64 = 8_000_000;
/// Virtual time for which idle nodes are observed.
const IDLE_US: u64 = 10_000_000;
/// Virtual time within which edges must leave after the end of the run.
const LEAVE_US_MAX: u64 = 10_000_000;
/// Virtual time that a frame needs before its source's death to become known to the gateway.
const KNOWN_AFTER_US: u64 = 50_000;

impl Scenario {
    /// Runs the world to its end.
    ///
    /// # Errors
    /// [`Failure`] when a node breaks a rule.
    ///
    /// # Panics
    /// When a machine panics, or misuses its store.
    pub fn run(&self) -> Result<Summary, Failure> {
        let mut w = World::new(&self.world);
        w.run_until(self.faults_end_us)?;
        if let Some(&node) = self.sound.iter().find(|&&k| !w.is_done(k)) {
            let node = NodeId(node as u16);
            return Err(fail(&w, Violation::HeldUp { node }));
        }
        w.end_hostile_traffic();
        if !w.run_until_finished(self.faults_end_us + RECOVERY_US_MAX + self.checks_us())? {
            return Err(fail(&w, stuck(&w)));
        }
        let mut s = Summary {
            busy_us: w.now_us(),
            recovery_us: w.now_us() - self.faults_end_us,
            net: w.net(),
            ..Summary::default()
        };
        w.run_until(w.now_us() + SETTLE_US)?;
        self.forgotten(&w)?;
        let before = w.net().sent;
        w.run_until(w.now_us() + IDLE_US)?;
        let idle = w.net().sent - before;
        s.idle_per_s = idle * 1_000_000 / IDLE_US;
        let most = self.idle_most(&w);
        if idle > most {
            return Err(fail(
                &w,
                Violation::Chatter {
                    datagrams: idle,
                    us: IDLE_US,
                    most,
                },
            ));
        }
        self.forgotten(&w)?;
        self.outcomes(&w, &mut s)?;
        self.accusations(&w, &mut s)?;
        for (node, bytes, refused) in w.peaks() {
            if node != NodeId(0) {
                s.edge_peak_bytes = s.edge_peak_bytes.max(bytes);
            }
            s.store_refused += refused;
        }
        s.state_bytes = w.state_bytes().into_iter().map(|b| b.1).max().unwrap_or(0);
        s.counters = w.counters();
        leave(&mut w)?;
        Ok(s)
    }

    /// The longest virtual time that a source's workers need to compute again what it has checked. No other board does that for it, so
    /// a slow source that checks everything takes as long for its frames as if it were alone, however many boards there are.
    fn checks_us(&self) -> u64 {
        let tasks = &self.world.info.tasks;
        let of = |e: &EdgeSpec| {
            let frame_us: u64 = tasks.iter().map(|t| e.mean_us(t.macs)).sum();
            let all_us = u64::from(e.frames) * frame_us / e.config.workers.max(1) as u64;
            all_us * u64::from(e.config.verify.ppm) / u64::from(Verify::ALL_PPM)
        };
        self.world.edges.iter().map(of).max().unwrap_or(0)
    }

    /// Most datagrams that idle nodes may send in [`IDLE_US`]: a heartbeat each way per node and period, and
    /// as many again.
    fn idle_most(&self, w: &World) -> u64 {
        let periods = IDLE_US / self.world.gateway.config.heartbeat_us + 1;
        2 * 2 * periods * w.edges_alive() as u64
    }

    /// Checks that no node keeps state of ended frames or has work left.
    fn forgotten(&self, w: &World) -> Result<(), Failure> {
        if let Some((node, slots)) = w.slots_used().into_iter().find(|(_, n)| *n > 0) {
            return Err(fail(w, Violation::Leak { node, slots }));
        }
        let (found, expected) = (w.refusals(), self.refused_now(w));
        if found != expected {
            return Err(fail(w, Violation::Refused { found, expected }));
        }
        if let Some((node, bytes)) = (w.state_bytes().into_iter()).find(|s| s.1 > STATE_BYTES_MAX) {
            return Err(fail(w, Violation::Grown { node, bytes }));
        }
        if w.edges_stopped() > 0 {
            return Err(fail(w, Violation::LeftAlone { node: NodeId(0) }));
        }
        let d = w.drained().unwrap_or_default();
        if d.frames > 0 || d.finished != d.alive || d.alive != w.edges_alive() {
            return Err(fail(w, Violation::Unfinished { node: NodeId(0) }));
        }
        Ok(())
    }

    /// Edges that the gateway should refuse now: of live edges with one id, those that have not joined.
    fn refused_now(&self, w: &World) -> Vec<(usize, Refusal)> {
        let mut refused = self.refused.clone();
        let mut of_one_id: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for &(of, twin) in &self.twins {
            of_one_id.entry(of).or_default().extend([of, twin]);
        }
        // Without sessions, the edge that was there first stays. A handshake may take longer than until the second one is there.
        for &(of, late) in &self.late_twins {
            if self.world.sealed {
                of_one_id.entry(of).or_default().extend([of, late]);
            } else {
                refused.push((late, Refusal::IdInUse));
            }
        }
        for all in of_one_id.into_values() {
            let mut live: Vec<usize> = (all.into_iter())
                .filter(|k| w.incarnation(*k).is_some())
                .collect();
            let stays = live.iter().position(|k| w.joined(*k)).unwrap_or(0);
            if stays < live.len() {
                live.remove(stays);
            }
            refused.extend(live.into_iter().map(|k| (k, Refusal::IdInUse)));
        }
        refused.sort_by_key(|r| r.0);
        refused
    }

    /// Checks that every frame has an outcome that the scenario allows.
    fn outcomes(&self, w: &World, s: &mut Summary) -> Result<(), Failure> {
        for (&frame, r) in w.ledger().frames() {
            s.frames += 1;
            let last = r.heard.or_else(|| r.records().last());
            match last {
                Some(FrameOutcome::Detections) => s.detections += 1,
                Some(FrameOutcome::Dropped(reason)) => {
                    s.dropped += 1;
                    self.drop_is_due(w, frame, r, reason)?;
                }
                None => {
                    s.unknown += 1;
                    let died = r.source_died_us.unwrap_or(0);
                    if self.records_of_dead && r.accepted_us + KNOWN_AFTER_US < died {
                        return Err(fail(w, Violation::NoRecord { frame }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that nobody was said to be wrong who was not.
    fn accusations(&self, w: &World, s: &mut Summary) -> Result<(), Failure> {
        for node in 1..=self.world.edges.len() {
            let Some(stats) = w.edge_stats(node) else {
                continue;
            };
            let checks = &stats.checks;
            s.checked += checks.equal;
            s.caught += checks.wrong.values().sum::<u64>();
            s.begun_anew += checks.frames_begun_anew;
            let node = NodeId(node as u16);
            let right = |id: &NodeId| {
                let spec = self.world.edges.get(usize::from(id.0).wrapping_sub(1));
                spec.is_none_or(|e| e.wrong_ppm == 0)
            };
            let accused = checks.wrong.keys().copied().find(right);
            let accused = accused.or((checks.own_wrong > 0).then_some(node));
            if let Some(accused) = accused {
                return Err(fail(w, Violation::Accused { node, accused }));
            }
        }
        Ok(())
    }

    fn drop_is_due(
        &self,
        w: &World,
        frame: FrameId,
        r: &FrameRecord,
        reason: DropReason,
    ) -> Result<(), Failure> {
        let due = self.may_drop.contains(&usize::from(frame.source.0));
        let fits = match reason {
            DropReason::TaskFailed => self.world.broken_task.is_some(),
            DropReason::TailFailed => self.world.gateway.fail_ppm > 0,
            DropReason::SourceLost => !self.records_of_dead || r.source_died_us.is_some(),
        };
        if due && fits {
            return Ok(());
        }
        Err(fail(w, Violation::Spurious { frame, reason }))
    }
}

/// Ends the run and checks that all edges leave.
fn leave(w: &mut World) -> Result<(), Failure> {
    let until_us = w.now_us() + LEAVE_US_MAX;
    w.stop()?;
    w.run_until(until_us)?;
    if w.edges_alive() > 0 {
        let node = NodeId(w.edges_alive() as u16);
        return Err(fail(w, Violation::Lingers { node }));
    }
    Ok(())
}

fn stuck(w: &World) -> Violation {
    let mut waiting = w.ledger().frames().iter().filter(|(_, r)| !r.over());
    match waiting.next() {
        Some((&first, _)) => Violation::Stuck {
            frames: 1 + waiting.count(),
            first,
        },
        None => Violation::Unfinished { node: NodeId(1) },
    }
}

const fn fail(w: &World, what: Violation) -> Failure {
    Failure {
        at_us: w.now_us(),
        what,
    }
}
