//! Random programs: stages, grids, halos, branches, tensors that skip stages.

use super::random::{RandomSource, mix};
use tessera_plan::{
    dataflow::{Port, TaskGraph, TaskInfo, TensorInfo},
    element::ElementType,
    region::{Region, Shape, Span},
};
use tessera_protocol::{Placement, ProgramInfo};

/// Limits of the random programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramConfig {
    /// Most stages; at least 1. A few programs have no stage, only a tail.
    pub stages: usize,
    /// Most rows and columns of a grid.
    pub grid: usize,
    /// Most values of a tensor.
    pub values_max: usize,
    /// Most multiply-adds of a task.
    pub macs: u64,
}

impl Default for ProgramConfig {
    /// Up to three stages, 4 x 4 tiles, 8192 values per tensor, a million multiply-adds per task.
    fn default() -> Self {
        Self {
            stages: 3,
            grid: 4,
            values_max: 8 * 1024,
            macs: 1_000_000,
        }
    }
}

/// Two stages over an `8n x 8n x 2` frame with a halo of one pixel: a grid of `n x n` tiles, then
/// `n` bands. The tail reads both stages' maps. `elements` are those of the frame and of the two
/// stages' outputs.
///
/// # Panics
/// If `n` is 0.
pub fn two_stages(n: usize, elements: [ElementType; 3]) -> TaskGraph {
    let side = 8 * n;
    let strip = |k: usize| [8 * k, 8 * k + 8];
    let grown = |[lo, hi]: [usize; 2]| [lo.saturating_sub(1), (hi + 1).min(side)];
    let port = |tensor, y, x, channels| Port {
        tensor,
        region: Region::new(y, x, [0, channels]),
    };
    let task = |stage, input, output| TaskInfo {
        stage,
        inputs: vec![input],
        outputs: vec![output],
        ..TaskInfo::default()
    };
    let tiles = (0..n * n).map(|k| {
        let (y, x) = (strip(k / n), strip(k % n));
        task(0, port(0, grown(y), grown(x), 2), port(1, y, x, 3))
    });
    let bands = (0..n).map(|k| {
        let (y, x) = (strip(k), [0, side]);
        task(1, port(1, grown(y), x, 3), port(2, y, x, 2))
    });
    let tensors = [2, 3, 2]
        .iter()
        .zip(elements)
        .map(|(&channels, element)| TensorInfo {
            region: Region::whole(Shape::new(side, side, channels)),
            element,
        });
    TaskGraph::new(tensors.collect(), tiles.chain(bands).collect(), vec![1, 2])
        .expect("tiles and bands cover their maps")
}

struct Made {
    tensors: Vec<Region>,
    tasks: Vec<TaskInfo>,
}

/// A random program; the same random source gives the same program.
///
/// # Panics
/// If the generated program is invalid, which is an error of this function.
pub fn random(config: ProgramConfig, random: &mut RandomSource) -> ProgramInfo {
    let mut made = Made {
        tensors: vec![map(config, random)],
        tasks: Vec::new(),
    };
    let stages = if random.chance(20_000) {
        0
    } else {
        random.index(1, config.stages)
    };
    // First tensor of every boundary; boundary 0 is the frame.
    let mut last = 0..1;
    for stage in 0..stages {
        let outputs: Vec<u16> = (0..random.index(1, 2))
            .map(|_| made.tensor(config, random))
            .collect();
        let mut inputs = vec![random.index(last.start, last.end - 1) as u16];
        if last.len() > 1 && random.chance(700_000) {
            inputs = last.clone().map(|t| t as u16).collect();
        }
        // A shortcut from any earlier boundary.
        if random.chance(300_000) {
            let t = random.index(0, last.end - 1) as u16;
            if !inputs.contains(&t) {
                inputs.push(t);
            }
        }
        made.stage(config, random, stage as u16, &inputs, &outputs);
        last = outputs[0] as usize..made.tensors.len();
    }
    let mut tail: Vec<u16> = last.clone().map(|t| t as u16).collect();
    for t in 0..last.start {
        if random.chance(150_000) {
            tail.push(t as u16);
        }
    }
    // Now and then a tensor that nobody reads.
    if tail.len() > 1 && random.chance(100_000) {
        tail.remove(0);
    }
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&random.word().to_le_bytes());
    hash[24..].copy_from_slice(&mix(made.tasks.len() as u64).to_le_bytes());
    let tensors = made.tensors.into_iter().map(|region| TensorInfo {
        region,
        element: element(random),
    });
    ProgramInfo {
        plan_hash: hash,
        model_digest: hash,
        placement: Placement::Steal,
        boards: 1,
        graph: TaskGraph::new(tensors.collect(), made.tasks, tail).expect("a program"),
    }
}

/// Lets tasks of a program hand strips to others of their stage, as where borders are reused: tasks of even numbers to their
/// neighbours of odd ones. Every pair has a task that makes the strips alone.
///
/// # Panics
/// If the program becomes invalid, which is an error of this function.
pub fn give_strips(info: &mut ProgramInfo, config: ProgramConfig, random: &mut RandomSource) {
    let mut tensors = info.graph.tensors.clone();
    let old = &info.graph.tasks;
    let mut tasks: Vec<TaskInfo> = Vec::new();
    let stages = old.last().map_or(0, |t| t.stage + 1);
    for stage in 0..stages {
        let first = old.partition_point(|t| t.stage < stage);
        let of_stage: Vec<&TaskInfo> = old.iter().filter(|t| t.stage == stage).collect();
        let plain = |k: usize| TaskInfo {
            inputs: of_stage[k].inputs.clone(),
            outputs: of_stage[k].outputs.clone(),
            macs: of_stage[k].macs,
            stage,
            ..TaskInfo::default()
        };
        let mut colours: [Vec<TaskInfo>; 2] = [0, 1].map(|colour| {
            let mine = (0..of_stage.len()).filter(|k| (first + k) % 2 == colour);
            mine.map(plain).collect()
        });
        let mut alone = Vec::new();
        for maker in 0..colours[0].len() {
            for taker in [maker.wrapping_sub(1), maker, maker + 1] {
                if colours[1].get(taker).is_none() || random.chance(250_000) {
                    continue;
                }
                let strips: Vec<Port> = (0..random.index(1, 3))
                    .map(|_| {
                        let region = map(config, random);
                        let element = [ElementType::F16, ElementType::F32][random.index(0, 1)];
                        tensors.push(TensorInfo { region, element });
                        let tensor = (tensors.len() - 1) as u16;
                        Port { tensor, region }
                    })
                    .collect();
                let [firsts, seconds] = &mut colours;
                alone.push(TaskInfo {
                    stage,
                    inputs: firsts[maker].inputs.clone(),
                    outputs: strips.clone(),
                    macs: firsts[maker].macs / 4,
                    ..TaskInfo::default()
                });
                firsts[maker].outputs.extend(&strips);
                seconds[taker].inputs.extend(&strips);
            }
        }
        let [firsts, seconds] = colours;
        tasks.extend(firsts.into_iter().chain(alone).chain(seconds));
    }
    let tail = info.graph.tail_inputs.clone();
    info.graph = TaskGraph::new(tensors, tasks, tail).expect("a program with strips");
}

/// Gives the tasks of a program random homes on up to `boards` boards, for a placement with homes: runs of neighbours, as
/// planners choose them, now and then any board.
pub fn give_homes(
    info: &mut ProgramInfo,
    placement: Placement,
    boards: usize,
    random: &mut RandomSource,
) {
    let boards = random.index(1, boards.max(1)) as u16;
    (info.placement, info.boards) = (placement, boards);
    let tasks = info.graph.tasks.len().max(1);
    let run = tasks.div_ceil(usize::from(boards));
    for (k, task) in info.graph.tasks.iter_mut().enumerate() {
        task.home = if random.chance(200_000) {
            random.below(u64::from(boards)) as u16
        } else {
            ((k / run) as u16).min(boards - 1)
        };
    }
    if placement == Placement::Share {
        info.graph = info.graph.clone().shared();
    }
}

/// A random element type, mostly f32.
const fn element(random: &mut RandomSource) -> ElementType {
    match random.below(10) {
        0..2 => ElementType::U8,
        2..4 => ElementType::F16,
        _ => ElementType::F32,
    }
}

/// A random map: mostly small, seldom large, sometimes a few values.
fn map(config: ProgramConfig, random: &mut RandomSource) -> Region {
    let side = if random.chance(100_000) { 3 } else { 32 };
    let (h, w) = (random.between(1, side), random.between(1, side));
    let most = (config.values_max as u64 / (h * w)).max(1);
    let most = if random.chance(200_000) {
        most
    } else {
        most.min(6)
    };
    let c = random.between(1, most.min(64));
    Region::whole(Shape::new(h as usize, w as usize, c as usize))
}

impl Made {
    fn tensor(&mut self, config: ProgramConfig, random: &mut RandomSource) -> u16 {
        self.tensors.push(map(config, random));
        (self.tensors.len() - 1) as u16
    }

    fn stage(
        &mut self,
        config: ProgramConfig,
        random: &mut RandomSource,
        stage: u16,
        inputs: &[u16],
        outputs: &[u16],
    ) {
        let (rows, cols) = (random.index(1, config.grid), random.index(1, config.grid));
        // Late stages may be cut by channel instead of by map.
        let by_channel = random.chance(100_000);
        let cuts: Vec<[Vec<usize>; 2]> = outputs
            .iter()
            .map(|&t| {
                let r = self.tensors[t as usize];
                let y = if by_channel { r.c.hi } else { r.y.hi };
                [cut_list(y, rows, random), cut_list(r.x.hi, cols, random)]
            })
            .collect();
        let halo = random.below(4) as usize;
        let dear = random.chance(300_000);
        for row in 0..rows {
            for col in 0..cols {
                let mut ports_out = Vec::new();
                for (&tensor, [ys, xs]) in outputs.iter().zip(&cuts) {
                    let mut region = self.tensors[tensor as usize];
                    let y = Span::new(ys[row], ys[row + 1]);
                    *if by_channel {
                        &mut region.c
                    } else {
                        &mut region.y
                    } = y;
                    region.x = Span::new(xs[col], xs[col + 1]);
                    if region.is_empty() {
                        region = Region::EMPTY;
                    }
                    ports_out.push(Port { tensor, region });
                }
                let ports_in = inputs
                    .iter()
                    .map(|&tensor| Port {
                        tensor,
                        region: self.read(tensor, &ports_out, by_channel, halo),
                    })
                    .collect();
                let macs = if dear { config.macs } else { config.macs / 10 };
                self.tasks.push(TaskInfo {
                    stage,
                    inputs: ports_in,
                    outputs: ports_out,
                    macs: random.between(macs / 4, macs),
                    ..TaskInfo::default()
                });
            }
        }
    }

    /// The box of a tensor below the bounding box of a task's outputs, grown by the halo.
    fn read(&self, tensor: u16, outputs: &[Port], by_channel: bool, halo: usize) -> Region {
        let whole = self.tensors[tensor as usize];
        let mut region: Option<Region> = None;
        for p in outputs.iter().filter(|p| !p.region.is_empty()) {
            let of = self.tensors[p.tensor as usize];
            let y = if by_channel {
                whole.y
            } else {
                below(p.region.y, of.y.hi, whole.y.hi, halo)
            };
            let x = below(p.region.x, of.x.hi, whole.x.hi, halo);
            let r = region.get_or_insert(Region { y, x, c: whole.c });
            r.y = r.y.join(y);
            r.x = r.x.join(x);
        }
        region.unwrap_or(Region::EMPTY)
    }
}

/// The range of an axis of length `to` that lies below a range of an axis of length `from`.
fn below(r: Span, from: usize, to: usize, halo: usize) -> Span {
    let lo = (r.lo * to / from).saturating_sub(halo);
    let hi = (r.hi * to).div_ceil(from) + halo;
    Span::new(lo.min(to - 1), hi.min(to))
}

/// `n` ranges that cover `0..len`, mostly equal; empty ones when `n` is more than `len`.
fn cut_list(len: usize, n: usize, random: &mut RandomSource) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..=n).map(|k| k * len / n).collect();
    for k in 1..cuts.len().saturating_sub(1) {
        if random.chance(300_000) {
            cuts[k] = random.index(cuts[k - 1], cuts[k + 1]);
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn programs_are_many_and_valid() {
        let (mut shapes, mut elements) = (BTreeSet::new(), BTreeMap::new());
        let (mut skips, mut empties, mut branches) = (0, 0, 0);
        for seed in 0..500 {
            // Panics when the boxes do not cover what is read.
            let p = random(ProgramConfig::default(), &mut RandomSource::new(seed));
            let stages = p.tasks.last().map_or(0, |t| t.stage + 1);
            shapes.insert((stages, p.tasks.len(), p.tensors.len()));
            skips += usize::from(p.tail_inputs.contains(&0));
            branches += usize::from(p.tasks.iter().any(|t| t.inputs.len() > 1));
            for t in &p.tensors {
                *elements.entry(t.element.bytes()).or_insert(0) += 1;
            }
            let empty = |t: &TaskInfo| t.outputs.iter().any(|o| o.region.is_empty());
            empties += usize::from(p.tasks.iter().any(empty));
            assert!(p.tensors.iter().all(|t| t.region.len() <= 8 * 1024));
        }
        assert!(elements.len() == 3 && elements[&4] > elements[&1] + elements[&2]);
        assert!(shapes.len() > 100, "{}", shapes.len());
        assert!(skips > 20 && empties > 20 && branches > 100);
        assert!(shapes.iter().any(|s| s.0 == 0) && shapes.iter().any(|s| s.0 == 3));
    }

    #[test]
    fn same_seed_same_program() {
        let program = || {
            let p = random(ProgramConfig::default(), &mut RandomSource::new(11));
            format!("{:?} {:?}", p.plan_hash, p.graph)
        };
        assert_eq!(program(), program());
    }
}
