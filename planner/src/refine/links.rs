//! Links with which the schedule ends a plan's stages when a run did.

use tessera_plan::{dataflow::TaskGraph, graph::Graph, plan::Plan};

use super::{Measured, tasks};
use crate::{
    boards::Board,
    cost::{self, TaskTime},
    estimate::ends_s,
    options::PlanOptions,
};

/// Factors of rates and of delays that are tried: powers of the square root of 2 and of 2.
const RATES: std::ops::RangeInclusive<i32> = -8..=12;
const DELAYS: std::ops::RangeInclusive<i32> = -5..=4;
/// Least part by which other links must fit better than those of the plan.
const GAIN_MIN: f64 = 0.02;

/// Sets the links that fit a run; says by how much they differ.
pub(super) fn refine(
    graph: &Graph,
    options: &mut PlanOptions,
    plan: &Plan,
    tasks: &TaskGraph,
    places: &[Option<u16>],
    measured: &Measured,
) -> Option<String> {
    let (homes, ends) = usual_frame(tasks, places, measured)?;
    let times: Vec<Vec<TaskTime>> = (options.boards.iter())
        .map(|board| tasks::times(graph, options, plan, board))
        .collect();
    let times: Vec<&[TaskTime]> = times.iter().map(Vec::as_slice).collect();
    let error = |rate: f64, delay: f64| {
        let boards: Vec<Board> = options
            .boards
            .iter()
            .map(|b| with(b, rate, delay))
            .collect();
        let gateway = with(&options.gateway, rate, delay);
        let expected = cost::schedule_at_home(tasks, &boards, &gateway, &times, &homes);
        let expected = ends_s(plan.dataflow.stages.len(), tasks, &expected);
        let off = |(e, m): (f64, &f64)| (e.max(1e-6) / m.max(1e-6)).ln().powi(2);
        expected.into_iter().zip(&ends).map(off).sum::<f64>()
    };
    let tried =
        RATES.flat_map(|r| DELAYS.map(move |d| (2f64.powf(0.5 * f64::from(r)), 2f64.powi(d))));
    // Of equals the nearest to the plan's.
    let far = |(rate, delay): &(f64, f64)| rate.ln().abs() + delay.ln().abs();
    let mut tried: Vec<(f64, f64)> = tried.collect();
    tried.sort_by(|a, b| far(a).total_cmp(&far(b)));
    let timed = tried.into_iter().map(|(r, d)| (error(r, d), r, d));
    let (least, rate, delay) = timed.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let as_planned = error(1.0, 1.0);
    if least > as_planned * (1.0 - GAIN_MIN) || (rate == 1.0 && delay == 1.0) {
        return Some("links as described fit the run best".into());
    }
    for board in options.boards.iter_mut().chain([&mut options.gateway]) {
        *board = with(board, rate, delay);
    }
    Some(format!(
        "links with {rate:.2} times the rate and {delay:.2} times the delay fit the run best: stages then end {:.0} % \
         off, instead of {:.0} %",
        percent(least, ends.len()),
        percent(as_planned, ends.len())
    ))
}

/// A board with another link.
fn with(board: &Board, rate: f64, delay: f64) -> Board {
    let mut board = board.clone();
    board.link.bytes_per_s *= rate;
    board.link.delay_s *= delay;
    board
}

/// The mean distance of stages' ends, from a sum of squared logarithms.
#[expect(clippy::cast_precision_loss, reason = "few stages")]
fn percent(error: f64, stages: usize) -> f64 {
    100.0 * ((error / stages.max(1) as f64).sqrt().exp() - 1.0)
}

/// The boards of a frame's tasks and the seconds to the ends of its stages: of the frame whose end is the median. `None` if
/// no frame of the first board tells both.
fn usual_frame(
    tasks: &TaskGraph,
    places: &[Option<u16>],
    measured: &Measured,
) -> Option<(Vec<usize>, Vec<f64>)> {
    let source = *places.first()?;
    let stages = tasks.tasks.last().map(|t| usize::from(t.stage) + 1)?;
    let board = |node: &u16| places.iter().position(|p| p.as_ref() == Some(node));
    let frames = measured.frames.iter().filter(|(id, _)| Some(*id) == source);
    let mut whole: Vec<(Vec<usize>, &Vec<u64>)> = frames
        .filter(|(_, f)| f.makers.len() == tasks.tasks.len() && f.stage_us.len() == stages)
        .filter_map(|(_, f)| {
            let homes: Option<Vec<usize>> = f.makers.iter().map(board).collect();
            Some((homes?, &f.stage_us))
        })
        .collect();
    whole.sort_by_key(|(_, us)| us.last().copied());
    let middle = whole.len() / 2;
    let (homes, us) = whole.into_iter().nth(middle)?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a frame")]
    let ends = us.iter().map(|us| *us as f64 / 1e6).collect();
    Some((homes, ends))
}
