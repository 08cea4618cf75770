//! One thing to simulate: a plan, the boards that it meets, and frames.

use tessera_plan::plan::Plan;
use tessera_planner::{boards::Board, make, model::Model, options::PlanOptions};
use tessera_simulate::{FrameCourse, Kill, Outcome, Settings, SimulatedCluster, Sources};

use crate::{
    EvaluationError,
    cell::{Cell, FrameTimes},
    pi3,
    systems::Times,
};

/// Something to simulate.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name in files and messages; no two cases of different content have the same.
    pub name: String,
    /// How it is planned.
    pub options: PlanOptions,
    /// The boards that the plan meets, where they are others than those that it was made for.
    pub boards: Option<Vec<Board>>,
    /// Whose seconds tasks take.
    pub times: Times,
    /// What the boards are given to do.
    pub load: Load,
}

/// Frames, and boards that die.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Boards that bring frames: the first ones.
    pub sources: usize,
    /// Frames of each of them. One frame is alone; several are in flight as the plan says.
    pub frames: u32,
    /// Seconds between two frames of a source; 0 to bring them as soon as there is room.
    pub interval_s: f64,
    /// Boards that die.
    pub kills: Vec<Kill>,
}

impl Load {
    /// One frame of each of the first `sources` boards, all at the same time.
    pub const fn one_frame(sources: usize) -> Self {
        Self {
            sources,
            frames: 1,
            interval_s: 0.0,
            kills: Vec::new(),
        }
    }

    /// `frames` frames of each of the first `sources` boards, as fast as they are taken.
    pub fn stream(sources: usize, frames: u32) -> Self {
        Self {
            frames,
            ..Self::one_frame(sources)
        }
    }

    fn settings(&self, plan: &Plan) -> Settings {
        Settings {
            sources: Sources {
                boards: self.sources,
                frames: self.frames,
                in_flight: match self.frames {
                    1 => 1,
                    _ => plan.dataflow.frames_in_flight,
                },
                interval_s: self.interval_s,
            },
            kills: self.kills.clone(),
            ..Settings::one_frame()
        }
    }
}

impl Case {
    /// Plans and simulates. `model` is YOLOv2.
    ///
    /// # Errors
    /// When no plan is possible, or no frame ends.
    pub fn run(&self, model: &Model) -> Result<Cell, EvaluationError> {
        let plan = make::plan(model, &self.options)?;
        let met = PlanOptions {
            boards: (self.boards.clone()).unwrap_or_else(|| self.options.boards.clone()),
            ..self.options.clone()
        };
        let cluster = match self.times {
            Times::Planner => SimulatedCluster::new(&model.graph, &plan, &met)?,
            Times::Paper => {
                let times = |b: &Board| pi3::paper_times(&model.graph, &plan, b);
                let boards = met.boards.iter().map(|b| Ok((b, times(b)?)));
                let boards: Vec<_> = boards.collect::<Result<_, EvaluationError>>()?;
                SimulatedCluster::of_times(&plan, &boards, &met.gateway, pi3::TAIL_S)?
            }
        };
        let outcome = cluster.run(&self.load.settings(&plan))?;
        self.cell(&plan, &cluster, &met, &outcome)
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes in MiB, few frames")]
    fn cell(
        &self,
        plan: &Plan,
        cluster: &SimulatedCluster,
        options: &PlanOptions,
        outcome: &Outcome,
    ) -> Result<Cell, EvaluationError> {
        let s = &outcome.summary;
        let endless = || EvaluationError::Endless {
            name: self.name.clone(),
        };
        let merged = s.merged_s.ok_or_else(endless)?;
        let written = s.latency_s.ok_or_else(endless)?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        // Frames that all end together have no steady part.
        let steady = s.steady_frames_per_second;
        let steady = steady.filter(|fps| fps.is_finite() && *fps > 0.0);
        let fps = steady.unwrap_or(s.frames_per_second);
        let channel_s = s.values_bytes() as f64 / options.gateway.link.bytes_per_s;
        let span_s = s.detected as f64 / s.frames_per_second.max(1e-9);
        let busy = outcome.boards.iter().map(|b| b.busy_share);
        let frame = |f: &FrameCourse| FrameTimes {
            entered_s: f.entered_s,
            took_s: f.written_s.map(|at| at - f.entered_s),
        };
        Ok(Cell {
            name: self.name.clone(),
            plan: plan.name.clone(),
            latency_s: merged.first,
            longest_s: merged.most,
            detected_s: written.mean,
            frames_per_second: fps,
            values_mib: mib(s.values_bytes()),
            datagrams_mib: mib(s.sent_bytes),
            stolen: s.stolen,
            copies: s.copies,
            rerequested: s.rerequested,
            boards_busy: busy.sum::<f64>() / outcome.boards.len().max(1) as f64,
            tail_busy: cluster.gateway.tail_s * fps,
            channel_busy: channel_s / span_s,
            unfinished: s.frames - s.detected,
            frames: match self.load.kills.is_empty() {
                true => Vec::new(),
                false => outcome.course.frames.iter().map(frame).collect(),
            },
        })
    }
}
