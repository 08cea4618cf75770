//! Streams: many frames of several sources on boards whose task times and links are given, as [`timing`](super::timing) has
//! them for one frame.

use super::{
    fault::ScheduledFault,
    timing::{
        BoardTiming, GatewayTiming, LinkTiming, SECONDS_MAX, SOURCE_START_US, TaskSpan,
        TimingError, bytes, world,
    },
    world::World,
};
use tessera_protocol::{FrameOutcome, ProgramInfo};

/// The frames of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    /// Number of boards that bring frames: the first ones.
    pub boards: usize,
    /// Frames of each source.
    pub frames: u32,
    /// Frames that a source has in flight at a time.
    pub in_flight: usize,
    /// Seconds between two frames of a source; 0 to bring frames as soon as there is room.
    pub interval_s: f64,
}

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
/// [`SOURCE_START_US`].
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
    let frames = vec![sources.frames; sources.boards.min(boards.len())];
    let mut config = world(info, boards, gateway, links, &frames)?;
    for edge in config.edges.iter_mut().take(frames.len()) {
        edge.config.frames_max = sources.in_flight;
        edge.frame_interval_us = (sources.interval_s * 1e6) as u64;
    }
    // A board may hold frames of all sources.
    for edge in &mut config.edges {
        edge.steal_frames *= frames.len();
    }
    config.faults = faults.to_vec();
    let mut world = World::new(&config);
    world.run_until(SOURCE_START_US)?;
    if !world.run_until_finished((SECONDS_MAX * 1e6) as u64)? {
        return Err(TimingError::TooLong);
    }
    let since_s = |us: u64| us.saturating_sub(SOURCE_START_US) as f64 / 1e6;
    let mut list = Vec::new();
    for (id, record) in world.ledger().frames() {
        let written_us = record
            .written_us
            .filter(|_| record.heard == Some(FrameOutcome::Detections));
        let spans = world.job_spans().iter().filter(|s| s.frame == *id);
        let tasks = spans.map(|s| TaskSpan::new(s, since_s));
        list.push(StreamFrame {
            source: usize::from(id.source.0) - 1,
            number: id.number.0,
            entered_s: since_s(record.accepted_us),
            written_s: since_s(written_us.ok_or(TimingError::TooLong)?),
            tasks: tasks.collect(),
        });
    }
    list.sort_by(|a, b| a.written_s.total_cmp(&b.written_s));
    let received = (0..=boards.len()).map(|k| bytes(&world, k).objects_received_bytes);
    Ok(Stream {
        frames: list,
        objects_bytes: received.sum(),
    })
}
