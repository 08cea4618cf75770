//! Chooses cuts, grid and offload point: the cheapest frame by the cost model, under the memory
//! limit.
//!
//! 1. Stage ends worth trying (`points`): where little has to be handed on.
//! 2. Every stage between two of them, with every grid up to 6 x 6, is evaluated once
//!    (`pieces`), in parallel.
//! 3. For every grid and offload point: the one-stage plan, and the cut lists that are cheapest by
//!    rough costs (`paths`).
//! 4. All of these are scheduled ([`mod@crate::cost::schedule`]). Of those whose built plans keep the
//!    memory limit the fastest is taken, or one with fewer stages that is at most 1 % slower: the
//!    model is not exact enough to pay for a boundary with so little. One-stage plans are always
//!    among them, so the choice is never slower than the best of these.
//!
//! Nothing depends on the number of threads: every list is in a fixed order, equals are decided by
//! the number of tiles and then by that order.

mod paths;
mod pieces;
mod points;
mod why;

use rayon::prelude::*;

pub(crate) use self::why::asked;
use self::{
    paths::Weights,
    pieces::{Piece, Pieces},
};
use crate::{
    cost::{self, Cluster},
    estimate::{self, Seconds},
    make::{self, PlanError, Shape},
    memory,
    model::Model,
    options::PlanOptions,
};
use tessera_plan::graph::Graph;
use tessera_plan::limits;

/// Largest number of parts per axis that is searched.
const PARTS_MAX: usize = 6;

/// What is not to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// Grids to try, each for all stages.
    pub grids: &'a [[usize; 2]],
    /// The only cut list (with one entry: the only offload point), if it was given.
    pub cuts: Option<&'a [usize]>,
    /// Whether more stages than asked for may be planned.
    pub more_stages: bool,
}

/// All grids that are searched.
pub(crate) fn all_grids() -> Vec<[usize; 2]> {
    (1..=PARTS_MAX)
        .flat_map(|r| (1..=PARTS_MAX).map(move |c| [r, c]))
        .collect()
}

/// A plan that may be taken.
struct Candidate {
    shape: Shape,
    seconds: Seconds,
    redundancy: f64,
    /// Bytes of a source edge; the built plan may need a little more.
    bytes: u64,
}

/// What was decided; candidates by index in order of time.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// Memory limit in bytes.
    limit: u64,
    /// The fastest plan that keeps it.
    first_fit: usize,
    /// The plan that is taken.
    best: usize,
}

impl Candidate {
    fn tiles(&self) -> usize {
        self.shape.grids.iter().map(|g| g[0] * g[1]).sum()
    }
}

/// Searches; gives the plan's structure and the reasons.
///
/// # Errors
/// When nothing searched is possible or fits the memory limit.
pub(crate) fn search(
    graph: &Graph,
    o: &PlanOptions,
    given: Given<'_>,
) -> Result<(Shape, Vec<String>), PlanError> {
    let (lists, points) = cut_lists(graph, given);
    let pairs = pairs(&lists, &points, given.more_stages);
    let pieces = pieces::evaluate(graph, o, &given, &pairs);
    let shapes = shapes(o, given, &pieces, &lists, &points);
    let mut found: Vec<Candidate> = shapes
        .par_iter()
        .filter_map(|s| candidate(graph, o, &pieces, s))
        .collect();
    found.sort_by(|a, b| {
        let by_time = a.seconds.frame().total_cmp(&b.seconds.frame());
        by_time.then(a.tiles().cmp(&b.tiles()))
    });
    if found.is_empty() {
        return Err(PlanError::NothingFound {
            reason: pieces
                .why
                .map_or_else(|| "no layer can run on edges".into(), |e| e.to_string()),
        });
    }
    let limit = o.memory.unwrap_or(u64::MAX);
    // Only what is built is known exactly.
    let model = Model {
        graph: graph.clone(),
        weights: None,
        digest: [0; 32],
    };
    let built_bytes = |c: &Candidate| {
        make::build(&model, o, &c.shape)
            .map_or(u64::MAX, |p| memory::source_bytes(&p.estimates.memory))
    };
    let fits = |c: &Candidate| c.bytes <= limit && built_bytes(c) <= limit;
    let Some(first_fit) = (0..found.len())
        .into_par_iter()
        .by_exponential_blocks()
        .find_first(|i| fits(&found[*i]))
    else {
        let least = found.iter().min_by_key(|c| c.bytes);
        return Err(PlanError::Memory {
            limit,
            smallest: least.map_or(0, built_bytes),
        });
    };
    let best = fewest_stages(&found, first_fit, &fits);
    let choice = Choice {
        limit,
        first_fit,
        best,
    };
    let why = why::lines(graph, o, given, &found, choice, pieces.refused);
    Ok((found.swap_remove(best).shape, why))
}

/// Of the plans that are at most 1 % slower than the fastest possible one, `best`, the fastest of
/// those with the fewest stages.
fn fewest_stages(found: &[Candidate], best: usize, fits: &dyn Fn(&Candidate) -> bool) -> usize {
    let stages = |i: usize| found[i].shape.cuts.len();
    let limit = found[best].seconds.frame() * 1.01;
    let mut near: Vec<usize> = (best..found.len())
        .take_while(|i| found[*i].seconds.frame() <= limit)
        .filter(|i| stages(*i) < stages(best))
        .collect();
    near.sort_by_key(|i| (stages(*i), *i));
    near.into_iter().find(|i| fits(&found[*i])).unwrap_or(best)
}

/// The offload points (or the given cuts) and all points between which stages may lie.
fn cut_lists(graph: &Graph, given: Given<'_>) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut points = points::points(graph);
    match given.cuts {
        None => {
            let offloads = points::offloads(graph, &points);
            (offloads.into_iter().map(|p| vec![p]).collect(), points)
        }
        Some(cuts) => {
            let offload = cuts.last().copied().unwrap_or(0);
            points.retain(|p| *p < offload);
            points.push(offload);
            (vec![cuts.to_vec()], points)
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
fn shapes(
    o: &PlanOptions,
    given: Given<'_>,
    pieces: &Pieces,
    lists: &[Vec<usize>],
    points: &[usize],
) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut add = |cuts: Vec<usize>, grid: [usize; 2]| {
        shapes.push(Shape {
            grids: vec![grid; cuts.len()],
            cuts,
        });
    };
    for &grid in given.grids {
        for list in lists {
            add(list.clone(), grid);
            let offload = list.last().copied().unwrap_or(0);
            let Some(end) = points.iter().position(|p| *p == offload) else {
                continue;
            };
            if !given.more_stages || list.len() > 1 {
                continue;
            }
            let mut known = vec![list.clone()];
            // The last one: what a tight memory limit may need.
            let arena = o.memory.unwrap_or(u64::MAX) / (o.workers.max(1) as u64);
            for (channel, arena) in [
                (1.0, arena),
                (0.4, arena),
                (0.4, arena / 2),
                (0.4, arena / 4),
            ] {
                let w = Weights {
                    channel,
                    arena,
                    edges: o.edges.max(1),
                };
                if let Some(cuts) = paths::cheapest(pieces, points, end, grid, w)
                    && !known.contains(&cuts)
                {
                    known.push(cuts.clone());
                    add(cuts, grid);
                }
            }
        }
    }
    shapes
}

/// Schedules a plan; `None` when one of its stages was refused.
fn candidate(graph: &Graph, o: &PlanOptions, pieces: &Pieces, shape: &Shape) -> Option<Candidate> {
    let firsts = std::iter::once(0).chain(shape.cuts.iter().copied());
    let list: Vec<&Piece> = firsts
        .zip(&shape.cuts)
        .zip(&shape.grids)
        .map(|((first, end), grid)| pieces.get(first, *end, *grid))
        .collect::<Option<_>>()?;
    let stages: Vec<_> = list.iter().map(|p| p.stage.clone()).collect();
    let offload = shape.cuts.last().copied().unwrap_or(0);
    let (_, tail) = make::stages(graph, &shape.cuts, o.dump).ok()?;
    let cluster = Cluster::of(o);
    let jobs = cost::jobs(&stages, &tail.inputs);
    let seconds = estimate::seconds(graph, &jobs, offload, &tail.inputs, cluster);
    let most = |f: fn(&Piece) -> u64| list.iter().map(|p| f(p)).max().unwrap_or(0);
    let sum = |f: fn(&Piece) -> u64| list.iter().map(|p| f(p)).sum::<u64>();
    let frame = 4 * graph.input.len() as u64;
    let own = limits::SOURCE_FRAMES;
    let bytes = most(|p| p.arena) * o.workers as u64
        + sum(|p| p.weights)
        + memory::objects(&jobs, frame, own, o.workers);
    Some(Candidate {
        shape: shape.clone(),
        seconds,
        redundancy: estimate::redundancy(graph, &stages, offload),
        bytes,
    })
}
