//! The paper's numbers: YOLOv2 at 608 x 608 under `--split equal`, with and without reuse.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tessera_needs::needs;
use tessera_plan::{
    graph::{Darknet, Graph, Op},
    plan::{Plan, Split},
};
use tessera_planner::{
    cfg,
    ftp::reuse::{Area, Reuse, ReuseTile, reuse},
    make,
    model::Model,
    options::PlanOptions,
    weights,
    wire::Wire,
};

const MIB: f64 = 1_048_576.0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn yolov2() -> Model {
    let text = std::fs::read(root().join("models/yolov2.cfg")).unwrap();
    weights::without(cfg::read(&text, "yolov2", Darknet::Alexey).0.unwrap())
}

fn plan(model: &Model, grid: [usize; 2], layers: usize) -> (Plan, Reuse) {
    let options = PlanOptions {
        grids: vec![grid],
        offload: Some(layers),
        split: Split::Equal,
        // The original sends float32.
        wire: Wire::floats(),
        ..PlanOptions::default()
    };
    let plan = make::plan(model, &options).unwrap();
    let reuse = reuse(&model.graph, &plan.dataflow.stages[0]).unwrap();
    (plan, reuse)
}

/// What `ftp_facts.py` calls a row, from a plan.
struct Facts<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    reuse: &'a Reuse,
}

#[expect(clippy::cast_precision_loss, reason = "all sums lie below 2^53")]
impl Facts<'_> {
    /// Multiply-adds per pixel and channels in and out of operation `l`.
    fn layer(&self, l: usize) -> (u64, u64, u64, Option<u64>) {
        let node = &self.graph.nodes[self.reuse.nodes[l]];
        let (cin, cout) = (self.graph.shape(node.inputs[0]).c, node.shape.c);
        let (cin, cout) = (cin as u64, cout as u64);
        match &node.op {
            Op::Conv(c) => {
                let taps = (c.size * c.size) as u64;
                (taps * cin * cout, cin, cout, Some(taps * cin))
            }
            _ => (0, cin, cout, None),
        }
    }

    fn layers(&self) -> usize {
        self.reuse.nodes.len()
    }

    fn flop(&self, tiles: &[ReuseTile], as_run: bool) -> u64 {
        let of = |t: &ReuseTile| -> u64 {
            let areas = if as_run { &t.inputs } else { &t.outputs };
            (0..self.layers())
                .map(|l| 2 * self.layer(l).0 * areas[l].pixels())
                .sum()
        };
        tiles.iter().map(of).sum()
    }

    fn base(&self) -> u64 {
        (0..self.layers())
            .map(|l| {
                let s = self.graph.nodes[self.reuse.nodes[l]].shape;
                2 * self.layer(l).0 * (s.h * s.w) as u64
            })
            .sum()
    }

    fn io_bytes(&self, t: &ReuseTile, l: usize) -> u64 {
        let (_, cin, cout, _) = self.layer(l);
        4 * (t.inputs[l].pixels() * cin + t.outputs[l].pixels() * cout)
    }

    fn over(&self, f: impl Fn(&ReuseTile, usize) -> u64) -> u64 {
        let layers = self.layers();
        let of = |t: &ReuseTile| (0..layers).map(|l| f(t, l)).max().unwrap();
        self.reuse.plain.iter().map(of).max().unwrap()
    }

    /// Largest buffer pair when a convolution writes into the pool behind it.
    fn pooled(&self, t: &ReuseTile) -> u64 {
        let is_conv = |l: usize| self.layer(l).3.is_some();
        let (mut l, mut best) = (0, 0);
        while l < self.layers() {
            let last = if is_conv(l) && l + 1 < self.layers() && !is_conv(l + 1) {
                l + 1
            } else {
                l
            };
            let bytes = 4
                * (t.inputs[l].pixels() * self.layer(l).1
                    + t.outputs[last].pixels() * self.layer(last).2);
            best = best.max(bytes);
            l = last + 1;
        }
        best
    }

    fn field(&self, key: &str) -> Option<f64> {
        let r = self.reuse;
        let g = self.graph;
        let stage = &self.plan.dataflow.stages[0];
        let macs: Vec<u64> = stage.tiles.iter().map(|t| t.macs).collect();
        let inputs: Vec<u64> = stage
            .tiles
            .iter()
            .map(|t| 4 * t.inputs[0].len() as u64)
            .collect();
        let weights: u64 = g.layers[..stage.end_layer]
            .iter()
            .map(|l| 4 * l.weights as u64)
            .sum();
        let peak = self.over(|t, l| self.io_bytes(t, l));
        let frame = 4 * g.input.len() as u64;
        let output = self.plan.estimates.traffic["results"];
        let strips: u64 = r.donated(g).iter().sum();
        let ratio = |flop: u64| flop as f64 / self.base() as f64;
        let giga = |macs: u64| 2.0 * macs as f64 / 1e9;
        Some(match key {
            "tiles" => stage.tiles.len() as f64,
            "peak_tile_MiB" => peak as f64 / MIB,
            "peak_tile_as_run_MiB" => {
                let bytes = |t: &ReuseTile, l: usize| {
                    let (_, cin, cout, _) = self.layer(l);
                    let stride = if self.layer(l).3.is_some() { 1 } else { 2 };
                    let pixels = t.inputs[l].pixels();
                    4 * (pixels * cin + pixels / (stride * stride) * cout)
                };
                self.over(bytes) as f64 / MIB
            }
            "peak_im2col_MiB" => {
                let bytes = |t: &ReuseTile, l: usize| {
                    4 * self.layer(l).3.unwrap_or(0) * t.inputs[l].pixels()
                };
                self.over(bytes) as f64 / MIB
            }
            "peak_tile_pool_fused_MiB" => {
                r.plain.iter().map(|t| self.pooled(t)).max().unwrap() as f64 / MIB
            }
            "weights_MiB" => weights as f64 / MIB,
            "total_MiB" => (peak + weights) as f64 / MIB,
            "GFLOP_unpartitioned" => self.base() as f64 / 1e9,
            "flop_ratio" => ratio(2 * macs.iter().sum::<u64>()),
            "flop_ratio_as_run" => ratio(self.flop(&r.plain, true)),
            "flop_ratio_reuse" => ratio(self.flop(&r.tiles, false)),
            "flop_ratio_reuse_as_run" => ratio(self.flop(&r.tiles, true)),
            "tile_GFLOP_max" => giga(*macs.iter().max().unwrap()),
            "tile_GFLOP_min" => giga(*macs.iter().min().unwrap()),
            "input_total_MiB" => inputs.iter().sum::<u64>() as f64 / MIB,
            "input_ratio" => inputs.iter().sum::<u64>() as f64 / frame as f64,
            "input_tile_max_KiB" => *inputs.iter().max().unwrap() as f64 / 1024.0,
            "input_tile_min_KiB" => *inputs.iter().min().unwrap() as f64 / 1024.0,
            "input_total_reuse_MiB" => {
                let of = |t: &ReuseTile| r.input_bytes(g, t);
                r.tiles.iter().map(of).sum::<u64>() as f64 / MIB
            }
            "output_total_MiB" => output as f64 / MIB,
            "reuse_total_MiB" => strips as f64 / MIB,
            "reuse_donor_max_MiB" => *r.donated(g).iter().max().unwrap() as f64 / MIB,
            "phase0_tiles" => r.tiles.iter().filter(|t| !t.second).count() as f64,
            "wsh_comm_MiB" => self.plan.estimates.traffic["work_sharing"] as f64 / MIB,
            "wst_s_1dev_comm_MiB" => (output + strips) as f64 / MIB,
            _ => return None,
        })
    }

    fn per_layer_peak(&self) -> Vec<f64> {
        (0..self.layers())
            .map(|l| {
                let of = |t: &ReuseTile| self.io_bytes(t, l);
                self.reuse.plain.iter().map(of).max().unwrap() as f64 / MIB
            })
            .collect()
    }
}

/// The rows of `ftp_facts.py`.
fn script(layers: usize, grids: &[[usize; 2]]) -> Vec<Value> {
    let file = root().join("../shared/arena/ftp_facts.py");
    assert!(file.is_file(), "{} is missing", file.display());
    let mut command = std::process::Command::new("python3");
    command
        .arg(&file)
        .args(["--json", "--layers"])
        .arg(layers.to_string());
    for [r, c] in grids {
        command.arg("--grid").arg(format!("{r}x{c}"));
    }
    let out = command.output().expect("python3 runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).unwrap()
}

#[needs(ftp_facts)]
#[test]
fn every_number_equals_the_independent_script() {
    let mut grids: Vec<[usize; 2]> = (1..=6).map(|n| [n, n]).collect();
    grids.extend([[2, 3], [1, 6]]);
    let model = yolov2();
    let mut compared = 0;
    for layers in [4, 8, 16] {
        let rows = script(layers, &grids);
        for (grid, row) in grids.iter().zip(&rows) {
            let (plan, reuse) = plan(&model, *grid, layers);
            let facts = Facts {
                graph: &model.graph,
                plan: &plan,
                reuse: &reuse,
            };
            for (key, want) in row.as_object().unwrap() {
                let at = format!("{key} of {grid:?} at {layers} layers");
                match key.as_str() {
                    "grid" => continue,
                    "per_layer_peak_MiB" => {
                        let want: Vec<f64> = serde_json::from_value(want.clone()).unwrap();
                        assert_eq!(facts.per_layer_peak(), want, "{at}");
                    }
                    _ => {
                        let have = facts
                            .field(key)
                            .unwrap_or_else(|| panic!("{at} is unknown"));
                        assert_eq!(Some(have), want.as_f64(), "{at}");
                    }
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * 8 * 26, "fields compared");
}

#[test]
fn the_papers_own_figures() {
    let model = yolov2();
    // What the geometry of DeepThings (`src/ftp.c`) gives, MiB: largest tile, with weights; redundancy
    // without and with reuse; tile inputs without and with reuse; strips; WSH and one device's traffic
    // (DeepThings 2018, figures 11 and 12).
    let table = [
        (
            [1, 1],
            [56.41, 69.49, 1.000, 1.000, 4.23, 4.23, 0.00, 9.87, 1.41],
        ),
        (
            [2, 2],
            [20.00, 33.08, 1.247, 1.017, 6.03, 4.41, 0.95, 11.67, 2.36],
        ),
        (
            [3, 3],
            [16.02, 29.10, 1.529, 1.069, 8.15, 4.90, 1.71, 13.79, 3.12],
        ),
        (
            [4, 4],
            [11.62, 24.71, 1.845, 1.155, 10.59, 5.70, 2.30, 16.23, 3.71],
        ),
        (
            [5, 5],
            [9.08, 22.17, 2.196, 1.276, 13.35, 6.81, 2.70, 18.99, 4.11],
        ),
        (
            [6, 6],
            [7.93, 21.01, 2.570, 1.426, 16.12, 8.08, 2.91, 21.76, 4.32],
        ),
        (
            [2, 3],
            [17.90, 30.98, 1.380, 1.034, 7.01, 4.58, 1.38, 12.65, 2.79],
        ),
        (
            [1, 6],
            [21.15, 34.23, 1.572, 1.000, 8.26, 4.32, 2.49, 13.90, 3.90],
        ),
    ];
    let keys = [
        ("peak_tile_MiB", 2),
        ("total_MiB", 2),
        ("flop_ratio", 3),
        ("flop_ratio_reuse", 3),
        ("input_total_MiB", 2),
        ("input_total_reuse_MiB", 2),
        ("reuse_total_MiB", 2),
        ("wsh_comm_MiB", 2),
        ("wst_s_1dev_comm_MiB", 2),
    ];
    for (grid, want) in table {
        let (plan, reuse) = plan(&model, grid, 16);
        let facts = Facts {
            graph: &model.graph,
            plan: &plan,
            reuse: &reuse,
        };
        for ((key, digits), want) in keys.iter().zip(want) {
            let have = facts.field(key).unwrap();
            assert_eq!(
                format!("{have:.digits$}"),
                format!("{want:.digits$}"),
                "{key} of {grid:?}"
            );
        }
    }
    // The unpartitioned stage: 26.001 GFLOP, 13.08 MiB of weights; at 5x5 tiles of 1.23 to 2.86 GFLOP.
    let (plan5, reuse5) = plan(&model, [5, 5], 16);
    let facts = Facts {
        graph: &model.graph,
        plan: &plan5,
        reuse: &reuse5,
    };
    for (key, want) in [
        ("GFLOP_unpartitioned", "26.001"),
        ("weights_MiB", "13.082"),
        ("tile_GFLOP_min", "1.233"),
        ("tile_GFLOP_max", "2.860"),
    ] {
        assert_eq!(format!("{:.3}", facts.field(key).unwrap()), want, "{key}");
    }
    // Exact bytes, as the counters in the original program have them.
    let inputs: usize = plan5.dataflow.stages[0]
        .tiles
        .iter()
        .map(|t| 4 * t.inputs[0].len())
        .sum();
    assert_eq!(inputs, 13_996_800);
    let strips: u64 = reuse5.donated(&model.graph).iter().sum();
    assert_eq!(strips, 2_834_432);
}

/// Everything that a tile of the second colour reads was computed by itself or lies in a strip
/// of a neighbour that had it: pixel by pixel, for every operation.
#[test]
fn own_parts_and_strips_cover_what_is_read() {
    let model = yolov2();
    for (grid, layers) in [([3, 3], 16), ([5, 5], 16), ([4, 2], 8), ([2, 5], 12)] {
        let (_, r) = plan(&model, grid, layers);
        let inside = |a: Area, y: i64, x: i64| {
            (a.y[0]..a.y[1]).contains(&y) && (a.x[0]..a.x[1]).contains(&x)
        };
        for (k, t) in r.tiles.iter().enumerate().filter(|(_, t)| t.second) {
            for l in 1..r.nodes.len() {
                let strips: Vec<_> = r
                    .strips
                    .iter()
                    .filter(|s| s.taker == k && s.operation == l - 1)
                    .collect();
                for s in &strips {
                    let donor = &r.plain[s.donor];
                    assert!(!donor.second);
                    assert_eq!(s.area.meet(donor.outputs[l - 1]), s.area);
                }
                let a = t.inputs[l];
                for y in a.y[0]..a.y[1] {
                    for x in a.x[0]..a.x[1] {
                        let own = inside(t.outputs[l - 1], y, x);
                        let given = strips.iter().any(|s| inside(s.area, y, x));
                        assert!(own || given, "{grid:?} tile {k} operation {l}: {y} {x}");
                        assert!(!(own && given), "computed twice");
                    }
                }
            }
        }
    }
}
