//! Makes plans: obeys what was asked for, searches the rest.

use std::collections::BTreeMap;

use crate::{
    chain::{self, ChainSpec},
    estimate,
    ftp::{Axis, Bad, StageGraph, Trace, cuts, cuts::TooFine},
    graph::{Graph, TensorIx},
    model::Model,
    options::{PlanOptions, Target},
    packing,
    plan::{
        Border, Chain, Dataflow, Format, Plan, SCHEMA_VERSION, Stage, Tail, TargetPlan, Tensor,
        Tile,
    },
    region::{Region, Span},
    search,
};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `--offload` and `--cuts` together.
    #[error("--offload and --cuts contradict each other: the last cut is the offload point")]
    OffloadAndCuts,
    /// Cuts that do not rise.
    #[error(
        "--cuts {cuts:?}: cuts must rise; each is the end of a stage, counted in layers from 0"
    )]
    CutsOrder {
        /// The cuts.
        cuts: Vec<usize>,
    },
    /// An offload point behind the last layer.
    #[error("offload point {offload} lies behind the network's {layers} layers")]
    OffloadTooLarge {
        /// The point.
        offload: usize,
        /// Layers of the network.
        layers: usize,
    },
    /// Grids do not fit the stages.
    #[error("{grids} grids for {stages} stages: give one grid for all, or one per stage")]
    GridCount {
        /// Grids given.
        grids: usize,
        /// Stages.
        stages: usize,
    },
    /// A grid without rows or columns, or of more tiles than the wire can count.
    #[error("grid {rows}x{cols}: rows and columns must be at least 1 and tiles at most {max}")]
    Grid {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Largest number of tiles.
        max: usize,
    },
    /// Layers cannot form a stage.
    #[error(transparent)]
    Stage(#[from] Bad),
    /// A grid is too fine.
    #[error("stage of layers {first} to {last}: {source}")]
    TooFine {
        /// First layer.
        first: usize,
        /// Last layer.
        last: usize,
        /// What does not fit.
        source: TooFine,
    },
    /// Nothing fits the memory limit.
    #[error(
        "no plan needs less than {limit} bytes on an edge; the smallest found needs {smallest}"
    )]
    Memory {
        /// The limit.
        limit: u64,
        /// The smallest found.
        smallest: u64,
    },
    /// Every searched plan was refused.
    #[error("none of the searched plans is possible: {reason}")]
    NothingFound {
        /// The first refusal.
        reason: String,
    },
    /// The result breaks a rule of plans: an error of the planner.
    #[error("the planner made a plan that breaks a rule: {0}")]
    Broken(#[from] crate::check::CheckError),
}

/// Largest number of tiles of a stage.
pub const TILES_MAX: usize = 4096;

/// The structure of a plan before kernels and buffers.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Ends of the stages.
    pub cuts: Vec<usize>,
    /// A grid per stage.
    pub grids: Vec<[usize; 2]>,
}

/// Makes the plan of `options` for `model`.
///
/// # Errors
/// When what is asked for is impossible; the error says what would work.
pub fn plan(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
    let graph = &model.graph;
    let asked = asked(graph, options)?;
    let (shape, why) = match asked {
        Asked::Exactly(shape) => (
            shape,
            vec!["asked for: grid and offload point were given".to_string()],
        ),
        Asked::Search { grids, offloads } => search::search(graph, options, &grids, &offloads)?,
    };
    let mut plan = build(model, options, &shape)?;
    plan.estimates.why = why;
    crate::check::check(&plan)?;
    Ok(plan)
}

/// What the flags leave open.
enum Asked {
    Exactly(Shape),
    Search {
        grids: Option<Vec<[usize; 2]>>,
        offloads: Option<Vec<usize>>,
    },
}

fn asked(graph: &Graph, o: &PlanOptions) -> Result<Asked, PlanError> {
    if o.offload.is_some() && !o.cuts.is_empty() {
        return Err(PlanError::OffloadAndCuts);
    }
    let layers = graph.layers.len();
    for &[rows, cols] in &o.grids {
        if rows == 0 || cols == 0 || rows.checked_mul(cols).is_none_or(|n| n > TILES_MAX) {
            return Err(PlanError::Grid {
                rows,
                cols,
                max: TILES_MAX,
            });
        }
    }
    if o.cuts.windows(2).any(|w| w[0] >= w[1]) || o.cuts.first() == Some(&0) {
        return Err(PlanError::CutsOrder {
            cuts: o.cuts.clone(),
        });
    }
    if let Some(&offload) = o.offload.iter().chain(o.cuts.last()).find(|n| **n > layers) {
        return Err(PlanError::OffloadTooLarge { offload, layers });
    }
    let cuts = match (o.offload, o.cuts.as_slice()) {
        (Some(0), _) => {
            return Ok(Asked::Exactly(Shape {
                cuts: Vec::new(),
                grids: Vec::new(),
            }));
        }
        (Some(n), _) => Some(vec![n]),
        (None, []) => None,
        (None, cuts) => Some(cuts.to_vec()),
    };
    Ok(match (cuts, o.grids.as_slice()) {
        (Some(cuts), []) => Asked::Search {
            grids: None,
            offloads: Some(cuts),
        },
        (Some(cuts), [one]) => Asked::Exactly(Shape {
            grids: vec![*one; cuts.len()],
            cuts,
        }),
        (Some(cuts), many) if many.len() == cuts.len() => Asked::Exactly(Shape {
            grids: many.to_vec(),
            cuts,
        }),
        (Some(cuts), many) => {
            return Err(PlanError::GridCount {
                grids: many.len(),
                stages: cuts.len(),
            });
        }
        (None, []) => Asked::Search {
            grids: None,
            offloads: None,
        },
        (None, [one]) => Asked::Search {
            grids: Some(vec![*one]),
            offloads: None,
        },
        (None, many) => {
            return Err(PlanError::GridCount {
                grids: many.len(),
                stages: 1,
            });
        }
    })
}

/// Tensors that must leave the stages whoever reads them: outputs, and what `--dump` shows.
pub fn wanted(graph: &Graph, dump: bool) -> Vec<TensorIx> {
    let mut list = graph.outputs.clone();
    if dump {
        let before = graph
            .heads
            .iter()
            .filter_map(|h| h.tensor.producer())
            .flat_map(|n| graph.nodes[n].inputs.clone());
        list.extend(before.filter(|t| t.producer().is_some()));
    }
    list.sort_unstable();
    list.dedup();
    list
}

/// Stages and tail of `cuts`, checked.
///
/// # Errors
/// When a stage cannot be tiled.
pub fn stages(
    graph: &Graph,
    cuts: &[usize],
    dump: bool,
) -> Result<(Vec<StageGraph>, StageGraph), PlanError> {
    let wanted = wanted(graph, dump);
    let mut first = 0;
    let mut list = Vec::new();
    for &end in cuts {
        let stage = StageGraph::new(graph, first, end, &wanted);
        stage.check_tiled(graph)?;
        list.push(stage);
        first = end;
    }
    let mut tail = StageGraph::new(graph, first, graph.layers.len(), &wanted);
    let made: Vec<TensorIx> = list.iter().flat_map(|s| s.outputs.clone()).collect();
    tail.outputs = wanted;
    if dump {
        tail.outputs.extend(&made);
        tail.outputs.sort_unstable();
        tail.outputs.dedup();
    }
    let passed: Vec<TensorIx> = tail
        .outputs
        .iter()
        .copied()
        .filter(|t| made.contains(t))
        .collect();
    tail.inputs.extend(passed);
    tail.inputs.sort_unstable();
    tail.inputs.dedup();
    Ok((list, tail))
}

/// One axis of a tiled stage: per part its ends on every output, its trace and its class.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Range of every output, per part.
    pub ends: Vec<Vec<Span>>,
    /// Trace, per part.
    pub traces: Vec<Trace>,
    /// Class, per part.
    pub classes: Vec<usize>,
    /// First part of every class.
    pub firsts: Vec<usize>,
}

/// Cuts one axis of a stage and finds the classes of its parts.
///
/// # Errors
/// When a part would be empty.
pub fn parts(
    graph: &Graph,
    stage: &StageGraph,
    axis: Axis,
    n: usize,
    split: crate::plan::Split,
) -> Result<Parts, PlanError> {
    let cut = cuts::cut(graph, stage, axis, n, split).map_err(|source| PlanError::TooFine {
        first: stage.first_layer,
        last: stage.end_layer.saturating_sub(1),
        source,
    })?;
    let mut p = Parts {
        ends: Vec::new(),
        traces: Vec::new(),
        classes: Vec::new(),
        firsts: Vec::new(),
    };
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for (i, w) in cut.windows(2).enumerate() {
        let ends = cuts::scale(graph, stage, axis, w[0], w[1]);
        let trace = stage.trace(graph, axis, &ends);
        let signature = chain::signature(
            graph,
            &stage.nodes,
            &stage.inputs,
            &stage.outputs,
            &ends,
            &trace,
            axis,
        );
        let next = known.len();
        let class = *known.entry(signature).or_insert(next);
        if class == next {
            p.firsts.push(i);
        }
        p.ends.push(ends);
        p.traces.push(trace);
        p.classes.push(class);
    }
    Ok(p)
}

/// Builds the whole plan of a shape.
///
/// # Errors
/// When a stage or grid is impossible.
pub fn build(model: &Model, options: &PlanOptions, shape: &Shape) -> Result<Plan, PlanError> {
    let graph = &model.graph;
    let (stages, tail) = stages(graph, &shape.cuts, options.dump)?;
    let mut dataflow_stages = Vec::new();
    let mut tiled = Vec::new();
    for (stage, &[rows, cols]) in stages.iter().zip(&shape.grids) {
        let ys = parts(graph, stage, Axis::Y, rows, options.split)?;
        let xs = parts(graph, stage, Axis::X, cols, options.split)?;
        dataflow_stages.push(stage_data(graph, stage, [rows, cols], options, &ys, &xs));
        tiled.push((ys, xs));
    }
    let target = options
        .targets
        .iter()
        .map(|t| {
            (
                t.name().to_string(),
                target(graph, &stages, &tiled, &tail, *t),
            )
        })
        .collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let dataflow = Dataflow {
        model: graph.name.clone(),
        digest: hex(&model.digest),
        darknet: graph.darknet,
        input: graph.input,
        tensors: tensors(graph, &stages, &tail),
        stages: dataflow_stages,
        tail: Tail {
            first_layer: tail.first_layer,
            end_layer: tail.end_layer,
            inputs: tail.inputs.clone(),
            outputs: tail.outputs.clone(),
        },
    };
    let mut plan = Plan {
        schema: SCHEMA_VERSION,
        hash: dataflow.hash(),
        name: crate_name(
            graph,
            shape,
            options.targets.first().copied().unwrap_or(Target::Portable),
        ),
        command: options.command.clone(),
        dataflow,
        target,
        estimates: crate::plan::Estimates::default(),
    };
    plan.estimates = estimate::estimate(graph, &plan, options);
    Ok(plan)
}

fn stage_data(
    graph: &Graph,
    stage: &StageGraph,
    grid: [usize; 2],
    options: &PlanOptions,
    ys: &Parts,
    xs: &Parts,
) -> Stage {
    let mut tiles = Vec::new();
    for (row, ty) in ys.traces.iter().enumerate() {
        for (col, tx) in xs.traces.iter().enumerate() {
            let outputs = stage
                .outputs
                .iter()
                .enumerate()
                .map(|(k, t)| Region {
                    y: ys.ends[row][k],
                    x: xs.ends[col][k],
                    c: Span::new(0, graph.shape(*t).c),
                })
                .collect();
            let macs = stage
                .nodes
                .iter()
                .map(|&n| {
                    let t = TensorIx::node(n);
                    cuts::per_pixel(graph, n) * (ty.span(t).len() * tx.span(t).len()) as u64
                })
                .sum();
            tiles.push(Tile {
                row,
                col,
                class: ys.classes[row] * xs.firsts.len() + xs.classes[col],
                inputs: stage
                    .inputs
                    .iter()
                    .map(|t| chain::region(graph, *t, ty, tx))
                    .collect(),
                outputs,
                macs,
            });
        }
    }
    Stage {
        first_layer: stage.first_layer,
        end_layer: stage.end_layer,
        grid,
        split: options.split,
        border: Border::Recompute,
        inputs: stage.inputs.clone(),
        outputs: stage.outputs.clone(),
        tiles,
    }
}

fn target(
    graph: &Graph,
    stages: &[StageGraph],
    tiled: &[(Parts, Parts)],
    tail: &StageGraph,
    target: Target,
) -> TargetPlan {
    let isa = target.kernels();
    let chains: Vec<Vec<Chain>> = stages
        .iter()
        .zip(tiled)
        .map(|(stage, (ys, xs))| {
            let mut list = Vec::new();
            for (i, &r) in ys.firsts.iter().enumerate() {
                for (j, &c) in xs.firsts.iter().enumerate() {
                    let name = format!("r{i}_c{j}");
                    let spec = ChainSpec {
                        name: &name,
                        nodes: &stage.nodes,
                        inputs: &stage.inputs,
                        outputs: &stage.outputs,
                        y: &ys.traces[r],
                        x: &xs.traces[c],
                    };
                    let ends: Vec<(Span, Span)> = ys.ends[r]
                        .iter()
                        .copied()
                        .zip(xs.ends[c].iter().copied())
                        .collect();
                    list.push(chain::build(graph, &spec, &ends, isa));
                }
            }
            list
        })
        .collect();
    let tail_chain = tail_chain(graph, tail, isa);
    let all: Vec<&Chain> = chains.iter().flatten().chain([&tail_chain]).collect();
    let (packing, sections) = packing::pack(graph, stages, tail, &all);
    TargetPlan {
        kernels: isa,
        triple: target.triple().to_string(),
        stages: chains,
        tail: tail_chain,
        packing,
        sections,
    }
}

/// The tail works on whole maps.
fn tail_chain(graph: &Graph, tail: &StageGraph, isa: crate::plan::Isa) -> Chain {
    let mut y = Trace {
        spans: BTreeMap::new(),
    };
    let mut x = y.clone();
    let nodes = tail.nodes.iter().map(|n| TensorIx::node(*n));
    for t in tail.inputs.iter().copied().chain(nodes) {
        let s = graph.shape(t);
        y.spans.insert(t, Span::new(0, s.h));
        x.spans.insert(t, Span::new(0, s.w));
    }
    let ends: Vec<(Span, Span)> = tail
        .outputs
        .iter()
        .map(|t| (y.span(*t), x.span(*t)))
        .collect();
    let spec = ChainSpec {
        name: "tail",
        nodes: &tail.nodes,
        inputs: &tail.inputs,
        outputs: &tail.outputs,
        y: &y,
        x: &x,
    };
    chain::build(graph, &spec, &ends, isa)
}

fn tensors(graph: &Graph, stages: &[StageGraph], tail: &StageGraph) -> Vec<Tensor> {
    let mut ids: Vec<TensorIx> = vec![TensorIx::INPUT];
    ids.extend(stages.iter().flat_map(|s| s.outputs.iter().copied()));
    ids.extend(&tail.inputs);
    ids.extend(&tail.outputs);
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| Tensor {
            id,
            layer: id.producer().map_or(-1, |n| {
                i32::try_from(graph.nodes[n].layer).unwrap_or(i32::MAX)
            }),
            shape: graph.shape(id),
            format: Format::F32,
        })
        .collect()
}

/// `<model>-<grid>-<target>` as a valid crate name.
fn crate_name(graph: &Graph, shape: &Shape, target: Target) -> String {
    let mut model: String = graph
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    model.truncate(64);
    if !model.starts_with(|c: char| c.is_ascii_alphabetic()) {
        model.insert_str(0, "net-");
    }
    let grid = match shape.grids.as_slice() {
        [] => "tail".to_string(),
        [g] => format!("{}x{}", g[0], g[1]),
        all => {
            let list: Vec<String> = all.iter().map(|g| format!("{}x{}", g[0], g[1])).collect();
            if all.windows(2).all(|w| w[0] == w[1]) {
                format!("{}-s{}", list[0], all.len())
            } else {
                list.join("-")
            }
        }
    };
    format!("{}-{grid}-{}", model.trim_matches('-'), target.name())
}
