//! The course of many frames: what every board computed and sent, and when.
//!
//! As in [`timing`](super::timing), task times and links are given and the machines are the real ones. Here frames come from
//! several sources, nodes may fail, and datagrams may get lost. Chance comes from the seed alone.

use super::{
    core::Counters,
    fault::ScheduledFault,
    link::{LinkConditions, NetCounters},
    timing::{
        BoardTiming, GatewayTiming, LinkTiming, SECONDS_MAX, SOURCE_START_US, TimingError, micros,
        world,
    },
    world::World,
};
use tessera_protocol::{
    EdgeStats, FrameId, FrameOutcome, GatewayStats, ProgramInfo, TaskId, Verify,
};

/// Where frames come from.
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

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The program that the cluster computes.
    pub info: &'a ProgramInfo,
    /// The boards that compute; the first ones bring frames.
    pub boards: &'a [BoardTiming],
    /// The gateway.
    pub gateway: &'a GatewayTiming,
    /// The network.
    pub links: &'a LinkTiming,
    /// Where frames come from.
    pub sources: &'a Sources,
    /// Faults at virtual times; sources start at [`SOURCE_START_US`].
    pub faults: &'a [ScheduledFault],
    /// What happens to datagrams between all nodes.
    pub conditions: LinkConditions,
    /// Share of the tasks that others compute for it which a source checks, in parts per million.
    pub verify_ppm: u32,
    /// Seed of all chance.
    pub seed: u64,
    /// Whether tasks compute values and all values are checked, which takes long and changes no time.
    pub values: bool,
    /// Whether to record what travelled when.
    pub transfers: bool,
    /// Virtual seconds after which the run ends, whether or not all frames have ended; at most [`SECONDS_MAX`].
    pub seconds_max: f64,
}

/// The course of a frame. Times are seconds since the sources started.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameCourse {
    /// The frame.
    pub id: FrameId,
    /// Index of the board that brought the frame.
    pub source: usize,
    /// Number of the frame at its source, from 0.
    pub number: u32,
    /// When the source brought the frame.
    pub entered_s: f64,
    /// When the gateway had everything that the tail reads.
    pub merged_s: Option<f64>,
    /// When the gateway wrote the frame's record.
    pub written_s: Option<f64>,
    /// What the source heard of the end; `None` where it was killed before, or the run ended before.
    pub outcome: Option<FrameOutcome>,
}

/// A task that a worker ran to its end. Times are seconds since the sources started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskCourse {
    /// The frame.
    pub frame: FrameId,
    /// The task.
    pub task: TaskId,
    /// Index of the board that ran it.
    pub board: usize,
    /// When a worker began it; rows of its inputs may have been on their way.
    pub start_s: f64,
    /// When the worker finished it.
    pub end_s: f64,
}

/// A box that travelled. Nodes are numbers: 0 is the gateway, and `k + 1` is board `k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransferCourse {
    /// The frame.
    pub frame: FrameId,
    /// The kind of object: 0 for the frame, `s + 1` for an output of stage `s`.
    pub kind: usize,
    /// The task that made the object; `None` for the frame.
    pub task: Option<TaskId>,
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// When the first chunk was sent, in seconds since the sources started.
    pub start_s: f64,
    /// When the last chunk had passed the sender's link.
    pub end_s: f64,
    /// Bytes of values, those that were sent again included.
    pub bytes: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Course {
    /// All frames, by source and number.
    pub frames: Vec<FrameCourse>,
    /// Tasks that were run to their ends, ordered by these.
    pub tasks: Vec<TaskCourse>,
    /// What travelled, ordered by the beginnings.
    pub transfers: Vec<TransferCourse>,
    /// Counters of every board; `None` for one that is dead at the end.
    pub boards: Vec<Option<EdgeStats>>,
    /// Counters of the gateway; `None` if it is dead at the end.
    pub gateway: Option<GatewayStats>,
    /// Totals of the network.
    pub net: NetCounters,
    /// Totals of the nodes.
    pub counters: Counters,
    /// When the run ended: all frames had, or the limit was reached.
    pub ended_s: f64,
    /// Whether all frames of living sources have ended.
    pub finished: bool,
    /// Events that were simulated.
    pub events: u64,
}

/// Events after which a run counts as endless: hours of real time.
const EVENTS_MAX: u64 = 4_000_000_000;

/// Simulates frames from their sources to their records.
///
/// # Errors
/// [`TimingError`] when inputs are invalid, or a machine breaks a rule of the simulator.
pub fn run(setup: &Setup<'_>) -> Result<Course, TimingError> {
    let Setup {
        info,
        boards,
        sources,
        ..
    } = *setup;
    if !(0.0..=SECONDS_MAX).contains(&setup.seconds_max) {
        let seconds = setup.seconds_max;
        return Err(TimingError::Seconds { seconds });
    }
    let frames = vec![sources.frames; sources.boards.min(boards.len())];
    let mut config = world(info, boards, setup.gateway, setup.links, &frames)?;
    for edge in config.edges.iter_mut().take(frames.len()) {
        edge.config.frames_max = sources.in_flight;
        edge.frame_interval_us = micros(sources.interval_s)?;
        edge.config.verify = Verify {
            ppm: setup.verify_ppm,
            seed: setup.seed,
        };
    }
    // A board may hold frames of all sources.
    for edge in &mut config.edges {
        edge.steal_frames *= frames.len();
    }
    config.seed = setup.seed;
    config.net.conditions = setup.conditions;
    config.faults = setup.faults.to_vec();
    config.values = setup.values;
    config.record_transfers = setup.transfers;
    config.events_max = EVENTS_MAX;
    let mut world = World::new(&config);
    world.run_until(SOURCE_START_US)?;
    let until_us = SOURCE_START_US + (setup.seconds_max * 1e6) as u64;
    let finished = world.run_until_finished(until_us)?;
    Ok(course(&world, info, boards.len(), finished))
}

fn course(world: &World, info: &ProgramInfo, boards: usize, finished: bool) -> Course {
    let since_s = |us: u64| us.saturating_sub(SOURCE_START_US) as f64 / 1e6;
    let frames = world.ledger().frames().iter().map(|(id, r)| FrameCourse {
        id: *id,
        source: usize::from(id.source.0) - 1,
        number: id.number.0,
        entered_s: since_s(r.accepted_us),
        merged_s: r.merged_us.map(since_s),
        written_s: r.written_us.map(since_s),
        outcome: r.heard,
    });
    let tasks = world.job_spans().iter().map(|s| TaskCourse {
        frame: s.frame,
        task: s.task,
        board: s.node - 1,
        start_s: since_s(s.start_us),
        end_s: since_s(s.end_us),
    });
    let transfers = world.transfers().into_iter().map(|t| TransferCourse {
        frame: t.object.frame,
        kind: info.kind(t.object.key),
        task: t.object.key.task(),
        from: t.from,
        to: t.to,
        start_s: since_s(t.start_us),
        end_s: since_s(t.end_us),
        bytes: t.bytes,
    });
    Course {
        frames: frames.collect(),
        tasks: tasks.collect(),
        transfers: transfers.collect(),
        boards: (1..=boards).map(|k| world.edge_stats(k).cloned()).collect(),
        gateway: world.gateway_stats().cloned(),
        net: world.net(),
        counters: world.counters(),
        ended_s: since_s(world.now_us()),
        finished,
        events: world.events(),
    }
}
