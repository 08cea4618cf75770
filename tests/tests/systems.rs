//! The systems that the DeepThings paper compares: what they move for a frame, by the plan and in the simulated cluster,
//! beside the paper's Figure 12 and beside formulas that know nothing of the planner.

use anyhow::{Context, Result, ensure};
use tessera_plan::{
    placement::Placement,
    plan::{Border, Plan, Split},
};
use tessera_planner::{
    boards::Board,
    make,
    model::Model,
    options::{PlanOptions, Rows, Target},
    wire::Wire,
};
use tessera_sim::{
    stream::{Sources, StreamFrame},
    timing::{NodeBytes, TaskSpan, Timeline},
};
use tessera_simulate::SimulatedCluster;
use tessera_tests::model;

const MIB: f64 = 1_048_576.0;
/// Most that datagrams may carry beyond the values, as a share of these.
const OVERHEAD_MAX: f64 = 0.045;
/// How exactly bars can be read in the paper's figure, in MiB.
const READ_MIB: f64 = 0.011;

/// YOLOv2's first 16 layers: whether one is a pool, its kernel's size, and the channels that it reads.
const LAYERS: [(bool, usize, usize); 16] = [
    (false, 3, 3),
    (true, 2, 32),
    (false, 3, 32),
    (true, 2, 64),
    (false, 3, 64),
    (false, 1, 128),
    (false, 3, 64),
    (true, 2, 128),
    (false, 3, 128),
    (false, 1, 256),
    (false, 3, 128),
    (true, 2, 256),
    (false, 3, 256),
    (false, 1, 512),
    (false, 3, 256),
    (false, 1, 512),
];
const SIDE: usize = 608;
/// Values of the frame, and of the map behind the 16 layers.
const FRAME: usize = SIDE * SIDE * 3;
const RESULT: usize = 38 * 38 * 256;

/// Bytes of floats that MoDNN moves on `n` boards, where every layer's map is cut into strips of equal height (rounded up):
/// the frame to the gateway, the strips of the frame, rows that a board reads of other boards' strips to the gateway and
/// on, and the result.
fn bodp(n: usize) -> usize {
    let strips = |h: usize| -> Vec<[usize; 2]> {
        let each = h.div_ceil(n);
        (0..n)
            .map(|k| [(k * each).min(h), ((k + 1) * each).min(h)])
            .collect()
    };
    let (mut h, mut before, mut values) = (SIDE, Vec::<[usize; 2]>::new(), FRAME + RESULT);
    for (pool, kernel, cin) in LAYERS {
        let out = if pool { h / 2 } else { h };
        let made = strips(out);
        for (k, [lo, hi]) in made.iter().copied().enumerate() {
            let read = if pool {
                [2 * lo, 2 * hi]
            } else {
                [lo.saturating_sub(kernel / 2), (hi + kernel / 2).min(h)]
            };
            let rows = read[1] - read[0];
            match before.get(k) {
                None => values += rows * h * cin,
                Some([a, b]) => {
                    let own = read[1].min(*b).saturating_sub(read[0].max(*a));
                    values += 2 * (rows - own) * h * cin;
                }
            }
        }
        (h, before) = (out, made);
    }
    4 * values
}

/// A system's plan on `edges` equal boards.
fn options(placement: Placement, cuts: &[usize], grid: [usize; 2], edges: usize) -> PlanOptions {
    PlanOptions {
        cuts: cuts.to_vec(),
        grids: vec![grid],
        split: Split::Equal,
        wire: Wire::floats(),
        rows: Rows::Whole,
        placement,
        ..PlanOptions::of(edges, &Board::new(Target::Armv7))
    }
}

/// MiB of values that a plan expects to travel, and those that datagrams have in the simulated cluster.
fn moved(m: &Model, options: &PlanOptions) -> Result<[f64; 2]> {
    let plan = make::plan(m, options)?;
    let planned = plan.estimates.traffic["expected.total"];
    let line = SimulatedCluster::new(&m.graph, &plan, options)?.frame()?;
    sent(&line, planned)
}

/// MiB of `expected` bytes of values, which all nodes have received together, and of datagrams, which have a little more:
/// headers, messages, and values that were asked for again although nothing was lost.
fn sent(line: &Timeline, expected: u64) -> Result<[f64; 2]> {
    let nodes = || line.boards.iter().chain([&line.gateway]);
    let values: u64 = nodes().map(|b| b.objects_received_bytes).sum();
    ensure!(
        values == expected,
        "{values} bytes of values in the simulated cluster, and not {expected}"
    );
    let of_all = |bytes: fn(&NodeBytes) -> u64| nodes().map(bytes).sum::<u64>();
    let (sent, chunks) = (of_all(|b| b.sent_bytes), of_all(|b| b.objects_sent_bytes));
    let more = |bytes: u64| bytes as f64 / expected as f64;
    let (headers, again) = (more(sent - chunks), more(chunks - expected));
    ensure!(
        headers + again < OVERHEAD_MAX,
        "headers and messages are {:.1} % of the values, and {:.1} % of them travelled twice",
        100.0 * headers,
        100.0 * again
    );
    Ok([expected as f64 / MIB, sent as f64 / MIB])
}

#[test]
fn work_sharing_moves_what_the_paper_says_on_any_number_of_boards() -> Result<()> {
    let m = model::shipped("yolov2")?;
    // Image, all tile inputs, output: `ftp_facts.py`'s sums of tile inputs are 8.152, 10.591 and 13.348 MiB.
    let grids = [
        (3, 13.79, 8_548_032),
        (4, 16.23, 11_105_328),
        (5, 18.99, 13_996_800),
    ];
    for (n, paper, inputs) in grids {
        for edges in 1..=6 {
            let o = options(Placement::Share, &[16], [n, n], edges);
            let [values, sent] =
                moved(&m, &o).with_context(|| format!("{n}x{n}, {edges} boards"))?;
            println!(
                "WSH {n}x{n}, {edges} boards: paper {paper:.2}, values {values:.2}, datagrams {sent:.2} MiB"
            );
            let formula = (4 * (FRAME + RESULT) + inputs) as f64 / MIB;
            ensure!(
                (values - formula).abs() < 1e-9,
                "{values} and not {formula}"
            );
            ensure!((values - paper).abs() < READ_MIB);
        }
    }
    Ok(())
}

#[test]
fn strips_of_every_layer_move_what_the_paper_says() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let cuts: Vec<usize> = (1..=16).collect();
    let paper = [9.87, 10.93, 12.87, 13.92, 17.05, 19.59];
    for (edges, paper) in (1..).zip(paper) {
        let o = options(Placement::Share, &cuts, [edges, 1], edges);
        let [values, sent] = moved(&m, &o).with_context(|| format!("{edges} boards"))?;
        println!(
            "BODP, {edges} boards: paper {paper:.2}, values {values:.2}, datagrams {sent:.2} MiB"
        );
        let formula = bodp(edges) as f64 / MIB;
        ensure!(
            (values - formula).abs() < 1e-9,
            "{values} and not {formula}"
        );
        ensure!(
            (values - paper).abs() < READ_MIB,
            "{values} and not {paper}"
        );
    }
    Ok(())
}

/// Rows, or columns: half-open.
type Ends = [usize; 2];

/// Rows of every map, the frame's first, that a part of the output's `n` equal parts holds and makes; or columns.
struct Part {
    held: [Ends; 17],
    made: [Ends; 17],
}

/// What a layer reads for these rows of its output.
fn read(layer: usize, [lo, hi]: Ends) -> Ends {
    let (pool, kernel, _) = LAYERS[layer];
    let side = SIDE >> LAYERS[..layer].iter().filter(|l| l.0).count();
    if pool {
        [2 * lo, (2 * hi).min(side)]
    } else {
        [lo.saturating_sub(kernel / 2), (hi + kernel / 2).min(side)]
    }
}

/// Parts of an axis. Of the second colour where `reuse` says so: what the parts beside one have of a layer is not made again.
fn parts(n: usize, reuse: bool) -> Vec<Part> {
    let each = 38_usize.div_ceil(n);
    let plain = |k: usize| {
        let mut held = [[k * each, ((k + 1) * each).min(38)]; 17];
        for layer in (0..16).rev() {
            held[layer] = read(layer, held[layer + 1]);
        }
        held
    };
    let part = |k: usize| {
        let mut p = Part {
            held: plain(k),
            made: plain(k),
        };
        let before = k.checked_sub(1).filter(|_| reuse).map(plain);
        let behind = (reuse && k + 1 < n).then(|| plain(k + 1));
        for layer in (0..16).rev() {
            p.held[layer] = read(layer, p.made[layer + 1]);
            p.made[layer] = p.held[layer];
            // Every tile reads the frame itself.
            if layer > 0 {
                let [lo, hi] = p.held[layer];
                p.made[layer] = [
                    before.map_or(lo, |b| b[layer][1].max(lo)),
                    behind.map_or(hi, |b| b[layer][0].min(hi)),
                ];
            }
        }
        p
    };
    (0..n).map(part).collect()
}

const fn rows([lo, hi]: Ends) -> usize {
    hi - lo
}

/// Bytes of floats that stealing moves in a grid of `n` x `n` tiles, by who ran which tile, where board 0 has the frame: inputs of
/// tiles that ran elsewhere, strips that a tile has from a neighbour on another board, and the result.
fn stolen(plan: &Plan, spans: &[TaskSpan], n: usize, reuse: bool) -> Result<u64> {
    let (plain, small) = (parts(n, false), parts(n, true));
    let tiles = &plan.dataflow.stages[0].tiles;
    let mut at = vec![None; n * n];
    for s in spans {
        let tile = &tiles[s.task.index()];
        ensure!(tile.instead_of.is_none(), "strips were late: {s:?}");
        let before = at[n * tile.row + tile.col].replace(s.board);
        ensure!(before.is_none(), "a tile ran twice: {s:?}");
    }
    let board = |r: usize, c: usize| at[n * r + c].context("a tile did not run");
    let mut values = RESULT;
    for (r, c) in (0..n).flat_map(|r| (0..n).map(move |c| (r, c))) {
        let of = if reuse && (r + c) % 2 == 1 {
            &small
        } else {
            &plain
        };
        let (y, x) = (&of[r], &of[c]);
        let here = board(r, c)?;
        if here != 0 {
            values += rows(y.held[0]) * rows(x.held[0]) * 3;
        }
        for (map, (_, _, channels)) in LAYERS.into_iter().enumerate().skip(1) {
            let ([y0, y1], [x0, x1]) = (y.held[map], x.held[map]);
            let ([own_y0, own_y1], [own_x0, own_x1]) = (y.made[map], x.made[map]);
            // Strips from above and below have all columns, those from the sides the rows that the tile makes.
            for (strip, from) in [
                ((own_y0 - y0) * (x1 - x0), [r.wrapping_sub(1), c]),
                ((y1 - own_y1) * (x1 - x0), [r + 1, c]),
                ((own_y1 - own_y0) * (own_x0 - x0), [r, c.wrapping_sub(1)]),
                ((own_y1 - own_y0) * (x1 - own_x1), [r, c + 1]),
            ] {
                if strip > 0 && board(from[0], from[1])? != here {
                    values += strip * channels;
                }
            }
        }
    }
    Ok(4 * values as u64)
}

/// Rows of the paper's Figure 12, and ours beside them.
#[test]
fn stealing_moves_inputs_strips_and_the_result() -> Result<()> {
    let m = model::shipped("yolov2")?;
    let systems = [
        (
            "WST",
            Border::Recompute,
            [
                [1.41, 5.17, 6.41, 6.81, 7.56, 7.98],
                [1.41, 5.98, 7.93, 8.80, 9.29, 9.71],
                [1.41, 7.56, 9.67, 10.95, 11.23, 11.69],
            ],
        ),
        (
            "WST-S",
            Border::Reuse,
            [
                [3.13, 6.04, 7.11, 8.82, 9.44, 9.47],
                [3.71, 7.91, 9.04, 10.06, 10.07, 11.18],
                [4.11, 8.67, 10.55, 10.79, 11.55, 12.62],
            ],
        ),
    ];
    for (name, border, papers) in systems {
        for (n, papers) in (3..).zip(papers) {
            for (edges, paper) in (1..).zip(papers) {
                let o = PlanOptions {
                    borders: vec![border],
                    ..options(Placement::Queue, &[16], [n, n], edges)
                };
                let plan = make::plan(&m, &o)?;
                let line = SimulatedCluster::new(&m.graph, &plan, &o)?.frame()?;
                let case = || format!("{name} {n}x{n}, {edges} boards");
                let formula = stolen(&plan, &line.tasks, n, border == Border::Reuse);
                let [values, sent] = sent(&line, formula.with_context(case)?).with_context(case)?;
                println!(
                    "{}: paper {paper:.2}, values {values:.2}, datagrams {sent:.2} MiB",
                    case()
                );
                if edges == 1 {
                    ensure!(
                        (values - 4.0 * RESULT as f64 / MIB).abs() < 1e-9,
                        "{}",
                        case()
                    );
                }
            }
        }
    }
    Ok(())
}

/// Two sources, the first with a quarter of the other's speed: the second helps it only where sources steal.
#[test]
fn sources_steal_or_do_not() -> Result<()> {
    let m = model::shipped("yolov2-tiny")?;
    for (placement, steals) in [(Placement::Steal, true), (Placement::StealIdle, false)] {
        let mut o = options(placement, &[8], [4, 4], 2);
        o.boards[0].share /= 4.0;
        let plan = make::plan(&m, &o)?;
        let sources = Sources {
            boards: 2,
            frames: 2,
            in_flight: 1,
            interval_s: 0.0,
        };
        let run = SimulatedCluster::new(&m.graph, &plan, &o)?.stream(&sources, &[])?;
        ensure!(run.frames.len() == 4);
        let elsewhere = |f: &StreamFrame| f.tasks.iter().any(|t| t.board != f.source);
        let stolen = run.frames.iter().any(elsewhere);
        ensure!(
            stolen == steals,
            "{placement:?}: tasks of sources went elsewhere: {stolen}"
        );
    }
    Ok(())
}
