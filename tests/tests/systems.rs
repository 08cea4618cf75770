//! The systems that the DeepThings paper compares: what they move for a frame, by the plan and in the simulated cluster,
//! beside the paper's Figure 12 and beside formulas that know nothing of the planner.

use anyhow::{Context, Result, ensure};
use tessera_plan::{placement::Placement, plan::Split};
use tessera_planner::{
    boards::Board,
    make,
    model::Model,
    options::{PlanOptions, Rows, Target},
    wire::Wire,
};
use tessera_sim::stream::{Sources, StreamFrame};
use tessera_simulate::SimulatedCluster;
use tessera_tests::model;

const MIB: f64 = 1_048_576.0;
/// Most that datagrams may carry beyond the values, as a share of these.
const OVERHEAD_MAX: f64 = 0.06;
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
    let planned = plan.estimates.traffic["expected.total"] as f64;
    let line = SimulatedCluster::new(&m.graph, &plan, options)?.frame()?;
    let nodes = || line.boards.iter().chain([&line.gateway]);
    let values: u64 = nodes().map(|b| b.objects_received_bytes).sum();
    ensure!(
        values as f64 == planned,
        "{values} bytes of values in the simulated cluster, {planned} planned"
    );
    let sent: u64 = nodes().map(|b| b.sent_bytes).sum();
    let overhead = sent as f64 / planned - 1.0;
    ensure!(
        overhead < OVERHEAD_MAX,
        "datagrams have {:.1} % more than the values",
        100.0 * overhead
    );
    Ok([planned / MIB, sent as f64 / MIB])
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
