//! Factors of boards' seconds.

use tessera_plan::{files::statistics::TaskWork, graph::Graph, plan::Plan};

use super::{Measured, RefineError, tasks};
use crate::{
    boards::{Board, Scale},
    cost::TaskTime,
    estimate::TailTime,
    ftp::StageGraph,
    options::PlanOptions,
    stages,
};

/// Least and greatest factor that is believed: beyond them something else went wrong.
const FACTORS: [f64; 2] = [0.02, 50.0];

/// Seconds of computation: planned and measured.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    planned_s: f64,
    measured_s: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.planned_s += other.planned_s;
        self.measured_s += other.measured_s;
    }

    fn factor(self) -> Option<f64> {
        let factor = self.measured_s / self.planned_s;
        let is_there = self.planned_s > 0.0 && self.measured_s > 0.0;
        is_there.then(|| factor.clamp(FACTORS[0], FACTORS[1]))
    }
}

/// Gives boards the factors that were measured; returns what they are, in sentences.
pub(super) fn refine(
    graph: &Graph,
    options: &mut PlanOptions,
    plan: &Plan,
    places: &[Option<u16>],
    measured: &Measured,
) -> Result<Vec<String>, RefineError> {
    let sums: Vec<Vec<Sums>> = (options.boards.iter().zip(places))
        .map(|(board, id)| {
            let work = measured.edges.iter().find(|(edge, _)| Some(*edge) == *id);
            let work = work.map_or(&[][..], |(_, work)| work);
            of_stages(
                plan,
                &tasks::times(graph, options, plan, board),
                work,
                board,
            )
        })
        .collect();
    let all: Vec<Sums> = sums.iter().map(|stages| total(stages)).collect();
    let like = |board: &Board| {
        let alike = options.boards.iter().zip(&all);
        let alike = alike.filter(|(b, _)| b.kernels_like(board));
        total(&alike.map(|(_, s)| *s).collect::<Vec<_>>()).factor()
    };
    let tail = tail(graph, options, plan, measured).factor();
    if tail.is_none() && all.iter().all(|s| s.factor().is_none()) {
        return Err(RefineError::Nothing);
    }
    let ends: Vec<usize> = plan.dataflow.stages.iter().map(|s| s.end_layer).collect();
    let mut said = Vec::new();
    let mut scales = Vec::new();
    for ((board, sums), all) in options.boards.iter().zip(&sums).zip(&all) {
        let behind = if board.is_gateway { tail } else { None };
        let mean = all.factor().or(behind).or_else(|| like(board));
        let mean = mean.unwrap_or(1.0);
        let factors: Vec<f64> = sums.iter().map(|s| s.factor().unwrap_or(mean)).collect();
        said.push(sentence(&board.name, all.factor(), mean, &factors));
        let before = |end: usize| board.scale.at(end.saturating_sub(1));
        let ranges = ends.iter().copied().zip(factors);
        let ranges = ranges.map(|(end, factor)| (end, factor * before(end)));
        let rest = behind.unwrap_or(mean) * before(usize::MAX);
        let rest = (usize::MAX, rest);
        scales.push(Scale::of_ranges(ranges.chain([rest]).collect()));
    }
    if let Some(tail) = tail {
        said.push(format!(
            "the tail took {tail:.2} times what the gateway's costs say"
        ));
    }
    let own = options.boards.iter().position(|b| b.is_gateway);
    let mean = tail.or_else(|| like(&options.gateway)).unwrap_or(1.0);
    let mean = mean * options.gateway.scale.at(usize::MAX - 1);
    options.gateway.scale = own.map_or_else(|| Scale::all(mean), |own| scales[own].clone());
    for (board, scale) in options.boards.iter_mut().zip(scales) {
        board.scale = scale;
    }
    Ok(said)
}

/// What a board computed of each stage.
fn of_stages(plan: &Plan, times: &[TaskTime], work: &[TaskWork], board: &Board) -> Vec<Sums> {
    let mut stages = vec![Sums::default(); plan.dataflow.stages.len()];
    let tiles = plan.dataflow.stages.iter().enumerate();
    let stage_of: Vec<usize> = tiles
        .flat_map(|(s, stage)| std::iter::repeat_n(s, stage.tiles.len()))
        .collect();
    for w in work {
        let (Some(stage), Some(time)) = (stage_of.get(w.task as usize), times.get(w.task as usize))
        else {
            continue;
        };
        // Workers measure the computation alone.
        let planned_s = board.shared_s(time.one_thread_s, time.threads);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        stages[*stage].add(Sums {
            planned_s: planned_s * w.jobs as f64,
            measured_s: w.busy_us as f64 / 1e6,
        });
    }
    stages
}

fn total(list: &[Sums]) -> Sums {
    let mut all = Sums::default();
    list.iter().for_each(|s| all.add(*s));
    all
}

/// The tail's seconds.
fn tail(graph: &Graph, options: &PlanOptions, plan: &Plan, measured: &Measured) -> Sums {
    let Some(measured_s) = measured.tail_s else {
        return Sums::default();
    };
    let first = plan.dataflow.tail.first_layer;
    let wanted = stages::wanted(graph, options.dump);
    let tail = StageGraph::new(graph, first, graph.layers.len(), &wanted);
    Sums {
        planned_s: TailTime::new(graph, &tail, options).gateway_s(),
        measured_s,
    }
}

fn sentence(name: &str, own: Option<f64>, mean: f64, factors: &[f64]) -> String {
    match own {
        None => {
            format!("{name} computed nothing: taken for {mean:.2} times its costs, as its like")
        }
        Some(all) => {
            let (least, most) = factors
                .iter()
                .fold((f64::MAX, 0.0_f64), |(l, m), f| (l.min(*f), m.max(*f)));
            format!(
                "{name} took {all:.2} times what its costs say ({least:.2} to {most:.2} by stage)"
            )
        }
    }
}
