//! Expected cost of a plan: exact bytes, rough seconds.

use std::collections::BTreeMap;

use crate::{
    boards::{Board, Kinds, Medium},
    cost::{self, Placed, Schedule, TaskTime},
    ftp::{StageGraph, work::redundancy},
    memory,
    options::PlanOptions,
    pace::{Frames, Pace},
    whole,
};
use tessera_plan::{
    dataflow::{ObjectKey, Port, TaskGraph, TaskId, TaskInfo},
    graph::Graph,
    placement::ANYWHERE,
    plan::{Dataflow, Estimates, Placement, TargetPlan},
};

/// Bytes of all inputs or of all outputs of a stage's tasks; `ports` selects inputs or outputs.
pub fn stage_bytes(graph: &TaskGraph, stage: usize, ports: fn(&TaskInfo) -> &[Port]) -> u64 {
    let tasks = graph.tasks.iter().filter(|t| usize::from(t.stage) == stage);
    let ports = tasks.filter(|t| t.instead_of.is_none()).flat_map(ports);
    ports.map(|p| graph.port_bytes(p) as u64).sum()
}

/// Bytes of all tensors that the tail reads.
fn tail_bytes(graph: &TaskGraph) -> u64 {
    let needs = graph.tail_needs.iter();
    needs.map(|n| graph.need_bytes(n) as u64).sum()
}

/// Bytes of the frame that the tail reads.
fn tail_frame_bytes(graph: &TaskGraph) -> u64 {
    let needs = graph
        .tail_needs
        .iter()
        .filter(|n| n.key == ObjectKey::Frame);
    needs.map(|n| graph.need_bytes(n) as u64).sum()
}

/// Bytes of a frame.
fn frame_bytes(graph: &TaskGraph) -> u64 {
    graph.tensors.first().map_or(0, |t| t.bytes(t.region)) as u64
}

/// Multiply-adds of all tasks together, if no task must stand in for another.
pub fn macs(tasks: &TaskGraph) -> u64 {
    let expected = tasks.tasks.iter().filter(|t| t.instead_of.is_none());
    expected.map(|t| t.macs).sum()
}

/// Expected seconds of a frame.
#[derive(Clone, Debug, Default)]
pub struct Seconds {
    /// The schedule of the stages.
    pub stages: Schedule,
    /// The home board of every task.
    pub homes: Vec<usize>,
    /// Seconds from the last result's arrival at the gateway to the network's outputs.
    pub tail: f64,
    /// Seconds in which one thread of the first board computes all tasks and the tail, without transfers and
    /// overhead.
    pub one_thread: f64,
    /// Frames per second when frames follow each other.
    pub pace: Pace,
}

impl Seconds {
    /// Seconds from the frame's arrival at its source to the network's outputs.
    pub fn frame(&self) -> f64 {
        self.stages.seconds + self.tail
    }

    /// Seconds between frames when frames of all sources follow each other.
    pub fn period(&self) -> f64 {
        1.0 / self.pace.fps()
    }
}

/// Expected time of a tail, on the gateway and on one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct TailTime {
    /// Seconds by the gateway's team.
    gateway_s: f64,
    /// Seconds by one thread of the first board.
    one_thread_s: f64,
}

impl TailTime {
    /// Seconds by the gateway's team.
    pub const fn gateway_s(&self) -> f64 {
        self.gateway_s
    }

    /// Computes the time of a tail on the boards of `o`.
    pub fn new(graph: &Graph, tail: &StageGraph, o: &PlanOptions) -> Self {
        let gateway = &o.gateway;
        let one_thread_s = cost::tail_s(graph, tail, o, o.first());
        let on_gateway = if gateway.kernels_like(o.first()) {
            one_thread_s
        } else {
            cost::tail_s(graph, tail, o, gateway)
        };
        Self {
            gateway_s: gateway.shared_s(on_gateway, gateway.threads(true)),
            one_thread_s,
        }
    }
}

/// Where tasks are at home.
#[derive(Clone, Copy, Debug)]
pub enum Homes<'a> {
    /// Where a few schedules find them.
    Quick,
    /// The same, if the frame then takes at most these seconds.
    Below(f64),
    /// Where hundreds of schedules find them.
    Well,
    /// There.
    Given(&'a [usize]),
    /// Nowhere: the tasks are [whole frames](crate::whole).
    None,
}

/// Computes the expected seconds of a frame. `times` has a list per kind of edge: the times of all tasks, in
/// task order. A source has `in_flight` frames in flight. `None` only above the limit of [`Homes::Below`].
pub fn seconds(
    tasks: &TaskGraph,
    times: &[Vec<TaskTime>],
    tail: TailTime,
    o: &PlanOptions,
    homes: Homes<'_>,
    in_flight: usize,
) -> Option<Seconds> {
    match InTime::new(tasks) {
        Some(in_time) => in_time.seconds(tasks, times, (tail, o, homes, in_flight)),
        None => seconds_in_time(tasks, times, tail, o, homes, in_flight),
    }
}

/// A frame of which everything comes in time: no task stands in for another.
struct InTime {
    graph: TaskGraph,
    /// The tasks of the whole graph that its tasks are, ascending.
    kept: Vec<usize>,
}

impl InTime {
    /// `None` if no task of `tasks` stands in for another anyway.
    fn new(tasks: &TaskGraph) -> Option<Self> {
        if !tasks.has_stand_ins() {
            return None;
        }
        let (graph, kept) = tasks.without_stand_ins().ok()?;
        let kept = kept.into_iter().map(TaskId::index).collect();
        Some(Self { graph, kept })
    }

    /// The seconds of the frame, for all tasks of `tasks`: one that stands in for another is done where and when the other
    /// one is, and is at home where what it makes is read.
    fn seconds(
        &self,
        tasks: &TaskGraph,
        times: &[Vec<TaskTime>],
        (tail, o, homes, in_flight): (TailTime, &PlanOptions, Homes<'_>, usize),
    ) -> Option<Seconds> {
        let of_kept = |list: &Vec<TaskTime>| self.kept.iter().map(|k| list[*k]).collect();
        let times: Vec<Vec<TaskTime>> = times.iter().map(of_kept).collect();
        let given: Vec<usize>;
        let homes = match homes {
            Homes::Given(all) => {
                given = self.kept.iter().map(|k| all[*k]).collect();
                Homes::Given(&given)
            }
            other => other,
        };
        let mut found = seconds_in_time(&self.graph, &times, tail, o, homes, in_flight)?;
        let place = |task: usize| self.kept.binary_search(&task).unwrap_or(0);
        let all = || tasks.tasks.iter().enumerate();
        let runs = all().map(|(k, t)| {
            let maker = t.instead_of.map_or(k, TaskId::index);
            found
                .stages
                .runs
                .get(place(maker))
                .copied()
                .unwrap_or_default()
        });
        found.stages.runs = runs.collect();
        let homes = all().map(|(k, t)| {
            let reader = t.consumers.first().filter(|_| t.instead_of.is_some());
            found
                .homes
                .get(place(reader.map_or(k, |r| r.index())))
                .copied()
                .unwrap_or(0)
        });
        found.homes = homes.collect();
        Some(found)
    }
}

/// [`seconds`] of a frame in which no task stands in for another.
fn seconds_in_time(
    tasks: &TaskGraph,
    times: &[Vec<TaskTime>],
    tail: TailTime,
    o: &PlanOptions,
    homes: Homes<'_>,
    in_flight: usize,
) -> Option<Seconds> {
    let kinds = Kinds::new(&o.boards);
    let of_boards: Vec<&[TaskTime]> = kinds.of.iter().map(|k| times[*k].as_slice()).collect();
    let gateway = &o.gateway;
    let first = times.first().into_iter().flatten();
    let is_whole = matches!(homes, Homes::None);
    let tail_s = gateway.link.seconds(tail_frame_bytes(tasks)) + tail.gateway_s;
    let Placed { homes, schedule } = match o.placement {
        Placement::Home => match homes {
            // Alone, a frame runs on its source's board.
            Homes::None => Placed {
                homes: vec![ANYWHERE.into(); tasks.tasks.len()],
                ..Placed::new(
                    tasks,
                    &o.boards,
                    gateway,
                    &of_boards,
                    vec![0; tasks.tasks.len()],
                )
            },
            Homes::Quick => cost::place(tasks, &o.boards, gateway, &of_boards),
            Homes::Below(limit_s) => {
                cost::place_below(tasks, &o.boards, gateway, &of_boards, limit_s - tail_s)?
            }
            Homes::Well => cost::place_well(tasks, &o.boards, gateway, &of_boards),
            Homes::Given(homes) => {
                Placed::new(tasks, &o.boards, gateway, &of_boards, homes.to_vec())
            }
        },
        Placement::Share => cost::share(tasks, &o.boards, gateway, &of_boards),
        Placement::Steal | Placement::StealIdle | Placement::Queue | Placement::QueueIdle => {
            Placed {
                homes: vec![0; tasks.tasks.len()],
                schedule: cost::schedule(tasks, &o.boards, gateway, &of_boards),
            }
        }
    };
    let frames = Frames {
        tasks,
        schedule: &schedule,
        times: &of_boards,
        tail_s: tail.gateway_s,
        frame_s: schedule.seconds + tail_s,
        in_flight,
    };
    let pace = if is_whole {
        Pace::of_whole(&frames, o)
    } else {
        Pace::of_tasks(&frames, o)
    };
    Some(Seconds {
        stages: schedule,
        homes,
        tail: tail_s,
        one_thread: first.map(|t| t.one_thread_s).sum::<f64>() + tail.one_thread_s,
        pace,
    })
}

/// Expected seconds of a frame that the gateway computes alone.
pub fn gateway_alone_s(graph: &Graph, tasks: &TaskGraph, o: &PlanOptions) -> f64 {
    let gateway = &o.gateway;
    let one_thread = cost::net_s(graph, o, gateway);
    gateway.link.seconds(frame_bytes(tasks)) + gateway.shared_s(one_thread, gateway.threads(true))
}

/// Computes the estimates of a plan: bytes of traffic, seconds, and the memory of boards of `target`.
pub fn estimate(
    graph: &Graph,
    d: &Dataflow,
    tasks: &TaskGraph,
    target: Option<&TargetPlan>,
    expected: &Seconds,
    o: &PlanOptions,
) -> Estimates {
    let seconds = [
        ("stages", expected.stages.seconds),
        ("tail", expected.tail),
        ("frame", expected.frame()),
        ("period", expected.period()),
        ("one_thread", expected.one_thread),
        ("cores_busy", expected.stages.busy_s),
        ("channel_busy", expected.stages.channel_s),
    ];
    let ends = ends_s(d.stages.len(), tasks, &expected.stages);
    let ends = (ends.into_iter().enumerate()).map(|(i, end)| (format!("stage{i}.end"), round(end)));
    let is_whole = expected.homes.contains(&usize::from(ANYWHERE));
    let workers = |b: &Board| whole::workers(b, is_whole);
    let of_gateway = o.boards.iter().filter(|b| b.is_gateway);
    let (workers, gateway_workers) = (workers(o.first()), of_gateway.map(workers).sum());
    let frames = d.frames_in_flight;
    let memory = |t| memory::with_gateway(tasks, t, workers, gateway_workers, frames);
    Estimates {
        edges: o.boards.iter().filter(|b| !b.is_gateway).count(),
        workers,
        gateway_workers,
        redundancy: redundancy(graph, macs(tasks), d.tail.first_layer),
        traffic: traffic(d, tasks, &expected.stages),
        memory: target.map(memory).unwrap_or_default(),
        speed: speed(o),
        seconds: (seconds.into_iter())
            .map(|(k, v)| (k.to_string(), round(v)))
            .chain(ends)
            .collect(),
        why: Vec::new(),
    }
}

/// Seconds from the frame's arrival at its source to the end of each stage's last task.
pub fn ends_s(stages: usize, tasks: &TaskGraph, expected: &Schedule) -> Vec<f64> {
    let mut ends = vec![0.0_f64; stages];
    for (task, run) in tasks.tasks.iter().zip(&expected.runs) {
        let end = &mut ends[usize::from(task.stage)];
        *end = end.max(run.end_s);
    }
    ends
}

/// The assumed speeds in words, as `cortex-a53 cores, one shared channel of 100 Mbit/s`.
fn speed(o: &PlanOptions) -> String {
    let mut cores: Vec<&str> = o.boards.iter().map(Board::core).collect();
    cores.dedup();
    let links = o.boards.iter().chain([&o.gateway]).map(|b| b.link);
    let mut media: Vec<Medium> = links.clone().map(|l| l.medium).collect();
    media.sort_unstable();
    media.dedup();
    let joined = match media.as_slice() {
        [Medium::Shared(_)] => "one shared channel",
        [Medium::Switched] => "a switch",
        _ => "several links",
    };
    let bits = |of: fn(f64, f64) -> f64| {
        let rates = links.clone().map(|l| 8.0 * l.bytes_per_s / 1e6);
        rates.reduce(of).unwrap_or(0.0)
    };
    let (least, most) = (bits(f64::min), bits(f64::max));
    let rates = if least < most {
        format!("{} to {}", digits(least), digits(most))
    } else {
        digits(most)
    };
    format!("{} cores, {joined} of {rates} Mbit/s", cores.join(" and "))
}

/// A rate with a digit behind the point where there is one.
fn digits(mbit: f64) -> String {
    let text = format!("{mbit:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// Bytes per frame, under the keys of [`Estimates::traffic`].
fn traffic(d: &Dataflow, tasks: &TaskGraph, expected: &Schedule) -> BTreeMap<String, u64> {
    let inputs = |stage| stage_bytes(tasks, stage, |t| &t.inputs);
    let results = tail_bytes(tasks);
    let mut map: BTreeMap<String, u64> = (0..d.stages.len())
        .map(|i| (format!("stage{i}.inputs"), inputs(i)))
        .collect();
    // The source is the first board. Nodes count from 1; 0 is the gateway. An upper bound: as the schedule does, this
    // counts for each task what neighbours on one board fetch once.
    let makers: Vec<usize> = expected.runs.iter().map(|r| r.board + 1).collect();
    if makers.len() == tasks.tasks.len() {
        let crossing = tasks.crossing(1, &makers, 0, |_, _| false);
        let outputs = crossing.iter().skip(1).enumerate();
        map.extend(outputs.map(|(i, bytes)| (format!("expected.stage{i}"), *bytes)));
    }
    let sharing = frame_bytes(tasks) + inputs(0) + results;
    // What the gateway's own board makes need not travel to it. Without stages, the picture itself does.
    let to_gateway = if expected.runs.is_empty() {
        results
    } else {
        expected.result_bytes
    };
    let travels = expected.frame_bytes + expected.halo_bytes + to_gateway;
    for (key, bytes) in [
        ("results", results),
        ("work_sharing", sharing),
        ("expected.frame", expected.frame_bytes),
        ("expected.halos", expected.halo_bytes),
        ("expected.results", to_gateway),
        ("expected.total", travels),
    ] {
        map.insert(key.to_string(), bytes);
    }
    map
}

/// Rounds seconds to microseconds, so that plans stay readable.
fn round(s: f64) -> f64 {
    (s * 1e6).round() / 1e6
}
