//! Chooses cuts, grid and offload point: the cheapest frame by the cost model, under the memory
//! limit.
//!
//! 1. `points` finds stage ends worth trying: layers behind which few values live on.
//! 2. `stages` evaluates every stage between two stage ends once, with every grid up to 6 x 6, in parallel.
//! 3. `paths` finds, for every grid and offload point, the one-stage plan and the cut lists that are cheapest
//!    by rough costs.
//! 4. [`crate::cost::schedule`] times all of these plans, and the plan without stages if flags ask for neither a
//!    grid nor a stage: the gateway can always compute everything.
//! 5. `choice` takes the fastest plan whose built form keeps the memory limit, or a plan with fewer stages that
//!    is at most 1 % slower: the model is too inexact for so small a gain to pay for a boundary. The one-stage
//!    plans are always among the timed plans, so the choice is at most 1 % slower than the best one-stage plan.
//!
//! The result does not depend on the number of threads: every list has a fixed order. Of plans that take the same
//! time, the number of tiles decides, then that order.

mod choice;
mod found;
mod given;
mod paths;
mod points;
mod stages;
mod why;

use std::collections::BTreeMap;

use rayon::prelude::*;

use self::{
    found::{Candidate, Found},
    paths::PathCosts,
    stages::{StageTable, TiledStage},
};
pub(crate) use self::{given::Given, why::asked};
use crate::{
    boards::Kinds,
    cost::TaskTime,
    error::PlanError,
    estimate::{self, TailTime},
    ftp::{StageGraph, work::redundancy},
    memory,
    options::PlanOptions,
    stages::{StageCuts, boundary_tensors, stages as stages_of, wanted},
};
use tessera_plan::{dataflow::TaskGraph, graph::Graph, limits::SOURCE_FRAMES};

/// Times the plans of the search, and sorts them, the fastest first.
///
/// # Errors
/// When no plan is possible.
pub(crate) fn candidates(
    graph: &Graph,
    o: &PlanOptions,
    given: &Given,
) -> Result<Found, PlanError> {
    let (lists, points) = cut_lists(graph, given);
    let pairs = pairs(&lists, &points, given.more_stages);
    let table = stages::evaluate(graph, o, &given.grids, &pairs);
    let all = cuts_to_schedule(o, given, &table, &lists, &points);
    let evaluated = Evaluated {
        graph,
        o,
        tails: tail_times(graph, o, &all),
        table: &table,
    };
    let results: Vec<Option<Result<Candidate, PlanError>>> = all
        .par_iter()
        .map(|cuts| evaluated.candidate(cuts))
        .collect();
    let (mut list, mut refusal) = (Vec::new(), table.why.clone());
    for result in results.into_iter().flatten() {
        match result {
            Ok(c) => list.push(c),
            Err(e) => refusal = refusal.or(Some(e)),
        }
    }
    list.sort_by(|a, b| {
        let by_time = a.seconds.frame().total_cmp(&b.seconds.frame());
        by_time.then(a.cuts.tiles().cmp(&b.cuts.tiles()))
    });
    if list.is_empty() {
        return Err(
            refusal.map_or(PlanError::NoEdgeLayers, |e| PlanError::NothingFound {
                reason: e.to_string(),
            }),
        );
    }
    Ok(Found {
        list,
        refused: table.refused,
    })
}

/// The offload points (or the given cuts) and all points between which stages may lie.
fn cut_lists(graph: &Graph, given: &Given) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut points = points::points(graph);
    match &given.ends {
        None => {
            let offloads = points::offloads(graph, &points);
            (offloads.into_iter().map(|p| vec![p]).collect(), points)
        }
        Some(cuts) => {
            let offload = cuts.last().copied().unwrap_or(0);
            points.retain(|p| *p < offload);
            points.push(offload);
            (vec![cuts.clone()], points)
        }
    }
}

/// First layer and end of all stages that can occur.
fn pairs(lists: &[Vec<usize>], points: &[usize], more_stages: bool) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = lists
        .iter()
        .flat_map(|cuts| {
            let firsts = std::iter::once(0).chain(cuts.iter().copied());
            firsts.zip(cuts.iter().copied())
        })
        .collect();
    if more_stages {
        for (j, &end) in points.iter().enumerate() {
            let firsts = std::iter::once(0).chain(points[..j].iter().copied());
            pairs.extend(firsts.map(|first| (first, end)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// The plans to schedule.
fn cuts_to_schedule(
    o: &PlanOptions,
    given: &Given,
    table: &StageTable,
    lists: &[Vec<usize>],
    points: &[usize],
) -> Vec<StageCuts> {
    let mut all = Vec::new();
    if given.gateway_alone() {
        all.push(StageCuts::default());
    }
    for &grid in &given.grids {
        for list in lists {
            let mut known = vec![list.clone()];
            let offload = list.last().copied().unwrap_or(0);
            let end = points.iter().position(|p| *p == offload);
            if let (Some(end), true, [_]) = (end, given.more_stages, list.as_slice()) {
                for costs in PathCosts::tried(o) {
                    if let Some(cuts) = paths::cheapest(table, points, end, grid, costs)
                        && !known.contains(&cuts)
                    {
                        known.push(cuts);
                    }
                }
            }
            all.extend(known.into_iter().map(|ends| StageCuts::alike(ends, grid)));
        }
    }
    all
}

/// Times of the tails behind all offload points.
fn tail_times(graph: &Graph, o: &PlanOptions, all: &[StageCuts]) -> BTreeMap<usize, TailTime> {
    let mut offloads: Vec<usize> = all.iter().map(StageCuts::offload).collect();
    offloads.sort_unstable();
    offloads.dedup();
    let wanted = wanted(graph, o.dump);
    let time = |first: usize| {
        let tail = StageGraph::new(graph, first, graph.layers.len(), &wanted);
        (first, TailTime::new(graph, &tail, o))
    };
    offloads.into_par_iter().map(time).collect()
}

/// Evaluated stages and tails, from which plans are put together.
struct Evaluated<'a> {
    graph: &'a Graph,
    o: &'a PlanOptions,
    table: &'a StageTable,
    /// Times of the tails, by offload point.
    tails: BTreeMap<usize, TailTime>,
}

impl Evaluated<'_> {
    /// Schedules a plan; `None` when one of the plan's stages is impossible.
    fn candidate(&self, cuts: &StageCuts) -> Option<Result<Candidate, PlanError>> {
        let list: Vec<&TiledStage> = cuts
            .spans()
            .zip(&cuts.grids)
            .map(|((first, end), grid)| self.table.get(first, end, *grid))
            .collect::<Option<_>>()?;
        Some(self.scheduled(&list, cuts))
    }

    fn scheduled(&self, list: &[&TiledStage], cuts: &StageCuts) -> Result<Candidate, PlanError> {
        let Self { graph, o, .. } = *self;
        let tasks = self.task_graph(list, cuts)?;
        let kinds = Kinds::new(&o.boards).boards.len();
        let of_kind = |k: usize| list.iter().flat_map(move |s| s.times[k].iter().copied());
        let times: Vec<Vec<TaskTime>> = (0..kinds).map(|k| of_kind(k).collect()).collect();
        let tail = self.tails.get(&cuts.offload()).copied().unwrap_or_default();
        let (bytes, limit) = self.memory(list, &tasks);
        Ok(Candidate {
            seconds: estimate::seconds(&tasks, &times, tail, o),
            redundancy: redundancy(graph, estimate::macs(&tasks), cuts.offload()),
            cuts: cuts.clone(),
            bytes,
            limit,
        })
    }

    fn task_graph(&self, list: &[&TiledStage], cuts: &StageCuts) -> Result<TaskGraph, PlanError> {
        let (_, tail) = stages_of(self.graph, &cuts.ends, self.o.dump)?;
        let outputs = list.iter().map(|s| s.data.outputs.as_slice());
        let tensors = boundary_tensors(self.graph, outputs, &tail, self.o.stored());
        let stages = list.iter().map(|s| &s.data);
        Ok(TaskGraph::of_stages(&tensors, stages, &tail.inputs)?)
    }

    /// Bytes on the source edge with the least memory to spare, and that edge's limit.
    fn memory(&self, list: &[&TiledStage], tasks: &TaskGraph) -> (u64, u64) {
        let arena = list.iter().map(|s| s.arena).max().unwrap_or(0);
        let weights: u64 = list.iter().map(|s| s.weights).sum();
        let kinds = Kinds::new(&self.o.boards);
        let needed: Vec<u64> = (kinds.boards.iter())
            .map(|b| {
                let frames = if b.source { SOURCE_FRAMES } else { 0 };
                let objects = memory::objects(tasks, frames, b.cores);
                arena * b.cores as u64 + weights + objects
            })
            .collect();
        let boards = self.o.boards.iter().zip(&kinds.of);
        memory::tightest(boards.map(|(b, kind)| (needed[*kind], b.memory_bytes)))
    }
}
