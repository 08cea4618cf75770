//! Times plans that are put together from evaluated stages.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    candidate::Candidate,
    stages::{StageKey, StageMemory, Stages, TiledStage},
    tails::{Tail, Tails},
};
use crate::{
    boards::Kinds,
    cost::{ROUNDING, TaskTime},
    error::PlanError,
    estimate::{self, Homes, Seconds},
    ftp::work::redundancy,
    memory,
    options::{Goal, PlanOptions},
    stages::{
        StageCuts, boundary_tensors, mark_sums, share_sums, stages as stages_of, strip_tensors,
    },
    whole,
};
use tessera_plan::{
    dataflow::TaskGraph, graph::Graph, limits::SOURCE_FRAMES, placement::ANYWHERE, plan::Stage,
};

/// More seconds than any frame takes.
const TOO_SLOW: f64 = 1e6;

/// Evaluated stages and tails, and the boards that plans are timed on.
pub(super) struct Evaluator<'a> {
    pub graph: &'a Graph,
    /// The boards may be more, fewer or joined otherwise than those that stages were evaluated for; their kinds are
    /// the same.
    pub o: &'a PlanOptions,
    pub stages: &'a Stages<'a>,
    pub tails: &'a Tails,
}

impl Evaluator<'_> {
    /// Schedules a plan; `None` when one of the plan's stages is impossible.
    pub fn candidate(&self, cuts: &StageCuts) -> Option<Result<Candidate, PlanError>> {
        let list = self.tiled(cuts)?;
        self.scheduled(&list, cuts, Homes::Quick)
    }

    /// Schedules a plan with homes that are looked for at length.
    pub fn at_best_homes(&self, cuts: &StageCuts) -> Option<Candidate> {
        let list = self.tiled(cuts)?;
        self.scheduled(&list, cuts, Homes::Well)?.ok()
    }

    /// Schedules a plan as [`Self::candidate`] does; `None` as well when the plan's price turns out to be above `limit`.
    pub fn candidate_below(&self, cuts: &StageCuts, limit: f64) -> Option<Candidate> {
        let list = self.tiled(cuts)?;
        let tail_s = self.tail(&list, cuts).time.gateway_s();
        let least_s: f64 = list.iter().map(|s| s.least_s).sum();
        // Of plans of one price none is left out: which of them came first depends on threads.
        let above = limit * ROUNDING;
        let too_slow = match self.o.goal {
            Goal::Latency | Goal::FramesPerSecond(_) => {
                self.same_boards() && least_s + tail_s > above
            }
            Goal::Throughput => tail_s > above,
        };
        if too_slow {
            return None;
        }
        let homes = match self.o.goal {
            // A frame's seconds are all of the price, or part of it.
            Goal::Latency | Goal::FramesPerSecond(_) => Homes::Below(limit),
            Goal::Throughput => Homes::Quick,
        };
        self.scheduled(&list, cuts, homes)?.ok()
    }

    /// Whether stages were evaluated for these boards and no others.
    fn same_boards(&self) -> bool {
        self.o.boards.len() == self.stages.boards()
    }

    /// The stages of a plan.
    pub fn tiled(&self, cuts: &StageCuts) -> Option<Vec<Arc<TiledStage>>> {
        let (mut list, mut partial) = (Vec::new(), Vec::new());
        for (i, (first, end)) in cuts.spans().enumerate() {
            let sums = if partial.is_empty() {
                Vec::new()
            } else {
                self.stages.reads(first, end, &partial)
            };
            let stage = self.stages.get(&StageKey {
                first,
                end,
                grid: cuts.grids[i],
                shares: cuts.shares[i].clone(),
                border: cuts.borders[i],
                channels: cuts.channels[i],
                sums,
            })?;
            partial.extend(stage.partial());
            list.push(stage);
        }
        Some(list)
    }

    /// The tail behind stages.
    fn tail(&self, list: &[Arc<TiledStage>], cuts: &StageCuts) -> Arc<Tail> {
        let partial = list.iter().filter_map(|s| s.partial()).collect();
        self.tails.get(self.graph, self.o, cuts.offload(), partial)
    }

    /// Schedules a plan; `None` above the limit of `homes`.
    fn scheduled(
        &self,
        list: &[Arc<TiledStage>],
        cuts: &StageCuts,
        homes: Homes<'_>,
    ) -> Option<Result<Candidate, PlanError>> {
        let Self { graph, o, .. } = *self;
        let tasks = match self.task_graph(list, cuts) {
            Ok(tasks) => tasks,
            Err(e) => return Some(Err(e)),
        };
        let kinds = Kinds::new(&o.boards).boards.len();
        let of_kind = |k: usize| list.iter().flat_map(move |s| s.times[k].iter().copied());
        let times: Vec<Vec<TaskTime>> = (0..kinds).map(|k| of_kind(k).collect()).collect();
        let tail = self.tail(list, cuts).time;
        let limited = o.memory_bytes().is_some() || o.gateway.memory_bytes.is_some();
        let (homes, in_flight) = if whole::is_whole(graph, cuts, o) {
            (Homes::None, whole::frames_in_flight(o))
        } else {
            (homes, SOURCE_FRAMES)
        };
        let seconds = estimate::seconds(&tasks, &times, tail, o, homes, in_flight)?;
        Some(Ok(Candidate {
            price: price(o.goal, &seconds),
            memory: limited.then(|| self.memory(list, &tasks, (cuts, &seconds.homes))),
            seconds,
            redundancy: redundancy(graph, estimate::macs(&tasks), cuts.offload()),
            cuts: cuts.clone(),
        }))
    }

    fn task_graph(
        &self,
        list: &[Arc<TiledStage>],
        cuts: &StageCuts,
    ) -> Result<TaskGraph, PlanError> {
        let (_, mut tail) = stages_of(self.graph, &cuts.ends, self.o.dump)?;
        let partial = || list.iter().filter_map(|s| s.partial());
        for (made, parts) in partial() {
            share_sums(self.graph, made, parts, &mut [], &mut tail);
        }
        let outputs = list.iter().map(|s| s.data.outputs.as_slice());
        let elements = self.o.stored(self.graph);
        let mut tensors = boundary_tensors(self.graph, outputs, &tail, elements);
        mark_sums(&mut tensors, partial());
        let mut stages: Vec<Cow<'_, Stage>> = Vec::with_capacity(list.len());
        for s in list {
            let Some(reuse) = &s.reuse else {
                stages.push(Cow::Borrowed(&s.data));
                continue;
            };
            // Its strips have other numbers in every plan.
            let (first, mut data) = (tensors.len(), s.data.clone());
            for tile in &mut data.tiles {
                let strips = tile.takes.iter_mut().chain(&mut tile.gives);
                strips.for_each(|k| *k += first);
            }
            tensors.extend(strip_tensors(self.graph, &s.graph, reuse, elements));
            stages.push(Cow::Owned(data));
        }
        let stages = stages.iter().map(|s| &**s);
        let mut tasks = TaskGraph::of_stages(&tensors, stages, &tail.inputs)?;
        let progress = list.iter().flat_map(|s| self.stages.progress(s));
        for (task, progress) in tasks.tasks.iter_mut().zip(progress) {
            task.progress = Some(Arc::clone(progress));
        }
        Ok(tasks)
    }

    /// Bytes on the source edge with the least memory to spare, and that edge's limit; of a plan without limits, the
    /// bytes on the edge that needs most.
    pub fn bytes(&self, c: &Candidate) -> (u64, u64) {
        c.memory.unwrap_or_else(|| {
            let needed = || {
                let list = self.tiled(&c.cuts)?;
                let tasks = self.task_graph(&list, &c.cuts).ok()?;
                Some(self.memory(&list, &tasks, (&c.cuts, &c.seconds.homes)))
            };
            needed().unwrap_or((0, u64::MAX))
        })
    }

    fn memory(
        &self,
        list: &[Arc<TiledStage>],
        tasks: &TaskGraph,
        (cuts, homes): (&StageCuts, &[usize]),
    ) -> (u64, u64) {
        // Of whole frames, as many are in flight as there is memory for.
        let is_whole = whole::is_whole(self.graph, cuts, self.o);
        let in_flight = if is_whole { 1 } else { SOURCE_FRAMES };
        let needs: Vec<_> = list.iter().map(|s| self.stages.memory(s)).collect();
        let arena = needs.iter().map(|m| m.arena).max().unwrap_or(0);
        let weights = needs.iter().map(|m| m.weights).sum::<u64>() + most_parts(&needs, homes);
        let shared = self.shared(tasks, homes);
        let kinds = Kinds::new(&self.o.boards);
        let needed: Vec<u64> = (kinds.boards.iter())
            .map(|b| {
                let frames = if b.source { in_flight } else { 0 };
                let workers = whole::workers(b, is_whole);
                let objects = memory::objects(tasks, frames, workers);
                let processes = if b.source {
                    memory::source_processes(workers)
                } else {
                    memory::edge_processes(workers)
                };
                arena * workers as u64 + weights + objects + shared + processes
            })
            .collect();
        // A tail's chain is built for its memory, so only where that is limited.
        let gateway = match self.o.gateway.memory_bytes {
            Some(_) => {
                let tail = self.tail(list, cuts);
                memory::gateway_least(tasks, tail.memory(self.graph, self.o))
            }
            None => 0,
        };
        let boards = self.o.boards.iter().zip(&kinds.of);
        let edges = boards.map(|(b, kind)| {
            let beside = if b.is_gateway { gateway } else { 0 };
            (needed[*kind] + beside, b.memory_bytes)
        });
        let limited = self.o.gateway.memory_bytes.map(|l| (gateway, Some(l)));
        memory::tightest(edges.chain(limited))
    }

    /// Bytes of boxes that tasks of one board share, where memory is limited.
    fn shared(&self, tasks: &TaskGraph, homes: &[usize]) -> u64 {
        if self.o.memory_bytes().is_none() || homes.is_empty() {
            return 0;
        }
        let mut at_home = tasks.clone();
        for (task, home) in at_home.tasks.iter_mut().zip(homes) {
            task.home = u16::try_from(*home).unwrap_or(ANYWHERE);
        }
        memory::shared(&at_home)
    }
}

/// Bytes of the weights of stages cut by channels, on the board that reads most of them.
fn most_parts(needs: &[&StageMemory], homes: &[usize]) -> u64 {
    let mut of_homes: BTreeMap<usize, u64> = BTreeMap::new();
    let mut first = 0;
    for m in needs {
        for (task, bytes) in (first..).zip(&m.parts) {
            let home = homes.get(task).copied().unwrap_or(0);
            *of_homes.entry(home).or_insert(0) += bytes;
        }
        first += m.tiles;
    }
    of_homes.into_values().max().unwrap_or(0)
}

/// What a goal minimises.
fn price(goal: Goal, seconds: &Seconds) -> f64 {
    match goal {
        Goal::Latency => seconds.frame(),
        Goal::Throughput => seconds.period(),
        Goal::FramesPerSecond(wanted) => {
            let late = (seconds.period() - 1.0 / wanted).max(0.0);
            // A plan that is too slow is worse than all others.
            let penalty = if late > 0.0 {
                TOO_SLOW * (1.0 + late)
            } else {
                0.0
            };
            seconds.frame() + penalty
        }
    }
}
