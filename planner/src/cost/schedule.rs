//! A schedule of one frame on equal nodes that share one channel, in virtual time.
//!
//! The model, meant to be simple and to promise nothing that a cluster does not do:
//! - Node 0 is the frame's source. A free core takes a ready task: first the one of whose inputs
//!   the largest share lies with its node, then the one with the lowest number.
//! - A task that is all of its stage is computed by a team of its node's cores; while it runs, the
//!   others have nothing to do, as far as one frame goes.
//! - Inputs that lie elsewhere are asked for (one round trip) and travel over the channel before
//!   the task begins; the channel moves one thing at a time, in the order asked for. A core waits
//!   for its inputs (no prefetch).
//! - Results for the gateway travel when the task is done, while the core goes on.
//! - What a task made stays where it was computed. Copies that were fetched are not reused.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::{ROUND_TRIP_S, TASK_OVERHEAD_S, compute_s, flow::Job, link_s, team_cores};
use crate::options::PlanOptions;

/// The nodes that compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Edges; at least 1.
    pub edges: usize,
    /// Workers of each; at least 1.
    pub workers: usize,
    /// Most threads that share a task which is all of its stage; no more than there are workers.
    pub team: usize,
}

impl Cluster {
    /// The one that a plan is asked for.
    pub const fn of(o: &PlanOptions) -> Self {
        Self {
            edges: o.edges,
            workers: o.workers,
            team: o.team,
        }
    }

    /// Workers of all edges.
    pub fn cores(self) -> usize {
        self.edges.max(1) * self.workers.max(1)
    }

    /// Threads that share a task.
    fn threads(self, alone: bool) -> usize {
        if alone {
            self.team.clamp(1, self.workers.max(1))
        } else {
            1
        }
    }

    /// Seconds of a task of `macs` multiply-adds.
    pub fn task_s(self, macs: u64, alone: bool) -> f64 {
        compute_s(macs, team_cores(self.threads(alone))) + TASK_OVERHEAD_S
    }
}

/// How a frame went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// From the frame's arrival at its source to the last result's arrival at the gateway.
    pub seconds: f64,
    /// Bytes of the frame that left the source.
    pub frame_bytes: u64,
    /// Bytes of stage outputs that went from edge to edge.
    pub halo_bytes: u64,
    /// Bytes that went to the gateway.
    pub result_bytes: u64,
    /// Seconds that cores computed, all together.
    pub busy_s: f64,
    /// Seconds that the channel was in use.
    pub channel_s: f64,
}

/// A task ends. The earliest is the greatest, ties by order of start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    at: f64,
    order: usize,
    job: usize,
    core: usize,
}

impl Eq for End {}

impl Ord for End {
    fn cmp(&self, o: &Self) -> Ordering {
        o.at.total_cmp(&self.at).then(o.order.cmp(&self.order))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

struct State<'a> {
    jobs: &'a [Job],
    cluster: Cluster,
    workers: usize,
    /// Node that computed a finished task.
    place: Vec<Option<usize>>,
    /// Unfinished producers of every task.
    missing: Vec<usize>,
    ready: Vec<usize>,
    idle: Vec<usize>,
    ends: BinaryHeap<End>,
    started: usize,
    channel_free: f64,
    outcome: Outcome,
}

impl State<'_> {
    /// Bytes that a task would fetch on `node`: of the frame, of other tasks; and all it reads.
    fn fetched(&self, job: usize, node: usize) -> (u64, u64, u64) {
        let (mut frame, mut halo, mut all) = (0, 0, 0);
        for n in &self.jobs[job].needs {
            all += n.bytes;
            match n.producer {
                None if node != 0 => frame += n.bytes,
                Some(p) if self.place[p] != Some(node) => halo += n.bytes,
                _ => {}
            }
        }
        (frame, halo, all)
    }

    /// Uses the channel for `bytes` from `now` on; gives the time when they have arrived.
    fn send(&mut self, now: f64, bytes: u64) -> f64 {
        if bytes == 0 {
            return now;
        }
        let seconds = link_s(bytes);
        self.channel_free = self.channel_free.max(now) + seconds;
        self.outcome.channel_s += seconds;
        self.channel_free
    }

    /// Gives ready tasks to idle cores, best pair first.
    fn assign(&mut self, now: f64) {
        while !self.ready.is_empty() && !self.idle.is_empty() {
            let mut best: Option<(f64, usize, usize)> = None;
            for (i, &core) in self.idle.iter().enumerate() {
                // Cores of one node are alike.
                let node = core / self.workers;
                if i > 0 && self.idle[i - 1] / self.workers == node {
                    continue;
                }
                for (r, &job) in self.ready.iter().enumerate() {
                    let (frame, halo, all) = self.fetched(job, node);
                    #[expect(clippy::cast_precision_loss, reason = "a share")]
                    let share = (frame + halo) as f64 / all.max(1) as f64;
                    if best.is_none_or(|b| share < b.0) {
                        best = Some((share, i, r));
                    }
                    if share == 0.0 {
                        break;
                    }
                }
            }
            let Some((_, i, r)) = best else { return };
            let (core, job) = (self.idle.remove(i), self.ready.remove(r));
            let (frame, halo, _) = self.fetched(job, core / self.workers);
            self.outcome.frame_bytes += frame;
            self.outcome.halo_bytes += halo;
            let begin = if frame + halo > 0 {
                self.send(now + ROUND_TRIP_S, frame + halo)
            } else {
                now
            };
            let Job { macs, alone, .. } = self.jobs[job];
            let seconds = self.cluster.task_s(macs, alone);
            #[expect(clippy::cast_precision_loss, reason = "few threads")]
            let threads = self.cluster.threads(alone) as f64;
            self.outcome.busy_s += threads * seconds;
            self.ends.push(End {
                at: begin + seconds,
                order: self.started,
                job,
                core,
            });
            self.started += 1;
        }
    }
}

/// Runs one frame's tasks.
pub fn schedule(jobs: &[Job], cluster: Cluster) -> Outcome {
    let workers = cluster.workers.max(1);
    let mut readers = vec![Vec::new(); jobs.len()];
    let mut missing = vec![0; jobs.len()];
    for (k, job) in jobs.iter().enumerate() {
        let mut producers: Vec<usize> = job.needs.iter().filter_map(|n| n.producer).collect();
        producers.sort_unstable();
        producers.dedup();
        missing[k] = producers.len();
        for p in producers {
            readers[p].push(k);
        }
    }
    let mut s = State {
        jobs,
        cluster,
        workers,
        place: vec![None; jobs.len()],
        ready: (0..jobs.len()).filter(|k| missing[*k] == 0).collect(),
        missing,
        idle: (0..cluster.cores()).collect(),
        ends: BinaryHeap::new(),
        started: 0,
        channel_free: 0.0,
        outcome: Outcome::default(),
    };
    s.assign(0.0);
    while let Some(end) = s.ends.pop() {
        s.place[end.job] = Some(end.core / workers);
        let bytes = jobs[end.job].result_bytes;
        s.outcome.result_bytes += bytes;
        let arrived = s.send(end.at, bytes);
        s.outcome.seconds = s.outcome.seconds.max(arrived);
        for &k in &readers[end.job] {
            s.missing[k] -= 1;
            if s.missing[k] == 0 {
                let at = s.ready.partition_point(|r| *r < k);
                s.ready.insert(at, k);
            }
        }
        let at = s.idle.partition_point(|c| *c < end.core);
        s.idle.insert(at, end.core);
        s.assign(end.at);
    }
    s.outcome
}

#[cfg(test)]
mod tests {
    use super::{super::flow::Need, *};

    fn job(macs: u64, producer: &[(Option<usize>, u64)], result_bytes: u64) -> Job {
        Job {
            macs,
            needs: producer
                .iter()
                .map(|&(producer, bytes)| Need { producer, bytes })
                .collect(),
            outputs: vec![result_bytes],
            result_bytes,
            alone: false,
        }
    }

    fn run(jobs: &[Job], edges: usize) -> Outcome {
        schedule(
            jobs,
            Cluster {
                edges,
                workers: 1,
                team: 1,
            },
        )
    }

    #[test]
    fn more_edges_help_until_the_channel_is_full() {
        // A second of arithmetic, 10 ms of input, 1 ms of result each.
        let tasks = vec![job(960_000_000, &[(None, 125_000)], 12_500); 12];
        let one = run(&tasks, 1);
        assert!((12.02..12.03).contains(&one.seconds), "{one:?}");
        assert_eq!((one.frame_bytes, one.result_bytes), (0, 150_000));
        let six = run(&tasks, 6);
        assert!((2.05..2.2).contains(&six.seconds), "{six:?}");
        assert_eq!(six.frame_bytes, 10 * 125_000);
        assert!((six.channel_s - 0.112).abs() < 1e-9, "{six:?}");
        let heavy = vec![job(960_000_000, &[(None, 125_000_000)], 12_500); 12];
        assert!(run(&heavy, 6).seconds > 11.0);
    }

    #[test]
    fn successors_stay_where_their_inputs_lie() {
        // Two chains of two tasks with a small halo between them.
        let tasks = [
            job(960_000_000, &[(None, 1000)], 0),
            job(960_000_000, &[(None, 1000)], 0),
            job(960_000_000, &[(Some(0), 1000), (Some(1), 100)], 10),
            job(960_000_000, &[(Some(0), 100), (Some(1), 1000)], 10),
        ];
        let two = run(&tasks, 2);
        assert_eq!((two.frame_bytes, two.halo_bytes), (1000, 200));
        assert!((2.0..2.1).contains(&two.seconds), "{two:?}");
        let one = run(&tasks, 1);
        assert_eq!((one.frame_bytes, one.halo_bytes), (0, 0));
        assert!((4.0..4.1).contains(&one.seconds), "{one:?}");
    }

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(run(&[], 3), Outcome::default());
    }
}
