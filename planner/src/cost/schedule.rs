//! A schedule of one frame on boards that share one channel, in virtual time.
//!
//! The model, meant to be simple and to promise nothing that a cluster does not do:
//! - Board 0 is the frame's source. A free core takes a ready task: first the one of whose inputs
//!   the largest share lies with its board, then the one with the lowest number.
//! - A task that is all of its stage is computed by a team of its board's cores; while it runs, the
//!   others have nothing to do, as far as one frame goes.
//! - Inputs that lie elsewhere are asked for (one round trip) and travel over the channel before
//!   the task begins; the channel moves one thing at a time, in the order asked for, as fast as the
//!   slower of the two boards' links. A core waits for its inputs (no prefetch).
//! - Results for the gateway travel when the task is done, while the core goes on.
//! - What a task made stays where it was computed. Copies that were fetched are not reused.

use std::{cmp::Ordering, collections::BinaryHeap};

use tessera_plan::dataflow::{TaskGraph, TaskId, TaskInfo};

use super::tasks::TaskTime;
use crate::boards::{Board, Link};

/// When and where a task ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// Index of the board.
    pub board: usize,
    /// When its computation began: its inputs are there. Seconds from the frame's arrival at its source.
    pub start_s: f64,
    /// When it was done.
    pub end_s: f64,
}

/// How a frame went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Of every task.
    pub runs: Vec<Run>,
    /// From the frame's arrival at its source to the last result's arrival at the gateway.
    pub seconds: f64,
    /// Bytes of the frame that left the source.
    pub frame_bytes: u64,
    /// Bytes of stage outputs that went from edge to edge.
    pub halo_bytes: u64,
    /// Bytes that went to the gateway.
    pub result_bytes: u64,
    /// Seconds that cores computed, all together.
    pub busy_s: f64,
    /// Seconds that the channel was in use.
    pub channel_s: f64,
}

/// A task ends. The earliest is the greatest, ties by order of start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    at: f64,
    order: usize,
    task: usize,
    core: usize,
}

impl Eq for End {}

impl Ord for End {
    fn cmp(&self, o: &Self) -> Ordering {
        o.at.total_cmp(&self.at).then(o.order.cmp(&self.order))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

/// What a task reads of one object.
struct Read {
    /// The task that makes it; `None`: the frame.
    producer: Option<usize>,
    bytes: u64,
}

struct State<'a> {
    boards: &'a [Board],
    times: &'a [&'a [TaskTime]],
    reads: Vec<Vec<Read>>,
    /// Board of every core.
    cores: Vec<usize>,
    /// Board that computed a finished task.
    place: Vec<Option<usize>>,
    /// Unfinished producers of every task.
    missing: Vec<usize>,
    ready: Vec<usize>,
    idle: Vec<usize>,
    ends: BinaryHeap<End>,
    started: usize,
    channel_free: f64,
    result: Schedule,
}

/// What a task fetches.
#[derive(Clone, Copy, Debug, Default)]
struct Fetch {
    /// Bytes of the frame.
    frame: u64,
    /// Bytes of other tasks' outputs.
    halo: u64,
    /// Bytes of all that it reads, from wherever.
    all: u64,
}

impl State<'_> {
    /// The board where something lies that a task reads.
    fn holder(&self, r: &Read) -> Option<usize> {
        match r.producer {
            None => Some(0),
            Some(p) => self.place[p],
        }
    }

    /// What a task would fetch on a board.
    fn fetch(&self, task: usize, board: usize) -> Fetch {
        let mut f = Fetch::default();
        for r in &self.reads[task] {
            f.all += r.bytes;
            if self.holder(r) == Some(board) {
                continue;
            }
            match r.producer {
                None => f.frame += r.bytes,
                Some(_) => f.halo += r.bytes,
            }
        }
        f
    }

    /// The slowest link that takes part in a fetch.
    fn slowest_link(&self, task: usize, board: usize) -> Link {
        let holders = self.reads[task].iter().filter_map(|r| self.holder(r));
        let links = holders.map(|b| self.boards[b].link);
        links.fold(self.boards[board].link, slower)
    }

    /// Uses the channel for `bytes` from `now` on; gives the time when they have arrived.
    fn send(&mut self, now: f64, bytes: u64, link: Link) -> f64 {
        if bytes == 0 {
            return now;
        }
        let seconds = link.seconds(bytes);
        self.channel_free = self.channel_free.max(now) + seconds;
        self.result.channel_s += seconds;
        self.channel_free
    }

    /// The idle core and ready task, by their places in the lists, of which the least share travels.
    fn best_pair(&self) -> Option<(usize, usize)> {
        let mut best: Option<(f64, usize, usize)> = None;
        for (i, &core) in self.idle.iter().enumerate() {
            // Cores of one board are alike.
            let board = self.cores[core];
            if i > 0 && self.cores[self.idle[i - 1]] == board {
                continue;
            }
            for (r, &task) in self.ready.iter().enumerate() {
                let f = self.fetch(task, board);
                #[expect(clippy::cast_precision_loss, reason = "a share")]
                let share = (f.frame + f.halo) as f64 / f.all.max(1) as f64;
                if best.is_none_or(|b| share < b.0) {
                    best = Some((share, i, r));
                }
                if share == 0.0 {
                    break;
                }
            }
        }
        best.map(|(_, i, r)| (i, r))
    }

    /// Gives ready tasks to idle cores, best pair first.
    fn assign(&mut self, now: f64) {
        while !self.ready.is_empty() && !self.idle.is_empty() {
            let Some((i, r)) = self.best_pair() else {
                return;
            };
            let (core, task) = (self.idle.remove(i), self.ready.remove(r));
            self.start(now, core, task);
        }
    }

    /// Fetches a task's inputs and computes it.
    fn start(&mut self, now: f64, core: usize, task: usize) {
        let board = self.cores[core];
        let Fetch { frame, halo, .. } = self.fetch(task, board);
        self.result.frame_bytes += frame;
        self.result.halo_bytes += halo;
        let start_s = if frame + halo > 0 {
            let link = self.slowest_link(task, board);
            self.send(now + link.round_trip_s, frame + halo, link)
        } else {
            now
        };
        let time = self.times[board][task];
        #[expect(clippy::cast_precision_loss, reason = "few threads")]
        let threads = time.threads as f64;
        self.result.busy_s += threads * time.seconds;
        let end_s = start_s + time.seconds;
        self.result.runs[task] = Run {
            board,
            start_s,
            end_s,
        };
        self.ends.push(End {
            at: end_s,
            order: self.started,
            task,
            core,
        });
        self.started += 1;
    }
}

/// Of two links the slower rate and the longer way.
fn slower(a: Link, b: Link) -> Link {
    Link {
        bytes_per_s: a.bytes_per_s.min(b.bytes_per_s),
        round_trip_s: a.round_trip_s.max(b.round_trip_s),
    }
}

/// Runs one frame's tasks on `boards`, whose tasks take `times` (a slice per board, in tasks' order), and
/// sends what the tail reads to `gateway`.
///
/// # Panics
/// When there are fewer slices than boards, or fewer times in one than tasks.
pub fn schedule(
    graph: &TaskGraph,
    boards: &[Board],
    gateway: &Board,
    times: &[&[TaskTime]],
) -> Schedule {
    let tasks = &graph.tasks;
    let reads = |t: &TaskInfo| {
        let needs = t.needs.iter();
        let read = needs.map(|n| Read {
            producer: n.key.task().map(TaskId::index),
            bytes: graph.need_bytes(n) as u64,
        });
        read.collect()
    };
    let cores: Vec<usize> = (boards.iter().enumerate())
        .flat_map(|(b, board)| std::iter::repeat_n(b, board.cores.max(1)))
        .collect();
    let mut s = State {
        boards,
        times,
        reads: tasks.iter().map(reads).collect(),
        place: vec![None; tasks.len()],
        missing: tasks.iter().map(|t| t.producers.len()).collect(),
        ready: (0..tasks.len())
            .filter(|k| tasks[*k].producers.is_empty())
            .collect(),
        idle: (0..cores.len()).collect(),
        cores,
        ends: BinaryHeap::new(),
        started: 0,
        channel_free: 0.0,
        result: Schedule {
            runs: vec![Run::default(); tasks.len()],
            ..Schedule::default()
        },
    };
    s.assign(0.0);
    while let Some(end) = s.ends.pop() {
        let board = s.cores[end.core];
        s.place[end.task] = Some(board);
        let bytes = result_bytes(graph, end.task);
        s.result.result_bytes += bytes;
        let link = slower(boards[board].link, gateway.link);
        let arrived = s.send(end.at, bytes, link);
        s.result.seconds = s.result.seconds.max(arrived);
        for &k in &tasks[end.task].consumers {
            let k = k.index();
            s.missing[k] -= 1;
            if s.missing[k] == 0 {
                let at = s.ready.partition_point(|r| *r < k);
                s.ready.insert(at, k);
            }
        }
        let at = s.idle.partition_point(|c| *c < end.core);
        s.idle.insert(at, end.core);
        s.assign(end.at);
    }
    s.result
}

/// Bytes that the gateway wants of a task.
fn result_bytes(graph: &TaskGraph, task: usize) -> u64 {
    let needs = graph.tail_needs_of(TaskId(u32::try_from(task).unwrap_or(u32::MAX)));
    let needs = graph.tail_needs[needs].iter();
    needs.map(|n| graph.need_bytes(n) as u64).sum()
}

#[cfg(test)]
mod tests {
    use tessera_plan::{
        dataflow::{Port, TensorInfo},
        plan::ElementType,
        region::Region,
    };

    use super::*;
    use crate::target::Target;

    /// Rows of a tensor of bytes.
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

    /// A graph over tensors of bytes with so many rows and bytes a row, of which the tail reads the last.
    fn graph(tensors: &[[usize; 2]], tasks: Vec<TaskInfo>) -> TaskGraph {
        let info = |[h, row_bytes]: &[usize; 2]| TensorInfo {
            region: Region::new([0, *h], [0, *row_bytes], [0, 1]),
            element: ElementType::U8,
        };
        let last = u16::try_from(tensors.len() - 1).unwrap();
        let tail = if tasks.is_empty() { vec![] } else { vec![last] };
        TaskGraph::new(tensors.iter().map(info).collect(), tasks, tail).unwrap()
    }

    /// Every task takes a second, on `edges` boards of one core at 100 Mbit/s.
    fn run(graph: &TaskGraph, edges: usize) -> Schedule {
        let board = Board::new(Target::Portable);
        let second = TaskTime {
            seconds: 1.0 + board.task_overhead_s,
            threads: 1,
            one_thread_s: 1.0,
        };
        let times = vec![second; graph.tasks.len()];
        let boards = board.times(edges);
        let of_boards: Vec<&[TaskTime]> = boards.iter().map(|_| times.as_slice()).collect();
        schedule(graph, &boards, &board.gateway(), &of_boards)
    }

    /// Twelve tasks, each with an input of so many bytes and 1 ms of result.
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

    /// Two chains of two tasks with a small halo between them.
    fn two_chains() -> TaskGraph {
        graph(
            &[[2000, 1], [2000, 1], [20, 1]],
            vec![
                task(0, rows(0, 0, 1000, 1), rows(1, 0, 1000, 1)),
                task(0, rows(0, 1000, 2000, 1), rows(1, 1000, 2000, 1)),
                task(1, rows(1, 0, 1100, 1), rows(2, 0, 10, 1)),
                task(1, rows(1, 900, 2000, 1), rows(2, 10, 20, 1)),
            ],
        )
    }

    #[test]
    fn successors_stay_where_their_inputs_lie() {
        let tasks = two_chains();
        let two = run(&tasks, 2);
        assert_eq!((two.frame_bytes, two.halo_bytes), (1000, 200));
        assert!((2.0..2.1).contains(&two.seconds), "{two:?}");
        let boards: Vec<usize> = two.runs.iter().map(|r| r.board).collect();
        assert_eq!(boards, [0, 1, 0, 1]);
        let one = run(&tasks, 1);
        assert_eq!((one.frame_bytes, one.halo_bytes), (0, 0));
        assert!((4.0..4.1).contains(&one.seconds), "{one:?}");
    }

    #[test]
    fn nobody_starts_before_its_inputs_are_there() {
        let tasks = two_chains();
        let runs = run(&tasks, 2).runs;
        for (task, run) in tasks.tasks.iter().zip(&runs) {
            assert!(run.end_s > run.start_s);
            for p in &task.producers {
                assert!(run.start_s >= runs[p.index()].end_s);
            }
        }
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
        let first = both.runs.iter().find(|r| r.board == 1).unwrap();
        assert!((first.start_s - 0.103).abs() < 1e-9, "{first:?}");
        assert!(both.seconds > 4.1);
    }

    #[test]
    fn nothing_takes_no_time() {
        let none = graph(&[[1, 1]], Vec::new());
        assert_eq!(run(&none, 3), Schedule::default());
    }
}
