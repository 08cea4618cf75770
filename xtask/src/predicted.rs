//! What a plan predicted and what a run measured, stage by stage.

use std::fmt::Write as _;

use anyhow::Result;
use tessera_plan::{
    dataflow::{TaskGraph, TaskId},
    files::{counters::FrameRun, statistics::EdgeStatistics},
    placement::{self, Placement},
    plan::{Dataflow, Plan},
};
use tessera_planner::{
    memory,
    text::{Table, bytes, count},
};

use crate::cluster::ClusterRun;

/// The gateway's number, which holds the tail's inputs.
const GATEWAY: u16 = 0;

/// Bytes of one kind of object in a whole run: the frames, or the outputs of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// What the plan expected, with the places of its schedule.
    pub planned: u64,
    /// What the plan's tasks need in the places where they ran; `None` if the run does not tell all places.
    pub placed: Option<u64>,
    /// What nodes fetched.
    pub measured: u64,
}

/// Prediction and measurement of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Bytes of the frames, then of each stage's outputs.
    pub kinds: Vec<Bytes>,
    /// Bytes that nodes sent beyond what was fetched: chunks sent again, and transfers that were given up.
    pub sent_in_vain: u64,
    /// For each stage, the seconds from a frame's arrival to its last task: predicted, and the median of the run.
    pub ends_s: Vec<[Option<f64>; 2]>,
    /// Seconds of the tail: predicted, and the mean of the run.
    pub tail_s: [Option<f64>; 2],
    /// Memory of the edges' boards.
    pub boards: Vec<BoardBytes>,
}

/// Memory of an edge's board: all of its processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardBytes {
    /// The edge's number.
    pub edge: u16,
    /// What the plan says such a board needs at most: a source, or an edge without frames of its own.
    pub planned: u64,
    /// The proportional set size that the edge saw at most.
    pub measured: u64,
}

impl Comparison {
    /// Compares a run with its plan.
    ///
    /// # Errors
    /// When the plan's dataflow is inconsistent.
    pub fn of(plan: &Plan, run: &ClusterRun) -> Result<Self> {
        let graph = TaskGraph::of(&plan.dataflow)?;
        let edges: Vec<(u16, &EdgeStatistics)> = (1..)
            .zip(&run.edges)
            .filter_map(|(id, e)| Some((id, e.as_ref()?)))
            .collect();
        let frames: u64 = edges.iter().map(|(_, e)| e.frames.accepted).sum();
        let fetched = edges.iter().map(|(_, e)| &e.counters.fetched_bytes);
        let fetched = fetched.chain(run.gateway.iter().map(|g| &g.counters.fetched_bytes));
        let measured = sum(fetched, graph.object_kinds());
        let placed = placed(&graph, &plan.dataflow, &edges);
        let traffic = &plan.estimates.traffic;
        let planned = |kind: usize| {
            let key = match kind.checked_sub(1) {
                None => "expected.frame".to_owned(),
                Some(stage) => format!("expected.stage{stage}"),
            };
            frames * traffic.get(&key).copied().unwrap_or(0)
        };
        let of_edges = edges.iter().map(|(_, e)| &e.counters.transfer);
        let of_gateway = run.gateway.iter().map(|g| &g.counters.transfer);
        let sent: u64 = of_edges.chain(of_gateway).map(|t| t.bytes_sent).sum();
        let runs = edges.iter().flat_map(|(_, e)| &e.counters.last_frames);
        let runs: Vec<&FrameRun> = runs.collect();
        let seconds = |key: &str| plan.estimates.seconds.get(key).copied();
        let needed = &plan.estimates.memory;
        let boards = edges.iter().map(|(edge, e)| BoardBytes {
            edge: *edge,
            planned: if e.frames.accepted > 0 {
                memory::source_bytes(needed)
            } else if usize::from(*edge) > plan.estimates.edges {
                memory::gateway_edge_bytes(needed)
            } else {
                memory::edge_bytes(needed)
            },
            measured: e.board_peak_bytes,
        });
        let tail = run.gateway.as_ref().filter(|g| g.frames.detections > 0);
        let tail = tail.map(|g| g.frames.tail_us as f64 / 1e6 / g.frames.detections as f64);
        Ok(Self {
            sent_in_vain: sent.saturating_sub(measured.iter().sum()),
            kinds: (measured.into_iter().enumerate())
                .map(|(kind, measured)| Bytes {
                    planned: planned(kind),
                    placed: placed.as_ref().map(|p| p[kind]),
                    measured,
                })
                .collect(),
            ends_s: (0..plan.dataflow.stages.len())
                .map(|s| [seconds(&format!("stage{s}.end")), median_end(&runs, s)])
                .collect(),
            tail_s: [seconds("tail"), tail],
            boards: boards.collect(),
        })
    }

    /// The comparison as a table for people.
    pub fn render(&self, plan: &Plan) -> String {
        let head = [
            "",
            "planned",
            "as placed",
            "measured",
            "planned",
            "measured",
        ];
        let mut table = Table::new("<>>>>>", &head);
        let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s:.3} s"));
        let mut row = |name: &str, b: Option<Bytes>, [planned_s, measured_s]: [Option<f64>; 2]| {
            let bytes = b.map_or([const { String::new() }; 3], |b| {
                [Some(b.planned), b.placed, Some(b.measured)]
                    .map(|n| n.map_or_else(|| "?".to_owned(), count))
            });
            let [planned, placed, measured] = &bytes;
            let times = [planned_s, measured_s].map(seconds);
            table.row(&[name, planned, placed, measured, &times[0], &times[1]]);
        };
        row("frames", self.kinds.first().copied(), [None; 2]);
        let stages = plan.dataflow.stages.iter().zip(&self.ends_s);
        for (s, (stage, ends)) in stages.enumerate() {
            let name = format!("layers {} to {}", stage.first_layer, stage.end_layer - 1);
            row(&name, self.kinds.get(s + 1).copied(), *ends);
        }
        row("tail", None, self.tail_s);
        let mut text = String::from(
            "Bytes of objects between nodes, and time until a frame's stage had ended (the tail's own)\n",
        );
        text += &table.render(2);
        if self.sent_in_vain > 0 {
            let _ = writeln!(
                text,
                "  {} more were sent: chunks sent again, and transfers that were given up",
                bytes(self.sent_in_vain)
            );
        }
        for b in &self.boards {
            let (measured, planned) = (bytes(b.measured), bytes(b.planned));
            let _ = writeln!(
                text,
                "  edge {}: {measured} of memory in all processes, at most {planned} planned",
                b.edge
            );
        }
        let _ = writeln!(
            text,
            "  planned times are of {}; one frame alone",
            plan.estimates.speed
        );
        text
    }
}

/// Sums lists of bytes by kind.
fn sum<'a>(lists: impl Iterator<Item = &'a Vec<u64>>, kinds: usize) -> Vec<u64> {
    let mut all = vec![0; kinds];
    for list in lists {
        for (total, n) in all.iter_mut().zip(list) {
            *total += n;
        }
    }
    all
}

/// Bytes that cross with the tasks where they ran, by kind. `None` unless all frames ended with detections and all
/// of their places are known.
fn placed(
    graph: &TaskGraph,
    dataflow: &Dataflow,
    edges: &[(u16, &EdgeStatistics)],
) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    let boards = u16::try_from(dataflow.boards).ok()?;
    for (id, edge) in edges {
        let runs = &edge.counters.last_frames;
        let detections = edge.frames.detections;
        if runs.len() as u64 != edge.frames.accepted || detections != edge.frames.accepted {
            return None;
        }
        for run in runs {
            if run.makers.len() != graph.tasks.len() {
                return None;
            }
            let at_home = |task: TaskId, node| {
                let board = placement::board(node, *id, boards);
                dataflow.placement == Placement::Home && graph.tasks[task.index()].home == board
            };
            all.push(graph.crossing(*id, &run.makers, GATEWAY, at_home));
        }
    }
    Some(sum(all.iter(), graph.object_kinds()))
}

/// The median over frames of a stage's end.
fn median_end(runs: &[&FrameRun], stage: usize) -> Option<f64> {
    let mut ends: Vec<u64> = (runs.iter())
        .filter_map(|r| r.stage_us.get(stage).copied())
        .collect();
    ends.sort_unstable();
    ends.get(ends.len() / 2).map(|us| *us as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use tessera_plan::{
        files::statistics::{Process, Role},
        graph::Darknet,
    };
    use tessera_planner::{cfg, make, options::PlanOptions, weights};

    use super::*;

    const CFG: &str = "[net]\nwidth=16\nheight=16\nchannels=3\n\
        [convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n\
        [convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";

    /// Two stages of two tiles: bands of eight rows.
    fn plan() -> Plan {
        let graph = cfg::read(CFG.as_bytes(), "two", Darknet::Alexey).0.unwrap();
        let options = PlanOptions {
            grids: vec![[2, 1]],
            cuts: vec![1, 2],
            ..PlanOptions::default()
        };
        make::plan(&weights::without(graph), &options).unwrap()
    }

    fn edge(id: u16) -> EdgeStatistics {
        EdgeStatistics {
            process: Process {
                role: Role::Edge,
                id,
                program: "two".into(),
                pid: 1,
                memory: Default::default(),
            },
            counters: Default::default(),
            frames: Default::default(),
            slots: Default::default(),
            socket: Default::default(),
            sessions: None,
            workers: Vec::new(),
            tasks: Vec::new(),
            board_peak_bytes: 0,
        }
    }

    #[test]
    fn bytes_are_those_of_the_places_where_tasks_ran() {
        let plan = plan();
        let [mut source, mut thief] = [edge(1), edge(2)];
        source.frames.accepted = 2;
        source.frames.detections = 2;
        // The lower band runs at the thief: nine rows of the frame go there, a row of halo both ways.
        let run = |stage_us: [u64; 2]| FrameRun {
            frame: 0,
            makers: vec![1, 2, 1, 2],
            stage_us: stage_us.to_vec(),
        };
        source.counters.last_frames = vec![run([5000, 9000]), run([7000, 8000])];
        source.board_peak_bytes = 7 << 20;
        source.counters.fetched_bytes = vec![0, 2 * 128, 0];
        source.counters.transfer.bytes_sent = 2 * (432 + 128) + 1400;
        thief.counters.fetched_bytes = vec![2 * 432, 2 * 128];
        let run = ClusterRun {
            coco: None,
            records: Vec::new(),
            skipped: Vec::new(),
            gateway: None,
            edges: vec![Some(source), Some(thief)],
            seconds: 1.0,
        };
        let compared = Comparison::of(&plan, &run).unwrap();
        let both = |k: usize| (compared.kinds[k].placed, compared.kinds[k].measured);
        assert_eq!(both(0), (Some(2 * 432), 2 * 432));
        assert_eq!(both(1), (Some(2 * 2 * 128), 2 * 2 * 128));
        // The gateway said nothing of what it fetched.
        assert_eq!(both(2), (Some(2 * 16 * 16 * 4 * 2), 0));
        assert_eq!(compared.sent_in_vain, 1400 - 2 * 128);
        assert_eq!(compared.ends_s[0][1], Some(0.007));
        let [source, thief] = compared.boards[..] else {
            panic!("two boards: {:?}", compared.boards);
        };
        assert!(source.planned > thief.planned && thief.planned > 0);
        assert_eq!([source.measured, thief.measured], [7 << 20, 0]);
        assert!(compared.ends_s[0][0] < compared.ends_s[1][0]);
        let text = compared.render(&plan);
        assert!(
            text.contains("layers 1 to 1") && text.contains("864"),
            "{text}"
        );
    }
}
