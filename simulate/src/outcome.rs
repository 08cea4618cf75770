//! What a simulation showed, as numbers.

use std::collections::BTreeSet;

use tessera_plan::placement::{self, ANYWHERE};
use tessera_protocol::{FrameId, FrameOutcome, Placement, ProgramInfo, TaskId};
use tessera_sim::{
    course::{Course, FrameCourse, TaskCourse},
    stream::Stream,
};

use crate::{
    cluster::{ClusterError, SimulatedCluster},
    settings::Settings,
};

/// What a simulation showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub course: Course,
    /// The same in numbers.
    pub summary: Summary,
    /// Per board what it did.
    pub boards: Vec<BoardUse>,
    /// For every task of [`Course::tasks`], why its board ran it.
    pub runs: Vec<RunKind>,
}

/// Why a board ran a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// The task is at home there, or (with stealing) the frame is the board's own.
    Home,
    /// The board took the task from where it is at home.
    Stolen,
    /// The task had been run to its end before.
    Copy,
}

/// Numbers of all frames together. Seconds are virtual ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Frames that sources brought.
    pub frames: usize,
    /// Frames among them with detections.
    pub detected: usize,
    /// Frames that the gateway gave up.
    pub dropped: usize,
    /// Frames that had not ended: their source died, or the time was over.
    pub unfinished: usize,
    /// Seconds from a frame to its record: of the frame that came first, the mean, the longest. `None` without records.
    pub latency_s: Option<Latency>,
    /// Seconds from a frame until the gateway had all that the tail reads: what DeepThings measures.
    pub merged_s: Option<Latency>,
    /// Frames per second, from the first frame's arrival to the last record; 0 without records.
    pub frames_per_second: f64,
    /// Frames per second while all sources bring frames, of a run with enough frames to tell.
    pub steady_frames_per_second: Option<f64>,
    /// Bytes of values that travelled between boards, by kind: the frame, then the outputs of every stage.
    pub kinds: Vec<u64>,
    /// Bytes of the payloads of all datagrams between boards.
    pub sent_bytes: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Tasks that were run by a board where they are not at home.
    pub stolen: usize,
    /// Tasks that were run to their ends again.
    pub copies: usize,
    /// Chunks that were asked for again.
    pub rerequested: u64,
    /// Leases that ended without a result.
    pub leases_lost: u64,
}

/// Seconds of frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Of the frame that came first.
    pub first: f64,
    /// The mean.
    pub mean: f64,
    /// The longest.
    pub most: f64,
}

/// What a board did.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardUse {
    /// Tasks that it ran to their ends.
    pub tasks: usize,
    /// Tasks among them that were not at home there.
    pub stolen: usize,
    /// Seconds that its workers had tasks, all together: they computed, or waited for rows of inputs.
    pub busy_s: f64,
    /// The part of its workers' time that is, from 0 to 1, from the first frame's arrival to the last record.
    pub busy_share: f64,
    /// Bytes of values that it sent to other boards.
    pub sent_bytes: u64,
    /// Bytes of values that others sent to it.
    pub received_bytes: u64,
}

impl SimulatedCluster {
    /// Simulates frames.
    ///
    /// # Errors
    /// As [`Self::course`].
    pub fn run(&self, settings: &Settings) -> Result<Outcome, ClusterError> {
        let course = self.course(settings)?;
        Ok(Outcome::new(self, settings, course))
    }
}

impl Outcome {
    /// The numbers of a course.
    pub fn new(cluster: &SimulatedCluster, settings: &Settings, course: Course) -> Self {
        let runs = kinds(&cluster.info, &course.tasks);
        let summary = Summary::new(cluster, settings, &course, &runs);
        let boards = (0..cluster.boards.len())
            .map(|k| BoardUse::new(cluster, &course, &runs, k))
            .collect();
        Self {
            course,
            summary,
            boards,
            runs,
        }
    }
}

/// Why boards ran tasks.
fn kinds(info: &ProgramInfo, tasks: &[TaskCourse]) -> Vec<RunKind> {
    let mut done: BTreeSet<(FrameId, TaskId)> = BTreeSet::new();
    let kind = |t: &TaskCourse| {
        if !done.insert((t.frame, t.task)) {
            return RunKind::Copy;
        }
        // Boards are nodes that count from 1.
        let node = u16::try_from(t.board + 1).unwrap_or(u16::MAX);
        let home = info.tasks[t.task.index()].home;
        let is_home = match info.placement {
            Placement::Home if home != ANYWHERE => {
                placement::board(node, t.frame.source.0, info.boards) == home
            }
            _ => t.frame.source.0 == node,
        };
        if is_home {
            RunKind::Home
        } else {
            RunKind::Stolen
        }
    };
    tasks.iter().map(kind).collect()
}

impl Latency {
    #[expect(clippy::cast_precision_loss, reason = "few frames")]
    fn of(frames: &[&FrameCourse], end: fn(&FrameCourse) -> Option<f64>) -> Option<Self> {
        let each = frames
            .iter()
            .filter_map(|f| Some((f.entered_s, end(f)? - f.entered_s)));
        let each: Vec<(f64, f64)> = each.collect();
        let first = each.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Self {
            first: first.1,
            mean: each.iter().map(|(_, s)| s).sum::<f64>() / each.len() as f64,
            most: each.iter().map(|(_, s)| *s).fold(0.0, f64::max),
        })
    }
}

/// Seconds from the first frame's arrival to the last record.
fn span_s(course: &Course) -> [f64; 2] {
    let entered = course.frames.iter().map(|f| f.entered_s);
    let written = course.frames.iter().filter_map(|f| f.written_s);
    [
        entered.fold(f64::INFINITY, f64::min),
        written.fold(f64::NEG_INFINITY, f64::max),
    ]
}

impl Summary {
    #[expect(clippy::cast_precision_loss, reason = "few frames")]
    fn new(
        cluster: &SimulatedCluster,
        settings: &Settings,
        course: &Course,
        runs: &[RunKind],
    ) -> Self {
        let with = |outcome: fn(Option<FrameOutcome>) -> bool| -> Vec<&FrameCourse> {
            course
                .frames
                .iter()
                .filter(|f| outcome(f.outcome))
                .collect()
        };
        let detected = with(|o| o == Some(FrameOutcome::Detections));
        let unfinished = with(|o| o.is_none()).len();
        let [from_s, until_s] = span_s(course);
        let frames_per_second = if until_s > from_s {
            detected.len() as f64 / (until_s - from_s)
        } else {
            0.0
        };
        let filled = settings.sources.boards * settings.sources.in_flight;
        let stream = Stream::of(course).ok();
        let steady = stream.filter(|s| s.frames.len() >= 3 * filled);
        let mut kinds = vec![0; cluster.info.object_kinds()];
        for t in course.transfers.iter().filter(|t| !cluster.is_local(t)) {
            kinds[t.kind] += t.bytes;
        }
        let count = |kind: RunKind| runs.iter().filter(|r| **r == kind).count();
        let edges = || course.boards.iter().flatten();
        let transfers = edges().map(|s| s.transfer);
        let transfers = transfers.chain(course.gateway.iter().map(|s| s.transfer));
        Self {
            frames: course.frames.len(),
            dropped: course.frames.len() - detected.len() - unfinished,
            unfinished,
            latency_s: Latency::of(&detected, |f| f.written_s),
            merged_s: Latency::of(&detected, |f| f.merged_s),
            detected: detected.len(),
            frames_per_second,
            steady_frames_per_second: steady.map(|s| s.fps(filled)),
            kinds,
            sent_bytes: course.net.sent_bytes - course.net.local_bytes,
            datagrams: course.net.sent - course.net.local,
            stolen: count(RunKind::Stolen),
            copies: count(RunKind::Copy),
            rerequested: transfers.map(|t| t.chunks_rerequested).sum(),
            leases_lost: edges().map(|s| s.leases_expired + s.leases_orphaned).sum(),
        }
    }

    /// Bytes of values that travelled.
    pub fn values_bytes(&self) -> u64 {
        self.kinds.iter().sum()
    }
}

impl BoardUse {
    #[expect(clippy::cast_precision_loss, reason = "few workers")]
    fn new(cluster: &SimulatedCluster, course: &Course, runs: &[RunKind], board: usize) -> Self {
        let tasks = course
            .tasks
            .iter()
            .zip(runs)
            .filter(|(t, _)| t.board == board);
        // A sum of nothing is minus zero, which people would read.
        let spans = tasks.clone().map(|(t, _)| t.end_s - t.start_s);
        let busy_s = spans.fold(0.0, |all, span| all + span);
        let [from_s, until_s] = span_s(course);
        let workers = cluster.boards[board].1.workers as f64;
        let all_s = (until_s - from_s) * workers;
        let bytes = |end: fn(&tessera_sim::course::TransferCourse) -> usize| {
            let of_board = course.transfers.iter().filter(|t| end(t) == board + 1);
            let of_board = of_board.filter(|t| !cluster.is_local(t));
            of_board.map(|t| t.bytes).sum()
        };
        Self {
            tasks: tasks.clone().count(),
            stolen: tasks.filter(|(_, kind)| **kind == RunKind::Stolen).count(),
            busy_s,
            busy_share: if all_s > 0.0 { busy_s / all_s } else { 0.0 },
            sent_bytes: bytes(|t| t.from),
            received_bytes: bytes(|t| t.to),
        }
    }
}

/// Names of kinds of objects: the frame, then the stages' outputs by their layers.
pub fn kind_names(stages: &[tessera_plan::plan::Stage]) -> Vec<String> {
    let stage = |s: &tessera_plan::plan::Stage| match s.end_layer - s.first_layer {
        1 => format!("output of layer {}", s.first_layer),
        _ => format!("outputs of layers {} to {}", s.first_layer, s.end_layer - 1),
    };
    let frame = std::iter::once("frames".to_owned());
    frame.chain(stages.iter().map(stage)).collect()
}
