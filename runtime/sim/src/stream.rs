//! Streams: many frames of several sources on boards whose task times and links are given, as [`timing`](super::timing) has
//! them for one frame.

use super::{
    course::{self, Course, Setup},
    fault::ScheduledFault,
    link::LinkConditions,
    timing::{BoardTiming, GatewayTiming, LinkTiming, SECONDS_MAX, TaskSpan, TimingError},
};
use tessera_protocol::{FrameOutcome, ProgramInfo};

pub use super::course::Sources;

/// The course of a frame. Times are seconds since the sources started.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamFrame {
    /// Index of the board that brought the frame.
    pub source: usize,
    /// Number of the frame at its source, from 0.
    pub number: u32,
    /// When the source brought the frame.
    pub entered_s: f64,
    /// When the gateway wrote the frame's record.
    pub written_s: f64,
    /// Runs of the frame's tasks, ordered by their ends, in seconds since the sources started.
    pub tasks: Vec<TaskSpan>,
}

/// The frames of all sources, ordered by their records.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The frames.
    pub frames: Vec<StreamFrame>,
    /// Bytes of object values that all nodes received.
    pub objects_bytes: u64,
}

impl Stream {
    /// The frames of a course, all of which ended with detections.
    ///
    /// # Errors
    /// [`TimingError::TooLong`] when one did not.
    pub fn of(course: &Course) -> Result<Self, TimingError> {
        of(course)
    }

    /// Frames per second while all sources bring frames: from the record of frame `first`, counted in the order of
    /// records, to the time when a source has brought its last frame. A frame counts for the part of its computation
    /// that lies between: few frames are exact enough then. Of copies of a task the first counts.
    pub fn fps(&self, first: usize) -> f64 {
        let last_of = |source| {
            let own = self.frames.iter().filter(move |f| f.source == source);
            own.map(|f| f.entered_s).fold(0.0, f64::max)
        };
        let sources = self.frames.iter().map(|f| f.source);
        let until_s = sources.map(last_of).fold(f64::INFINITY, f64::min);
        let from_s = self.frames.get(first).map_or(until_s, |f| f.written_s);
        let part = |f: &StreamFrame| {
            let (mut within_s, mut all_s) = (0.0, 0.0);
            for (k, t) in f.tasks.iter().enumerate() {
                if f.tasks[..k].iter().all(|earlier| earlier.task != t.task) {
                    within_s += (t.end_s.min(until_s) - t.start_s.max(from_s)).max(0.0);
                    all_s += t.end_s - t.start_s;
                }
            }
            if all_s > 0.0 { within_s / all_s } else { 0.0 }
        };
        let frames: f64 = self.frames.iter().map(part).sum();
        if until_s > from_s {
            frames / (until_s - from_s)
        } else {
            0.0
        }
    }
}

/// Simulates frames from their sources to their records, with `faults` at virtual times in microseconds; sources start at
/// [`SOURCE_START_US`](super::timing::SOURCE_START_US).
///
/// # Errors
/// [`TimingError`] when inputs are invalid, or a frame does not end with detections.
pub fn run(
    info: &ProgramInfo,
    boards: &[BoardTiming],
    gateway: &GatewayTiming,
    links: &LinkTiming,
    sources: &Sources,
    faults: &[ScheduledFault],
) -> Result<Stream, TimingError> {
    let course = course::run(&Setup {
        info,
        boards,
        gateway,
        links,
        sources,
        faults,
        conditions: LinkConditions::default(),
        verify_ppm: 0,
        seed: 0,
        values: true,
        transfers: false,
        seconds_max: SECONDS_MAX,
    })?;
    Stream::of(&course)
}

fn of(course: &Course) -> Result<Stream, TimingError> {
    if !course.finished {
        return Err(TimingError::TooLong);
    }
    let mut list = Vec::new();
    for frame in &course.frames {
        let written_s = frame
            .written_s
            .filter(|_| frame.outcome == Some(FrameOutcome::Detections));
        let tasks = course.tasks.iter().filter(|t| t.frame == frame.id);
        let tasks = tasks.map(|t| TaskSpan {
            task: t.task,
            board: t.board,
            start_s: t.start_s,
            end_s: t.end_s,
        });
        list.push(StreamFrame {
            source: frame.source,
            number: frame.number,
            entered_s: frame.entered_s,
            written_s: written_s.ok_or(TimingError::TooLong)?,
            tasks: tasks.collect(),
        });
    }
    list.sort_by(|a, b| a.written_s.total_cmp(&b.written_s));
    let edges = course.boards.iter().flatten().map(|s| s.transfer);
    let nodes = edges.chain(course.gateway.iter().map(|s| s.transfer));
    Ok(Stream {
        frames: list,
        objects_bytes: nodes.map(|t| t.bytes_received).sum(),
    })
}
