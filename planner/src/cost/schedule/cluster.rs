//! Boards that compute a frame's tasks, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::dataflow::{TaskGraph, TaskId};

use super::{
    Run, Schedule,
    channel::Channel,
    early::Early,
    events::{Event, Events},
    limit::{Left, Limit},
    placement::{Fetch, Objects, Placement, SOURCE},
    reads::Reads,
    streaming::{Inputs, Rows},
};
use crate::{
    boards::{Board, Link},
    cost::tasks::TaskTime,
};

/// Messages from the end of a task on the source to the first byte of the result at the gateway: the source
/// says where the result lies, the gateway asks for the result, the result comes.
pub(super) const HOPS_TO_RESULT: f64 = 3.0;
/// Messages from the end of a task to the last rows of its result at the gateway, where the gateway has asked for them before.
const HOPS_TO_LAST_ROWS: f64 = 1.0;
/// Messages from the end of a task on the source until the gateway hears of it: without that no result counts.
const HOPS_TO_WORD: f64 = 1.0;
/// Seconds of work on datagrams that no task is late for.
const LATE_S_MIN: f64 = 2e-4;
/// Tasks of programs with more tasks are given when they are ready, not before.
const EARLY_TASKS_MAX: usize = 1024;

/// State of a board, other than the source, in asking for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The board has no room for a task.
    Resting,
    /// The board's request is under way.
    Asking,
    /// The board waits for news of work.
    Parked,
}

/// A board's part in the frame.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Cores without a task.
    pub(super) idle: usize,
    /// Number of the board's tasks: loading, loaded and running.
    pub(super) jobs: usize,
    /// Tasks whose inputs have arrived, in the order in which the board got the tasks.
    pub(super) loaded: BTreeSet<(usize, usize)>,
    /// Tasks whose inputs travel or are still being made, in that order.
    pub(super) coming: BTreeSet<(usize, usize)>,
    /// Number of cores that wait for rows.
    pub(super) waiting: usize,
    pub(super) search: Search,
    /// Seconds of a message to or from the source.
    pub(super) hop_s: f64,
    /// Bytes that the board had sent and received when its running tasks last gave up time for datagrams. See
    /// [`Board::network_s`].
    pub(super) handled_bytes: f64,
}

/// Purpose of a transfer to a board or to the gateway.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transfer {
    Inputs {
        task: usize,
        bytes: u64,
        rows: Rows,
    },
    Result,
    /// What the gateway passes on of a task's outputs, or of the frame, which `board` holds.
    Relay {
        maker: Option<usize>,
        board: usize,
    },
}

pub(super) struct Cluster<'a> {
    pub(super) graph: &'a TaskGraph,
    pub(super) boards: &'a [Board],
    pub(super) gateway: &'a Board,
    pub(super) times: &'a [&'a [TaskTime]],
    pub(super) placement: Placement,
    pub(super) objects: Objects<'a>,
    /// Empty without homes, and for programs of too many tasks.
    pub(super) early: Early,
    pub(super) left: Left,
    pub(super) nodes: Vec<Node>,
    /// For every task that a board has taken: the board and the task's turn.
    pub(super) given: Vec<Option<(usize, usize)>>,
    /// For every task: its inputs that travel or are still being made.
    pub(super) inputs: Vec<Inputs>,
    /// For every task: whether its board has asked for the inputs.
    pub(super) asked: Vec<bool>,
    /// For every task: whether its end is known, while it is computed.
    pub(super) ends: Vec<bool>,
    /// Rest of inputs of which rows travel, by task and producer.
    pub(super) rest: BTreeMap<(usize, usize), (u64, Rows)>,
    /// For every task: bytes of its result that are made and wait on its board.
    pub(super) held: Vec<u64>,
    /// For every task: the number of producers that the source does not yet know to be done.
    pub(super) missing: Vec<usize>,
    /// Tasks that the source knows to be ready and that no board has taken, ascending.
    pub(super) ready: Vec<usize>,
    /// True if boards ask for the next task directly where they got the last one: with several stages, the next
    /// inputs may lie with them.
    pub(super) keeps_victim: bool,
    pub(super) now_s: f64,
    pub(super) events: Events,
    pub(super) channel: Channel<Transfer>,
    pub(super) result: Schedule,
}

impl<'a> Cluster<'a> {
    pub fn new(
        graph: &'a TaskGraph,
        boards: &'a [Board],
        gateway: &'a Board,
        times: &'a [&'a [TaskTime]],
        reads: &'a Reads,
        placement: Placement,
        limit: Limit,
    ) -> Self {
        let tasks = &graph.tasks;
        let early = match &placement {
            Placement::Home(_) if tasks.len() <= EARLY_TASKS_MAX && !graph.is_shared() => {
                Early::new(graph, boards.len())
            }
            _ => Early::default(),
        };
        let left = match &placement {
            Placement::Home(homes) => Left::new(boards, times, homes, limit),
            _ => Left::new(boards, times, &[], limit),
        };
        let media = boards.iter().chain([gateway]);
        let media = media.map(|b| (b.link.medium, b.keeps_up()));
        let mut channel = Channel::new(media);
        if boards.iter().any(|b| b.share < 1.0) {
            channel.count_bytes(boards.iter().chain([gateway]).map(|b| b.link.bytes_per_s));
        }
        let node = |b: &Board| Node {
            idle: b.cores.max(1),
            jobs: 0,
            loaded: BTreeSet::new(),
            coming: BTreeSet::new(),
            waiting: 0,
            search: Search::Parked,
            hop_s: slower(b.link, boards[SOURCE].link).delay_s,
            handled_bytes: 0.0,
        };
        let missing = missing(graph);
        let mut objects = Objects::new(reads);
        objects.gateway = graph.is_shared().then_some(boards.len());
        Self {
            graph,
            boards,
            gateway,
            times,
            placement,
            objects,
            early,
            left,
            nodes: boards.iter().map(node).collect(),
            given: vec![None; tasks.len()],
            inputs: vec![Inputs::default(); tasks.len()],
            asked: vec![false; tasks.len()],
            ends: vec![false; tasks.len()],
            rest: BTreeMap::new(),
            held: vec![0; tasks.len()],
            ready: (0..tasks.len()).filter(|k| missing[*k] == 0).collect(),
            missing,
            keeps_victim: tasks.last().is_some_and(|t| t.stage > 0),
            now_s: 0.0,
            events: Events::default(),
            channel,
            result: Schedule {
                runs: vec![Run::default(); tasks.len()],
                ..Schedule::default()
            },
        }
    }

    /// Simulates the frame. The second value is the number of tasks that no board has taken. `None` where the frame
    /// turns out to be above the limit.
    pub fn run(mut self) -> Option<(Schedule, usize)> {
        // Computing alone may take too long.
        if self.left.is_above(0.0, 0.0) {
            return None;
        }
        self.relay_frame();
        self.work_appeared();
        loop {
            if self.left.is_above(self.now_s, self.channel.busy_s) {
                return None;
            }
            let event_s = self.events.next_s();
            let end = self.channel.next_end();
            match (event_s, end) {
                (None, None) => break,
                (event_s, Some(end)) if event_s.is_none_or(|at_s| end.at_s < at_s) => {
                    self.now_s = end.at_s;
                    if let Some(ended) = self.channel.end(end) {
                        self.arrived(ended.begun_s, ended.tag);
                        if let Some(Transfer::Inputs { task, .. }) = ended.next {
                            self.inputs[task].queued -= 1;
                            self.comes(task);
                        }
                    }
                }
                _ => {
                    let Some((at_s, event)) = self.events.pop() else {
                        break;
                    };
                    self.now_s = at_s;
                    self.happen(event);
                }
            }
        }
        self.result.channel_s = self.channel.busy_s;
        let left = self.given.iter().filter(|g| g.is_none()).count();
        Some((self.result, left))
    }

    pub(super) fn foresee(&mut self, after_s: f64, event: Event) {
        self.events.foresee(self.now_s + after_s, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Asked { board } => self.asked(board),
            Event::Inputs { task } => self.fetch(task),
            Event::Made { task, producer } => self.made(task, producer),
            Event::Room => self.lease(),
            Event::Computed { task } => self.computed(task),
            Event::Known { task } => self.known(task),
            Event::Rows { task, producer } => self.rows(task, producer),
            Event::Relay { maker } => self.relay(maker),
            Event::Relayed { maker } => self.relayed(maker),
            Event::Result { task, part } => self.send_result(task, part),
        }
    }

    fn arrived(&mut self, begun_s: f64, transfer: Transfer) {
        match transfer {
            Transfer::Inputs { task, bytes, rows } => {
                if let Some((board, turn)) = self.given[task]
                    && !self.nodes[board].coming.contains(&(turn, task))
                {
                    #[expect(clippy::cast_precision_loss, reason = "objects are far smaller")]
                    let handled_s = self.boards[board].network_s(bytes as f64);
                    self.inputs[task].handled_s += handled_s;
                }
                self.inputs[task].ended(bytes, rows, begun_s, self.now_s);
                if self.inputs[task].are_here() {
                    self.loaded(task);
                }
            }
            Transfer::Result => self.result.seconds = self.result.seconds.max(self.now_s),
            Transfer::Relay { maker, board } => {
                self.foresee(self.nodes[board].hop_s, Event::Relayed { maker });
            }
        }
    }

    /// Seconds that datagrams took of a board's running tasks since this was asked last, or since the first of them began.
    fn handled_s(&mut self, board: usize) -> f64 {
        if self.boards[board].share >= 1.0 {
            return 0.0;
        }
        let bytes = self.channel.moved_bytes(self.now_s, board);
        let before = std::mem::replace(&mut self.nodes[board].handled_bytes, bytes);
        self.boards[board].network_s(bytes - before)
    }

    /// Notes that a core of a board begins to compute: what the board handled while no core did cost no task time.
    fn computes(&mut self, board: usize) {
        let node = &self.nodes[board];
        if node.idle + node.waiting == self.boards[board].cores.max(1) {
            self.handled_s(board);
        }
    }

    /// Starts the transfers of a task's inputs to its board.
    fn fetch(&mut self, task: usize) {
        let Some((board, turn)) = self.given[task] else {
            return;
        };
        let producers = self.graph.tasks[task].producers.iter();
        let unmade = producers.filter(|p| self.objects.place[p.index()].is_none());
        self.inputs[task].unmade = unmade.count();
        self.asked[task] = true;
        self.nodes[board].coming.insert((turn, task));
        let shares = self.at_home() && !self.graph.is_shared();
        let fetch = self.objects.fetch(task, board, shares);
        self.transfer(task, board, fetch);
        let graph = self.graph;
        for producer in graph.tasks[task].producers.iter().map(|p| p.index()) {
            if self.ends[producer] && self.objects.place[producer].is_none() {
                self.foresee_rows(task, producer);
            }
        }
    }

    /// Sends a task's inputs to its board.
    pub(super) fn transfer(&mut self, task: usize, board: usize, fetch: Fetch) {
        self.result.frame_bytes += fetch.frame;
        self.result.halo_bytes += fetch.halo;
        for (holder, bytes, rows) in fetch.from {
            self.inputs[task].promised(bytes, 1);
            self.send_inputs(task, [holder, board], bytes, rows);
        }
        if self.inputs[task].are_here() {
            self.loaded(task);
        } else {
            self.comes(task);
        }
    }

    /// Lets the board of a task begin it if rows of all its inputs are there or travel.
    pub(super) fn comes(&mut self, task: usize) {
        if let Some((board, _)) = self.given[task].filter(|_| self.inputs[task].come()) {
            self.compute(board);
        }
    }

    /// Notes that all inputs of a task are there.
    fn loaded(&mut self, task: usize) {
        let Some((board, turn)) = self.given[task] else {
            return;
        };
        if self.nodes[board].coming.remove(&(turn, task)) {
            self.nodes[board].loaded.insert((turn, task));
            self.compute(board);
            return;
        }
        // A core waits with the task for the last rows.
        self.computes(board);
        self.nodes[board].waiting -= 1;
        let seconds = self.times[board][task].seconds;
        let end_s = self.inputs[task].end_s(self.result.runs[task].start_s, seconds);
        self.result.runs[task].end_s = end_s;
        self.foresee(end_s - self.now_s, Event::Computed { task });
        self.end_is_known(task);
    }

    /// Lets idle cores of a board begin loaded tasks, and then tasks whose inputs travel.
    fn compute(&mut self, board: usize) {
        while self.nodes[board].idle > 0 {
            let node = &mut self.nodes[board];
            let (task, complete) = if let Some((_, task)) = node.loaded.pop_first() {
                (task, true)
            } else {
                // What will be there next: a core that waited for rows of another task would keep it waiting.
                let inputs = |k: &&(usize, usize)| &self.inputs[k.1];
                let made = node.coming.iter().filter(|k| inputs(k).unmade == 0);
                let next = made.min_by_key(|k| inputs(k).left_bytes);
                let Some(next) = next.filter(|k| inputs(k).come()).copied() else {
                    return;
                };
                node.coming.remove(&next);
                node.waiting += 1;
                (next.1, false)
            };
            if complete {
                self.computes(board);
            }
            self.nodes[board].idle -= 1;
            let time = self.times[board][task];
            self.left.begun(board, time.seconds);
            #[expect(clippy::cast_precision_loss, reason = "few threads")]
            let threads = time.threads as f64;
            self.result.busy_s += threads * time.seconds;
            self.result.runs[task] = Run {
                board,
                start_s: self.now_s,
                end_s: self.now_s + time.seconds,
            };
            if complete {
                self.foresee(time.seconds, Event::Computed { task });
                self.end_is_known(task);
            }
            if self.at_home() {
                let hops = if board == SOURCE { 0.0 } else { 1.0 };
                self.foresee(hops * self.nodes[board].hop_s, Event::Room);
            }
        }
    }

    fn computed(&mut self, task: usize) {
        let Some((board, _)) = self.given[task] else {
            return;
        };
        let late_s = self.handled_s(board);
        if late_s > LATE_S_MIN {
            self.result.runs[task].end_s = self.now_s + late_s;
            self.foresee(late_s, Event::Computed { task });
            return;
        }
        self.objects.place[task] = Some(board);
        let node = &mut self.nodes[board];
        node.idle += 1;
        // With homes, the source gives the next task when it hears of the end.
        if !matches!(self.placement, Placement::Home(_)) {
            node.jobs -= 1;
        }
        let hops = if board == SOURCE { 0.0 } else { 1.0 };
        let hop_s = node.hop_s;
        self.foresee(hops * hop_s, Event::Known { task });
        self.tell_readers(task, board);
        if self.graph.tasks[task].for_tail {
            let part = self.result_parts(task).len() - 1;
            let hops = if part > 0 {
                let word_s = self.now_s + (hops + HOPS_TO_WORD) * hop_s;
                self.result.seconds = self.result.seconds.max(word_s);
                HOPS_TO_LAST_ROWS
            } else {
                hops + HOPS_TO_RESULT
            };
            self.foresee(hops * hop_s, Event::Result { task, part });
        } else {
            self.result.seconds = self.result.seconds.max(self.now_s);
        }
        self.compute(board);
        self.left.waits(board, self.now_s);
        if board != SOURCE && self.nodes[board].search == Search::Resting {
            self.ask(board, self.hops_to_source());
        }
    }

    /// Handles the source's knowledge that a task is done: tasks that read its outputs may become ready.
    fn known(&mut self, task: usize) {
        if let (Placement::Home(_), Some((board, _))) = (&self.placement, self.given[task]) {
            self.nodes[board].jobs -= 1;
        }
        if self.is_relayed(Some(task)) {
            let hop_s = self.nodes[SOURCE].hop_s;
            let maker = Some(task);
            self.foresee(HOPS_TO_RESULT * hop_s, Event::Relay { maker });
            self.work_appeared();
            return;
        }
        let graph = self.graph;
        self.is_there(graph.tasks[task].consumers.iter().map(|k| k.index()));
    }

    /// Notes that an input of these tasks is where they can have it.
    pub(super) fn is_there(&mut self, readers: impl Iterator<Item = usize>) {
        for k in readers {
            self.missing[k] -= 1;
            if self.missing[k] == 0 && self.given[k].is_none() {
                if let Placement::Home(homes) = &self.placement {
                    self.early.remove(homes, k);
                }
                let at = self.ready.partition_point(|r| *r < k);
                self.ready.insert(at, k);
            }
        }
        self.work_appeared();
    }
}

/// For every task the number of its inputs that are not there: what tasks make and, with work sharing, the frame.
fn missing(graph: &TaskGraph) -> Vec<usize> {
    let frame = |id: u32| graph.is_shared() && graph.reads_frame(TaskId(id));
    let each = graph.tasks.iter().zip(0..);
    each.map(|(t, id)| t.producers.len() + usize::from(frame(id)))
        .collect()
}

/// The first link with the lower rate and the longer delay of two links.
pub(super) fn slower(a: Link, b: Link) -> Link {
    Link {
        bytes_per_s: a.bytes_per_s.min(b.bytes_per_s),
        delay_s: a.delay_s.max(b.delay_s),
        medium: a.medium,
    }
}
