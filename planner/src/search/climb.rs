//! Improves a plan step by step: of all plans that differ from it in one cut or in the grids of some stages, the
//! best takes its place, until none is better.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rayon::prelude::*;

use super::{
    candidate::Candidate,
    evaluate::Evaluator,
    forms::{Form, with_form},
    given::Given,
};
use crate::stages::{Shares, StageCuts, shares};
use tessera_plan::plan::Border;

/// Least part of the price by which a step must help.
const GAIN_MIN: f64 = 1e-3;

/// What a plan may be changed into.
pub(super) struct Moves<'a> {
    /// Layers behind which stages may end, ascending.
    pub points: &'a [usize],
    /// Layers behind which a stage's end may move: more than `points`.
    pub ends: &'a [usize],
    /// Layers that stages cut by channels can have.
    pub forms: &'a [Form],
    /// Tasks that all edges compute at a time.
    pub cores: usize,
    /// Whether cuts may change, and grids may.
    pub given: &'a Given,
    /// Speeds of the cores that compute a task each, in the order in which they get tiles.
    pub rates: &'a [f64],
    /// Largest number of parts per axis.
    pub parts_max: usize,
}

/// Climbs from a plan for at most `steps` steps. The result does not depend on the number of threads.
pub(super) fn climb(
    evaluator: &Evaluator<'_>,
    moves: &Moves<'_>,
    from: Candidate,
    steps: usize,
    tried: &Tried,
) -> Candidate {
    let mut best = from;
    for _ in 0..steps {
        let near = moves.around(&best.cuts);
        let limit = best.price * (1.0 - GAIN_MIN);
        let least = Least::new(limit);
        let timed: Vec<Candidate> = near
            .par_iter()
            .filter_map(|cuts| {
                let found = tried.below(evaluator, cuts, least.get())?;
                if found.fits() {
                    least.lower(found.price);
                }
                Some(found)
            })
            .collect();
        let better = timed
            .into_iter()
            .filter(|c| c.fits() && c.price < limit)
            // Of equals the first.
            .min_by(|a, b| a.price.total_cmp(&b.price));
        match better {
            Some(c) => best = c,
            None => break,
        }
    }
    best
}

/// Climbs from a plan that does not fit into the boards' memory to one that does, or to one that needs less: each step takes
/// the plan that needs least.
pub(super) fn to_less_memory(
    evaluator: &Evaluator<'_>,
    moves: &Moves<'_>,
    from: &Candidate,
    steps: usize,
) -> Candidate {
    let mut best = from.clone();
    for _ in 0..steps {
        if best.fits() {
            break;
        }
        let near = moves.around(&best.cuts);
        let timed = near
            .par_iter()
            .filter_map(|cuts| evaluator.candidate(cuts)?.ok());
        let timed: Vec<Candidate> = timed.collect();
        // Of equals the first.
        let least = timed.into_iter().min_by_key(Candidate::needed);
        match least.filter(|c| c.needed() < best.needed()) {
            Some(c) => best = c,
            None => break,
        }
    }
    best
}

/// The least price that several threads have found. All plans of that price are still timed, so the result does not depend
/// on which thread is first.
pub(super) struct Least(AtomicU64);

impl Least {
    /// Prices are above 0, so their bits rise as they do.
    pub const fn new(price: f64) -> Self {
        Self(AtomicU64::new(price.to_bits()))
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    pub fn lower(&self, price: f64) {
        self.0.fetch_min(price.max(0.0).to_bits(), Relaxed);
    }
}

/// What climbs know of plans that they have met: each takes at least so much. Climbs on the same boards meet the same plans.
#[derive(Default)]
pub(super) struct Tried(Mutex<HashMap<StageCuts, f64>>);

impl Tried {
    /// A plan, if it is possible and its price is at most `limit`; or perhaps if it is not.
    fn below(&self, evaluator: &Evaluator<'_>, cuts: &StageCuts, limit: f64) -> Option<Candidate> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().get(cuts).is_some_and(|least| *least > limit) {
            return None;
        }
        let found = evaluator.candidate_below(cuts, limit);
        let least = found.as_ref().map_or(limit, |c| c.price);
        // A plan that is not below this limit may be of just this price.
        let least = if found.is_none() {
            least.next_up()
        } else {
            least
        };
        lock().insert(cuts.clone(), least);
        found
    }
}

impl Moves<'_> {
    /// The plans around a plan, each once, without the plan itself.
    fn around(&self, cuts: &StageCuts) -> Vec<StageCuts> {
        let mut list = Vec::new();
        // Stages that were taken apart for their halos belong together. Reuse is tried of plans that are good without it.
        if cuts.borders.iter().any(|b| *b != Border::Recompute) {
            return list;
        }
        if self.given.may_cut() {
            self.other_cuts(cuts, &mut list);
        }
        if self.given.more_stages {
            self.other_grids(cuts, &mut list);
            self.other_channels(cuts, &mut list);
        }
        // A stage that is cut by channels may have been joined with another, or have other layers now.
        let is_form = |span: (usize, usize)| self.forms.iter().any(|f| (f.first, f.end) == span);
        let of_forms = |c: &StageCuts| {
            c.spans()
                .zip(&c.channels)
                .all(|(s, by_channels)| !by_channels || is_form(s))
        };
        list.sort_unstable();
        list.dedup();
        list.retain(|c| c != cuts && of_forms(c));
        list
    }

    /// Moves, removes and adds cuts. The offload point moves too, unless it is given.
    fn other_cuts(&self, cuts: &StageCuts, list: &mut Vec<StageCuts>) {
        let stages = cuts.ends.len();
        for i in 0..stages {
            let is_last = i + 1 == stages;
            let first = if i == 0 { 0 } else { cuts.ends[i - 1] };
            let behind = if is_last {
                usize::MAX
            } else {
                cuts.ends[i + 1]
            };
            if !is_last || self.given.ends.is_none() {
                let below = |of: &'_ [usize]| of.iter().rev().find(|p| **p < cuts.ends[i]).copied();
                let above = |of: &'_ [usize]| of.iter().find(|p| **p > cuts.ends[i]).copied();
                let near = [self.points, self.ends].map(|of| [below(of), above(of)]);
                for end in near.iter().flatten().flatten() {
                    if (first + 1..behind).contains(end) {
                        let mut moved = cuts.clone();
                        moved.ends[i] = *end;
                        list.push(moved);
                    }
                }
            }
            if !is_last {
                for removed in [i, i + 1] {
                    // Both stages become one, with the grid of either.
                    let mut joined = cuts.clone();
                    joined.ends.remove(i);
                    joined.grids.remove(removed);
                    joined.shares.remove(removed);
                    joined.channels.remove(removed);
                    joined.borders.remove(removed);
                    list.push(joined);
                }
            }
            for point in self.ends {
                if (first + 1..cuts.ends[i]).contains(point) {
                    let mut split = cuts.clone();
                    split.ends.insert(i, *point);
                    split.grids.insert(i, cuts.grids[i]);
                    split.shares.insert(i, cuts.shares[i].clone());
                    split.channels.insert(i, cuts.channels[i]);
                    split.borders.insert(i, cuts.borders[i]);
                    list.push(split);
                }
            }
        }
    }

    /// Changes the grid of one stage, of all stages up to one, from one on, or of all.
    fn other_grids(&self, cuts: &StageCuts, list: &mut Vec<StageCuts>) {
        let stages = cuts.ends.len();
        for i in 0..stages {
            for (grid, by_speed) in self.grids_near(cuts.grids[i]) {
                for run in [i..i + 1, 0..i + 1, i..stages] {
                    let mut changed = cuts.clone();
                    for k in run.filter(|k| *k == i || !cuts.channels[*k]) {
                        changed.grids[k] = grid;
                        changed.shares[k].clone_from(&by_speed);
                        changed.channels[k] = false;
                    }
                    list.push(changed);
                }
            }
        }
    }

    /// Cuts layers by channels, in a range for each core; and what is cut by channels, in a range more or less.
    fn other_channels(&self, cuts: &StageCuts, list: &mut Vec<StageCuts>) {
        let free_end = self.given.ends.is_none();
        for form in self.forms {
            let spans = cuts.spans().zip(cuts.grids.iter().zip(&cuts.channels));
            let same = spans
                .filter(|(span, _)| *span == (form.first, form.end))
                .map(|(_, how)| how)
                .next();
            let within = form.end <= cuts.offload() || free_end && form.first <= cuts.offload();
            if same.is_none() && !(self.given.may_cut() && within) {
                continue;
            }
            let most = form.ranges(self.cores);
            let ranges = match same {
                Some(([_, n], true)) => vec![n.saturating_sub(1), *n, n + 1, most],
                _ => vec![most],
            };
            for n in ranges.into_iter().filter(|n| form.allows(*n)) {
                let cut = form.cut(n, self.rates);
                list.extend(cut.iter().map(|cut| with_form(cuts, *form, cut)));
            }
        }
    }

    /// Grids with a row or column more or less, or one of each changed, and the grid on its side; each with equal
    /// tiles and with tiles by speed.
    fn grids_near(&self, [rows, cols]: [usize; 2]) -> Vec<([usize; 2], Option<Shares>)> {
        let moved = |n: usize, by: i8| match by {
            0 => Some(n),
            1 => Some(n + 1),
            _ => n.checked_sub(1),
        };
        let steps = [-1, 0, 1];
        let near = steps
            .iter()
            .flat_map(|r| steps.iter().map(move |c| (*r, *c)));
        let near = near.filter_map(|(r, c)| Some([moved(rows, r)?, moved(cols, c)?]));
        let others = [[cols, rows], [rows * cols, 1], [rows, 1], [1, 1]];
        let grids = near.chain(others).filter(|grid| {
            let range = 1..=self.parts_max;
            range.contains(&grid[0]) && range.contains(&grid[1])
        });
        let both = |grid| [(grid, None), (grid, shares(self.rates, grid))];
        let all = grids.flat_map(both);
        let mut list: Vec<_> = all.collect();
        list.sort_unstable();
        list.dedup();
        list
    }
}
