//! Homes: the board that each task of a frame belongs to, so that inputs lie where they are read.
//!
//! The first stage's tiles go to boards in runs of neighbours, as long as the board is fast. A later stage's
//! tile goes where most of its input was made, as far as that board still has room: within a stage no board
//! gets more seconds than a fair share and one tile.
//!
//! Such homes balance the work and know nothing of the channel. [`place`] therefore makes them for all boards and
//! for fewer, adds a tile for each core in turn and what boards choose that steal, times every choice by the schedule, and
//! keeps the fastest.

use rayon::prelude::*;
use tessera_plan::dataflow::{TaskGraph, TaskId, TaskInfo};

use super::{
    Schedule, TaskTime,
    schedule::{Limit, Trials},
};
use crate::boards::Board;

/// Most schedules that looking for homes may take, and most tasks in all of them together.
const SCHEDULES_MAX: usize = 2000;
const SCHEDULED_TASKS_MAX: usize = 50_000;
/// What a second of the channel counts when tasks are moved: other frames need it too, and what is lost travels twice.
const CHANNEL_WEIGHT: f64 = 0.25;
/// Least part of the time by which a move must help.
const GAIN_MIN: f64 = 1e-3;

/// Homes of a frame's tasks, and the frame's schedule with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// The board of every task.
    pub homes: Vec<usize>,
    /// The schedule of a frame whose tasks have these homes.
    pub schedule: Schedule,
}

/// Chooses the homes of a frame's tasks: of several choices the one with the fastest schedule.
///
/// # Panics
/// When a board has fewer times than there are tasks.
pub fn place(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
) -> Placed {
    place_below(graph, boards, gateway, times, f64::INFINITY).unwrap_or_default()
}

/// Chooses homes as [`place`] does; `None` if the schedule of none of the choices takes at most `limit_s` seconds.
///
/// # Panics
/// As [`place`].
pub fn place_below(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
    limit_s: f64,
) -> Option<Placed> {
    place_in(&Trials::new(graph, boards, gateway, times), limit_s)
}

/// See [`place_below`].
fn place_in(trials: &Trials<'_>, limit_s: f64) -> Option<Placed> {
    let Trials {
        graph,
        boards,
        times,
        ..
    } = *trials;
    let by_speed = by_speed(times);
    let counts = counts(boards.len()).into_iter();
    let fewer = counts.map(|n| of_fastest(graph, times, &by_speed[..n]));
    let stolen = || trials.stolen().runs.iter().map(|r| r.board).collect();
    let stolen = std::iter::once_with(stolen);
    let in_turn = in_turn(graph, boards, &by_speed);
    // Of equals the first: more boards.
    fastest(trials, fewer.chain(stolen).chain(in_turn), None, limit_s)
}

/// The fastest choice of homes, the first of equals; `best` is the fastest so far. `None` if there is none of at most
/// `limit_s` seconds.
fn fastest(
    trials: &Trials<'_>,
    choices: impl Iterator<Item = Vec<usize>>,
    mut best: Option<Placed>,
    limit_s: f64,
) -> Option<Placed> {
    let mut tried: Vec<Vec<usize>> = Vec::new();
    for homes in choices {
        if tried.contains(&homes) {
            continue;
        }
        tried.push(homes.clone());
        let best_s = best.as_ref().map_or(limit_s, |b| b.schedule.seconds);
        let placed = Placed::below(trials, homes, Limit::seconds(best_s));
        best = match (best, placed) {
            (Some(best), Some(p)) if p.schedule.seconds >= best.schedule.seconds => Some(best),
            (best, None) => best,
            (_, better) => better,
        };
    }
    best
}

/// Chooses homes as [`place`] does, and then looks further: for every number of boards, and by moving tasks one by one
/// and exchanging tasks of a stage for as long as the schedule becomes faster. Takes hundreds of schedules.
///
/// # Panics
/// As [`place`].
pub fn place_well(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
) -> Placed {
    let trials = Trials::new(graph, boards, gateway, times);
    let by_speed = by_speed(times);
    let schedules = (SCHEDULED_TASKS_MAX / graph.tasks.len().max(1)).min(SCHEDULES_MAX);
    // Without the slowest, without the two slowest, and so on.
    let fewer = (1..boards.len()).rev().take(schedules / 4);
    let fewer = fewer.map(|n| of_fastest(graph, times, &by_speed[..n]));
    let placed = place_in(&trials, f64::INFINITY);
    let best = fastest(&trials, fewer, placed, f64::INFINITY).unwrap_or_default();
    improved(&trials, best, schedules)
}

/// The homes of work sharing: of every stage, each board has an equal number of neighbouring tiles. Where tiles are cut by
/// speed, one for each board, the faster board has the larger one.
///
/// # Panics
/// When a board has fewer times than there are tasks.
pub fn share(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
) -> Placed {
    let by_speed = by_speed(times);
    let mut homes: Vec<usize> = Vec::with_capacity(graph.tasks.len());
    for stage in graph.tasks.chunk_by(|a, b| a.stage == b.stage) {
        let n = stage.len();
        homes.extend((0..n).map(|k| by_speed.get(k * boards.len() / n).copied().unwrap_or(0)));
    }
    let mut graph = graph.clone();
    for (task, home) in graph.tasks.iter_mut().zip(&homes) {
        task.home = u16::try_from(*home).unwrap_or(0);
    }
    Placed::new(&graph.shared(), boards, gateway, times, homes)
}

impl Placed {
    /// The tasks at these homes.
    pub fn new(
        graph: &TaskGraph,
        boards: &[Board],
        gateway: &Board,
        times: &[&[TaskTime]],
        homes: Vec<usize>,
    ) -> Self {
        let trials = Trials::new(graph, boards, gateway, times);
        Self::below(&trials, homes, Limit::NONE).unwrap_or_default()
    }

    /// The tasks at these homes, if that takes no more than `limit`.
    fn below(trials: &Trials<'_>, homes: Vec<usize>, limit: Limit) -> Option<Self> {
        let schedule = trials.at_home(&homes, limit)?;
        Some(Self { homes, schedule })
    }

    /// What moving tasks is to lower.
    fn price(&self) -> f64 {
        self.schedule.seconds + CHANNEL_WEIGHT * self.schedule.channel_s
    }
}

/// Moves tasks to other homes, and exchanges the homes of neighbours, while that makes the schedule faster.
fn improved(trials: &Trials<'_>, mut best: Placed, mut left: usize) -> Placed {
    let (graph, boards) = (trials.graph, trials.boards.len());
    loop {
        let before = best.price();
        for task in 0..graph.tasks.len() {
            let near = near(graph, &best.homes, task, boards);
            left = match left.checked_sub(near.len()) {
                Some(left) => left,
                None => return best,
            };
            let limit = best.price() * (1.0 - GAIN_MIN);
            let below = Limit {
                price: limit,
                channel_weight: CHANNEL_WEIGHT,
            };
            let near = near.into_par_iter();
            let timed: Vec<Placed> = near
                .filter_map(|homes| Placed::below(trials, homes, below))
                .collect();
            let better = timed.into_iter().filter(|p| p.price() < limit);
            // Of equals the first.
            let better = better.min_by(|a, b| a.price().total_cmp(&b.price()));
            best = better.unwrap_or(best);
        }
        if best.price() >= before * (1.0 - GAIN_MIN) {
            return best;
        }
    }
}

/// Homes that differ from `homes` in the home of one task, or in the exchanged homes of that task and one of the next of its
/// stage.
fn near(graph: &TaskGraph, homes: &[usize], task: usize, boards: usize) -> Vec<Vec<usize>> {
    let moved = (0..boards).filter(|b| *b != homes[task]).map(|board| {
        let mut moved = homes.to_vec();
        moved[task] = board;
        moved
    });
    let stage = graph.tasks[task].stage;
    let next = (task + 1..homes.len()).take_while(|k| graph.tasks[*k].stage == stage);
    let others = next.filter(|k| homes[*k] != homes[task]).take(boards);
    let exchanged = others.map(|k| {
        let mut exchanged = homes.to_vec();
        exchanged.swap(task, k);
        exchanged
    });
    moved.chain(exchanged).collect()
}

/// Homes on some boards alone.
fn of_fastest(graph: &TaskGraph, times: &[&[TaskTime]], some: &[usize]) -> Vec<usize> {
    let of_some: Vec<&[TaskTime]> = some.iter().map(|b| times[*b]).collect();
    let homes = homes(graph, &of_some);
    homes.into_iter().map(|h| some[h]).collect()
}

/// The tiles of every stage in turn, one for each core, as tiles by speed are cut for. `None` when a stage has more tiles
/// than there are cores.
fn in_turn(graph: &TaskGraph, boards: &[Board], by_speed: &[usize]) -> Option<Vec<usize>> {
    let cores = |b: &usize| std::iter::repeat_n(*b, boards[*b].cores.max(1));
    let cores: Vec<usize> = by_speed.iter().flat_map(cores).collect();
    let (mut stage, mut next) = (0, 0);
    let home = |task: &TaskInfo| {
        if task.stage != stage {
            (stage, next) = (task.stage, 0);
        }
        next += 1;
        cores.get(next - 1).copied()
    };
    graph.tasks.iter().map(home).collect()
}

/// The source, then the other boards, the fastest first.
fn by_speed(times: &[&[TaskTime]]) -> Vec<usize> {
    let seconds = |b: &usize| times[*b].iter().map(|t| t.seconds).sum::<f64>();
    let mut order: Vec<usize> = (0..times.len()).collect();
    if let Some(others) = order.get_mut(1..) {
        others.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    }
    order
}

/// Numbers of boards to try: all, half of them, and the source alone.
fn counts(boards: usize) -> Vec<usize> {
    let mut list = vec![boards, boards.div_ceil(2), 1];
    list.retain(|n| (1..=boards).contains(n));
    list.dedup();
    list
}

/// What a stage's boards have been given.
struct Shares<'a> {
    times: &'a [&'a [TaskTime]],
    /// Seconds given to each board in this stage.
    given_s: Vec<f64>,
    /// Seconds that no board should exceed in this stage.
    fair_s: f64,
}

impl<'a> Shares<'a> {
    fn new(times: &'a [&'a [TaskTime]], tasks: std::ops::Range<usize>) -> Self {
        // Boards that compute together take the time that the sum of their rates needs.
        let seconds = |b: &[TaskTime]| b[tasks.clone()].iter().map(|t| t.seconds).sum::<f64>();
        let rates: f64 = times.iter().map(|b| 1.0 / seconds(b).max(1e-9)).sum();
        let longest = |b: &&[TaskTime]| {
            b[tasks.clone()]
                .iter()
                .map(|t| t.seconds)
                .fold(0.0, f64::max)
        };
        let tile_s = times.iter().map(longest).fold(f64::MAX, f64::min);
        let whole_tiles = (1.0 / rates / tile_s.max(1e-9) - 1e-6).ceil();
        Self {
            times,
            given_s: vec![0.0; times.len()],
            fair_s: whole_tiles.max(1.0) * tile_s * (1.0 + 1e-6),
        }
    }

    fn fits(&self, board: usize, task: usize) -> bool {
        self.given_s[board] + self.times[board][task].seconds <= self.fair_s
    }

    fn give(&mut self, board: usize, task: usize) {
        self.given_s[board] += self.times[board][task].seconds;
    }

    /// The board that would be through first with one task more.
    fn soonest(&self, task: usize) -> usize {
        let end = |b: &usize| self.given_s[*b] + self.times[*b][task].seconds;
        let boards = 0..self.times.len();
        boards.min_by(|a, b| end(a).total_cmp(&end(b))).unwrap_or(0)
    }
}

/// A home for every task, by balance and by where inputs are made.
///
/// # Panics
/// When a board has fewer times than there are tasks.
pub fn homes(graph: &TaskGraph, times: &[&[TaskTime]]) -> Vec<usize> {
    let tasks = &graph.tasks;
    let mut home: Vec<usize> = Vec::with_capacity(tasks.len());
    let mut first = 0;
    while first < tasks.len() {
        let stage = tasks[first].stage;
        let end = first + tasks[first..].partition_point(|t| t.stage == stage);
        let mut shares = Shares::new(times, first..end);
        let mut run = 0;
        for task in first..end {
            let board = match nearest(graph, task, &home, &shares) {
                Some(board) => board,
                // Nothing of it was computed: the next of a run of neighbours.
                None => {
                    while run + 1 < times.len() && !shares.fits(run, task) {
                        run += 1;
                    }
                    if shares.fits(run, task) {
                        run
                    } else {
                        shares.soonest(task)
                    }
                }
            };
            shares.give(board, task);
            home.push(board);
        }
        first = end;
    }
    home
}

/// Of the boards with room the one that made most of what a task reads, and of equals the one that is through
/// first; `None` when the task reads the frame alone.
fn nearest(graph: &TaskGraph, task: usize, home: &[usize], shares: &Shares<'_>) -> Option<usize> {
    let boards = shares.times.len();
    let mut bytes = vec![0; boards];
    for need in &graph.tasks[task].needs {
        if let Some(maker) = need.key.task().map(TaskId::index) {
            bytes[home[maker]] += graph.need_bytes(need);
        }
    }
    if bytes.iter().all(|b| *b == 0) {
        return None;
    }
    let mut room: Vec<usize> = (0..boards).filter(|b| shares.fits(*b, task)).collect();
    room.sort_by(|a, b| {
        let by_bytes = bytes[*b].cmp(&bytes[*a]);
        by_bytes.then(shares.given_s[*a].total_cmp(&shares.given_s[*b]))
    });
    Some(
        room.first()
            .copied()
            .unwrap_or_else(|| shares.soonest(task)),
    )
}
