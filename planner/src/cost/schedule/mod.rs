//! A schedule of one frame on boards that share one channel, in virtual time.
//!
//! The model follows the protocol's machines, message by message but not datagram by datagram:
//! - Board 0 is the frame's source. A board has room for one task more than it has cores: the inputs of the next
//!   task travel while the board computes.
//! - A team of a board's cores computes a task that is its whole stage. In one frame, other boards have nothing
//!   to do during such a task.
//! - A policy assigns tasks to boards (`placement`): as clusters choose, or in given orders.
//! - A task with a home is given to its board as soon as its inputs are made or being made and the source knows of room
//!   there. The board asks for the inputs at once; each then travels when it is made.
//! - Without homes, a board with room asks for a task, gets the task, asks for the inputs, gets the inputs: every step is a
//!   message.
//! - All transfers share the channel (`channel`). The inputs that a board asks of another board come one task
//!   after the other, at the speed of the slower link of both boards.
//! - An idle core takes a task when all its inputs travel, and computes as far as the rows that are there allow
//!   (`streaming`).
//! - Results travel to the gateway as they are made, in parts (`streaming`). A result counts when the gateway has heard that its task is
//!   done. What a home board has asked for early also travels while it is made.
//! - With work sharing (a graph that [is shared](TaskGraph::is_shared)), the gateway fetches the frame and what boards read of
//!   each other's tiles, and boards fetch both from there (`sharing`).
//! - The output of a task stays on the board that computed the task. Boards do not reuse fetched copies.

mod channel;
mod cluster;
mod early;
mod events;
mod giving;
mod leaving;
mod limit;
mod placement;
mod reads;
mod sharing;
mod streaming;

use tessera_plan::dataflow::TaskGraph;

pub(crate) use self::limit::{Limit, ROUNDING};
use self::{cluster::Cluster, placement::Placement, reads::Reads};
use super::tasks::TaskTime;
use crate::boards::Board;

/// Time and board of a task's computation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// Index of the board.
    pub board: usize,
    /// Time at which a core began the task, whose inputs were there or on the way, in seconds from the frame's arrival at its source.
    pub start_s: f64,
    /// End of the computation, in seconds from the frame's arrival at its source.
    pub end_s: f64,
}

/// The schedule of one frame: times of tasks, bytes sent and seconds of use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The run of every task, in task order.
    pub runs: Vec<Run>,
    /// Seconds from the frame's arrival at its source to the last result's arrival at the gateway.
    pub seconds: f64,
    /// Bytes of the frame that left the source.
    pub frame_bytes: u64,
    /// Bytes of stages' outputs that went from edge to edge.
    pub halo_bytes: u64,
    /// Bytes that went to the gateway.
    pub result_bytes: u64,
    /// Seconds of computation, summed over all cores.
    pub busy_s: f64,
    /// Seconds that the channel was in use.
    pub channel_s: f64,
}

/// The placement of a frame's tasks: the tasks of each board, in the order in which the board begins them.
pub type Orders = Vec<Vec<usize>>;

/// Reasons why the orders of a placement have no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The placement's number of boards is not the cluster's.
    #[error("the placement is for {found} boards; there are {expected}")]
    Boards {
        /// Number of boards of the placement.
        found: usize,
        /// Number of boards of the cluster.
        expected: usize,
    },
    /// Tasks are missing from the orders, or wait for tasks that come later on their board.
    #[error("{tasks} tasks never run: they are given to no board, or wait behind what needs them")]
    NeverRun {
        /// Number of tasks that never run.
        tasks: usize,
    },
}

/// One frame on certain boards, whose schedules differ in where tasks run. What they have in common is made once.
#[derive(Debug)]
pub(super) struct Trials<'a> {
    pub(super) graph: &'a TaskGraph,
    pub(super) boards: &'a [Board],
    gateway: &'a Board,
    pub(super) times: &'a [&'a [TaskTime]],
    reads: Reads,
}

impl<'a> Trials<'a> {
    /// A frame of `graph` on `boards`, whose tail's inputs go to `gateway`. `times` has a slice per board: the times
    /// of all tasks, in task order.
    pub fn new(
        graph: &'a TaskGraph,
        boards: &'a [Board],
        gateway: &'a Board,
        times: &'a [&'a [TaskTime]],
    ) -> Self {
        Self {
            graph,
            boards,
            gateway,
            times,
            reads: Reads::new(graph),
        }
    }

    /// Boards take tasks as the boards of a cluster do that steal.
    ///
    /// # Panics
    /// When there are fewer slices of times than boards, or fewer times in one than tasks.
    pub fn stolen(&self) -> Schedule {
        self.run(Placement::Steal, Limit::NONE)
            .unwrap_or_default()
            .0
    }

    /// The tasks have `homes`, a board per task: boards compute the tasks at home there, as the boards of a cluster do.
    /// `None` where that takes more than `limit`.
    ///
    /// # Panics
    /// As [`Self::stolen`], and when there are fewer homes than tasks.
    pub fn at_home(&self, homes: &[usize], limit: Limit) -> Option<Schedule> {
        let (schedule, _) = self.run(Placement::Home(homes.to_vec()), limit)?;
        Some(schedule)
    }

    /// The schedule, and the number of tasks that no board has taken; `None` above the limit.
    fn run(&self, placement: Placement, limit: Limit) -> Option<(Schedule, usize)> {
        if self.graph.tasks.is_empty() || self.boards.is_empty() {
            return Some((Schedule::default(), 0));
        }
        let Self {
            graph,
            boards,
            gateway,
            times,
            ref reads,
        } = *self;
        Cluster::new(graph, boards, gateway, times, reads, placement, limit).run()
    }
}

/// Simulates one frame on `boards` and sends the tail's inputs to `gateway`. `times` has a slice per board: the
/// times of all tasks, in task order. Boards take tasks as the boards of a cluster do.
///
/// # Panics
/// When there are fewer slices than boards, or fewer times in one than tasks.
pub fn schedule(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
) -> Schedule {
    Trials::new(graph, boards, gateway, times).stolen()
}

/// Simulates one frame whose tasks have `homes`, a board per task: boards compute the tasks at home there, as the
/// boards of a cluster do.
///
/// # Panics
/// As [`schedule`], and when there are fewer homes than tasks.
pub fn schedule_at_home(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
    homes: &[usize],
) -> Schedule {
    let trials = Trials::new(graph, boards, gateway, times);
    trials.at_home(homes, Limit::NONE).unwrap_or_default()
}

/// Simulates one frame as [`schedule`] does, but every board computes the tasks that `orders` assigns to the
/// board.
///
/// # Errors
/// [`PlacementError`] when the orders do not fit the tasks.
///
/// # Panics
/// As [`schedule`].
pub fn schedule_placed(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
    orders: &Orders,
) -> Result<Schedule, PlacementError> {
    let (found, expected) = (orders.len(), boards.len());
    if found != expected {
        return Err(PlacementError::Boards { found, expected });
    }
    let queues = orders.iter().map(|o| o.iter().copied().collect());
    let placement = Placement::Given(queues.collect());
    let trials = Trials::new(graph, boards, gateway, times);
    match trials.run(placement, Limit::NONE).unwrap_or_default() {
        (schedule, 0) => Ok(schedule),
        (_, tasks) => Err(PlacementError::NeverRun { tasks }),
    }
}

#[cfg(test)]
mod tests {
    use tessera_plan::{
        dataflow::{Port, TaskInfo, TensorInfo},
        plan::ElementType,
        region::Region,
    };

    use super::*;
    use crate::{boards::Link, target::Target};

    /// A port for rows `lo..hi` of a tensor of bytes.
    fn rows(tensor: u16, lo: usize, hi: usize, row_bytes: usize) -> Port {
        Port {
            tensor,
            region: Region::new([lo, hi], [0, row_bytes], [0, 1]),
        }
    }

    fn task(stage: u16, input: Port, output: Port) -> TaskInfo {
        TaskInfo {
            stage,
            inputs: vec![input],
            outputs: vec![output],
            ..TaskInfo::default()
        }
    }

    /// A graph over tensors of bytes; `tensors` gives rows and bytes per row. The tail reads the last tensor.
    fn graph(tensors: &[[usize; 2]], tasks: Vec<TaskInfo>) -> TaskGraph {
        let info = |[h, row_bytes]: &[usize; 2]| TensorInfo {
            region: Region::new([0, *h], [0, *row_bytes], [0, 1]),
            element: ElementType::U8,
        };
        let last = u16::try_from(tensors.len() - 1).unwrap();
        let tail = if tasks.is_empty() { vec![] } else { vec![last] };
        TaskGraph::new(tensors.iter().map(info).collect(), tasks, tail).unwrap()
    }

    /// `edges` boards of one core at 100 Mbit/s, and their gateway.
    fn cluster(edges: usize) -> (Vec<Board>, Board) {
        let board = Board::new(Target::Portable);
        (board.times(edges), board.gateway())
    }

    /// A second for every task.
    fn seconds(graph: &TaskGraph) -> Vec<TaskTime> {
        let second = TaskTime {
            seconds: 1.0 + Board::new(Target::Portable).task_overhead_s,
            threads: 1,
            one_thread_s: 1.0,
        };
        vec![second; graph.tasks.len()]
    }

    fn run(graph: &TaskGraph, edges: usize) -> Schedule {
        let (boards, gateway) = cluster(edges);
        let times = seconds(graph);
        schedule(graph, &boards, &gateway, &vec![times.as_slice(); edges])
    }

    fn run_by(
        graph: &TaskGraph,
        edges: usize,
        orders: &Orders,
    ) -> Result<Schedule, PlacementError> {
        let (boards, gateway) = cluster(edges);
        let times = seconds(graph);
        let of_boards = vec![times.as_slice(); edges];
        schedule_placed(graph, &boards, &gateway, &of_boards, orders)
    }

    /// Twelve tasks, each with an input of `input_bytes` bytes and a result that travels for 1 ms.
    fn twelve(input_bytes: usize) -> TaskGraph {
        let one = |k| task(0, rows(0, k, k + 1, input_bytes), rows(1, k, k + 1, 12_500));
        graph(
            &[[12, input_bytes], [12, 12_500]],
            (0..12).map(one).collect(),
        )
    }

    #[test]
    fn more_edges_help_until_the_channel_is_full() {
        // 10 ms of input each.
        let tasks = twelve(125_000);
        let one = run(&tasks, 1);
        assert!((12.02..12.03).contains(&one.seconds), "{one:?}");
        assert_eq!((one.frame_bytes, one.result_bytes), (0, 150_000));
        let six = run(&tasks, 6);
        assert!((2.05..2.2).contains(&six.seconds), "{six:?}");
        assert_eq!(six.frame_bytes, 10 * 125_000);
        assert!((six.channel_s - 0.112).abs() < 1e-9, "{six:?}");
        // More than half a second of input each.
        assert!(run(&twelve(5_000_000), 6).seconds > 4.0);
    }

    /// Four chains of two tasks with small halos between them.
    fn four_chains() -> TaskGraph {
        let first = |k: usize| {
            task(
                0,
                rows(0, 1000 * k, 1000 * (k + 1), 1),
                rows(1, 1000 * k, 1000 * (k + 1), 1),
            )
        };
        let second = |k: usize| {
            let (lo, hi) = ((1000 * k).saturating_sub(100), 1000 * (k + 1) + 100);
            task(
                1,
                rows(1, lo, hi.min(4000), 1),
                rows(2, 10 * k, 10 * (k + 1), 1),
            )
        };
        let tasks = (0..4).map(first).chain((0..4).map(second));
        graph(&[[4000, 1], [4000, 1], [40, 1]], tasks.collect())
    }

    /// Board of every task.
    fn boards_of(s: &Schedule) -> Vec<usize> {
        s.runs.iter().map(|r| r.board).collect()
    }

    #[test]
    fn successors_stay_where_their_inputs_lie() {
        let tasks = four_chains();
        let two = run(&tasks, 2);
        assert_eq!((two.frame_bytes, two.halo_bytes), (2000, 200));
        assert!((4.0..4.1).contains(&two.seconds), "{two:?}");
        assert_eq!(boards_of(&two), [0, 0, 1, 1, 0, 0, 1, 1]);
        let one = run(&tasks, 1);
        assert_eq!((one.frame_bytes, one.halo_bytes), (0, 0));
        assert!((8.0..8.1).contains(&one.seconds), "{one:?}");
    }

    #[test]
    fn nobody_starts_before_its_inputs_are_there() {
        let tasks = four_chains();
        let runs = run(&tasks, 2).runs;
        for (task, run) in tasks.tasks.iter().zip(&runs) {
            assert!(run.end_s > run.start_s);
            for p in &task.producers {
                assert!(run.start_s >= runs[p.index()].end_s);
            }
        }
    }

    #[test]
    fn inputs_travel_while_a_core_computes() {
        // 400 ms of input each; a board's second task waits for no input.
        let six = run(&twelve(5_000_000), 2);
        let mut of_thief: Vec<Run> = six.runs.iter().filter(|r| r.board == 1).copied().collect();
        of_thief.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        // The first one begins with its only row.
        let began_s = of_thief[0].end_s - seconds(&twelve(1))[0].seconds;
        assert!((0.40..0.41).contains(&began_s), "{six:?}");
        for pair in of_thief.windows(2) {
            assert_eq!(pair[0].end_s, pair[1].start_s);
        }
    }

    #[test]
    fn a_placement_may_be_given() {
        let tasks = four_chains();
        let placed = |orders: &Orders| run_by(&tasks, 2, orders);
        let halves = placed(&vec![vec![0, 1, 4, 5], vec![2, 3, 6, 7]]).unwrap();
        assert_eq!(boards_of(&halves), [0, 0, 1, 1, 0, 0, 1, 1]);
        assert!((4.0..4.1).contains(&halves.seconds), "{halves:?}");
        // Every second chain: every task of the second stage reads halos from elsewhere.
        let mixed = placed(&vec![vec![0, 2, 4, 6], vec![1, 3, 5, 7]]).unwrap();
        assert_eq!((mixed.frame_bytes, mixed.halo_bytes), (2000, 600));
        let lone = placed(&vec![(0..8).collect(), vec![]]).unwrap();
        assert!((8.0..8.1).contains(&lone.seconds), "{lone:?}");

        let one_list = vec![(0..8).collect()];
        let (found, expected) = (1, 2);
        assert_eq!(
            placed(&one_list),
            Err(PlacementError::Boards { found, expected })
        );
        // Task 4 stands before what it reads, and task 7 nowhere.
        let never = vec![vec![4, 0, 1, 5], vec![2, 3, 6]];
        assert_eq!(
            placed(&never),
            Err(PlacementError::NeverRun { tasks: 8 - 2 })
        );
    }

    #[test]
    fn boards_need_not_be_equal() {
        let board = Board::new(Target::Portable);
        let slow_link = Link {
            bytes_per_s: board.link.bytes_per_s / 10.0,
            ..board.link
        };
        let far = Board {
            link: slow_link,
            ..board.clone()
        };
        let tasks = twelve(125_000);
        let time = |seconds| TaskTime {
            seconds,
            threads: 1,
            one_thread_s: seconds,
        };
        let (fast, slow) = (vec![time(0.5); 12], vec![time(4.0); 12]);
        let boards = [board.clone(), far];
        let gateway = board.gateway();
        let both = schedule(&tasks, &boards, &gateway, &[&fast, &slow]);
        let of_slow = both.runs.iter().filter(|r| r.board == 1).count();
        assert_eq!(of_slow, 2, "{both:?}");
        // An input over the slow link takes 100 ms.
        assert_eq!(both.frame_bytes, 250_000);
        let of_slow = both.runs.iter().filter(|r| r.board == 1);
        let first_s = of_slow.map(|r| r.end_s).fold(f64::MAX, f64::min);
        assert!((first_s - 4.103).abs() < 1e-9, "{both:?}");
        // It had asked for a second task while it computed the first.
        assert!(both.seconds > 8.1);
    }

    #[test]
    fn the_gateways_board_sends_no_results() {
        let tasks = twelve(125_000);
        let times = seconds(&tasks);
        let (mut boards, gateway) = cluster(1);
        boards.push(gateway.as_edge(2));
        let run = schedule(&tasks, &boards, &gateway, &[&times, &times]);
        let own = run.runs.iter().filter(|r| r.board == 0).count() as u64;
        assert!((1..12).contains(&own), "{run:?}");
        assert_eq!(run.result_bytes, own * 12_500);
        assert_eq!(run.frame_bytes, (12 - own) * 125_000);
    }

    #[test]
    fn nothing_takes_no_time() {
        let none = graph(&[[1, 1]], Vec::new());
        assert_eq!(run(&none, 3), Schedule::default());
    }
}
