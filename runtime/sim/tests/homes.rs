//! Placements of a cut frame on several boards in virtual time: nothing is done twice unless something is wrong, and
//! the frame ends soon when something is.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, sync::Arc};

use tessera_plan::{
    dataflow::{Port, TaskGraph, TaskInfo, TensorInfo},
    element::ElementType,
    placement::board,
    region::{Region, Shape},
};
use tessera_protocol::{FrameOutcome, Placement, ProgramInfo};
use tessera_sim::{EdgeSpec, Fault, LinkConditions, NetConfig, World, WorldConfig};

const STAGES: u16 = 3;
/// Rows and columns of every stage's grid.
const GRID: [usize; 2] = [6, 2];
const TILES: usize = GRID[0] * GRID[1];
/// Side of every map.
const SIDE: usize = 48;
/// Rows and columns that a tile reads beyond its own.
const HALO: usize = 2;
const BOARDS: usize = 6;
/// Time of a task on a usual board.
const TASK_US: u64 = 150_000;
/// Virtual time at which sources start: the boards have joined.
const SOURCE_US: u64 = 400_000;
const LEASE_US: u64 = 1_500_000;

/// Seeds of a test: `n`, or as many as `TESSERA_SIM_SEEDS` says.
fn seeds(n: u64) -> std::ops::Range<u64> {
    let told = std::env::var("TESSERA_SIM_SEEDS").ok();
    0..told.and_then(|n| n.parse().ok()).unwrap_or(n)
}

/// Stages of tiles that read a halo of their neighbours; tile `k` of every stage is at home on `homes[k]`.
fn program(placement: Placement, homes: &[u16]) -> ProgramInfo {
    let cut = |k: usize, n: usize| [k * SIDE / n, (k + 1) * SIDE / n];
    let grown = |[lo, hi]: [usize; 2]| [lo.saturating_sub(HALO), (hi + HALO).min(SIDE)];
    let port = |tensor, y, x| Port {
        tensor,
        region: Region::new(y, x, [0, 8]),
    };
    let tile = |stage: u16, k: usize| {
        let (y, x) = (cut(k / GRID[1], GRID[0]), cut(k % GRID[1], GRID[1]));
        TaskInfo {
            stage,
            home: homes[k],
            inputs: vec![port(stage, grown(y), grown(x))],
            outputs: vec![port(stage + 1, y, x)],
            macs: 1000,
            ..TaskInfo::default()
        }
    };
    let tasks = (0..STAGES).flat_map(|s| (0..TILES).map(move |k| tile(s, k)));
    let tensor = |element| TensorInfo {
        region: Region::whole(Shape::new(SIDE, SIDE, 8)),
        element,
    };
    let mut tensors = vec![tensor(ElementType::U8)];
    tensors.extend((0..STAGES).map(|_| tensor(ElementType::F16)));
    let graph = TaskGraph::new(tensors, tasks.collect(), vec![STAGES]).expect("tiles cover maps");
    ProgramInfo {
        plan_hash: [3; 32],
        model_digest: [4; 32],
        placement,
        boards: BOARDS as u16,
        graph: if placement == Placement::Share {
            graph.shared()
        } else {
            graph
        },
    }
}

/// Neighbouring rows go to one board.
fn two_each() -> Vec<u16> {
    (0..TILES).map(|k| (k / 2) as u16).collect()
}

/// A cluster of boards, some of them slower by a factor, of which the first are sources.
struct Case {
    placement: Placement,
    homes: Vec<u16>,
    slowness: [u64; BOARDS],
    sources: usize,
    frames: u32,
    loss_ppm: u32,
    shared_bits_per_s: u64,
    chunk_bytes: usize,
    seed: u64,
}

impl Case {
    fn new(placement: Placement, seed: u64) -> Self {
        Self {
            placement,
            homes: two_each(),
            slowness: [1; BOARDS],
            sources: 1,
            frames: 1,
            loss_ppm: 0,
            shared_bits_per_s: 0,
            chunk_bytes: 1200,
            seed,
        }
    }

    fn config(&self) -> WorldConfig {
        let info = Arc::new(program(self.placement, &self.homes));
        let edge = |k: usize| {
            let mut e = EdgeSpec::new();
            e.config = e.config.placed(self.placement);
            e.config.transfer.chunk_bytes = self.chunk_bytes;
            e.steal_frames = 2 * self.sources;
            if k < self.sources {
                e = e.source(self.frames);
                e.start_us = SOURCE_US;
            }
            e
        };
        // No two tasks take the same time: within a tenth, by task and seed.
        let us = |b: usize, t: usize| {
            let part = (b * 31 + t * 17 + self.seed as usize * 7) % 21;
            self.slowness[b] * TASK_US * (90 + part as u64) / 100
        };
        WorldConfig {
            seed: self.seed,
            edges: (0..BOARDS).map(edge).collect(),
            task_us: (0..BOARDS)
                .map(|b| (0..info.tasks.len()).map(|t| us(b, t)).collect())
                .collect(),
            record_jobs: true,
            net: NetConfig {
                shared_bits_per_s: self.shared_bits_per_s,
                overhead_bytes: NetConfig::ETHERNET_OVERHEAD,
                conditions: LinkConditions {
                    loss_ppm: self.loss_ppm,
                    ..LinkConditions::default()
                },
                ..NetConfig::default()
            },
            ..WorldConfig::new(info)
        }
    }

    /// Runs to the end of all frames; the simulator compares every value that a task or the tail reads.
    fn run(&self, faults: impl IntoIterator<Item = (u64, Fault)>) -> Ended {
        let mut config = self.config();
        config.faults.extend(faults);
        config.gateway.config.transfer.chunk_bytes = self.chunk_bytes;
        let name = format!(
            "{:?} seed {} {:?}",
            self.placement, self.seed, config.faults
        );
        let mut world = World::new(&config);
        world.run_until(SOURCE_US + 1000).expect("boards that join");
        let finished = world.run_until_finished(SOURCE_US + 600_000_000);
        assert!(finished.unwrap_or_else(|e| panic!("{name}: {e}")), "{name}");
        let frames = world.ledger().frames().values();
        let took_us = frames.filter_map(|f| Some(f.written_us? - f.accepted_us));
        let records = world.ledger().frames().values();
        let whole = records
            .filter(|f| f.records().last() == Some(FrameOutcome::Detections))
            .count();
        let mut runs: BTreeMap<_, Vec<u16>> = BTreeMap::new();
        for span in world.job_spans() {
            let of_task = runs.entry((span.frame, span.task)).or_default();
            of_task.push(span.node as u16);
        }
        let stats = || (1..=BOARDS).filter_map(|k| world.edge_stats(k));
        let fetched = stats().map(|s| s.fetched_bytes.iter().sum::<u64>());
        Ended {
            took_us: took_us.max().unwrap_or(0),
            busy_us: world.now_us() - SOURCE_US,
            whole,
            late: stats().map(|s| s.late_leases + s.backups).sum(),
            fetched_bytes: fetched.sum(),
            runs: runs.into_values().collect(),
            streamed: world.counters().streamed,
            abandoned: world.counters().abandoned,
            early_chunks: stats().map(|s| s.transfer.chunks_sent_early).sum(),
        }
    }

    /// Bytes that edges fetch for a frame of the first source when every task runs at home.
    fn bytes_at_home(&self) -> u64 {
        let info = program(self.placement, &self.homes);
        let at_home =
            |task: usize, node: u16| board(node, 1, BOARDS as u16) == self.homes[task % TILES];
        let makers: Vec<u16> = (0..info.tasks.len())
            .map(|t| {
                (1..=BOARDS as u16)
                    .find(|n| at_home(t, *n))
                    .expect("a home")
            })
            .collect();
        let keeps = self.placement == Placement::Home;
        let all = info.crossing(1, &makers, 0, |t, n| keeps && at_home(t.index(), n));
        let of_gateway = (0..info.gateway_needs()).map(|k| info.need_bytes(info.gateway_need(k)));
        all.iter().sum::<u64>() - of_gateway.sum::<usize>() as u64
    }
}

/// What became of a cluster's frames.
struct Ended {
    /// The longest time of a frame.
    took_us: u64,
    busy_us: u64,
    /// Frames with detections.
    whole: usize,
    /// Tasks that went elsewhere than home since they were late.
    late: u64,
    fetched_bytes: u64,
    /// For every task of every frame, the nodes that ran it.
    runs: Vec<Vec<u16>>,
    /// Jobs that began before their inputs were complete, and those of them whose inputs did not come.
    streamed: u64,
    abandoned: u64,
    /// Chunks that left before their task had ended.
    early_chunks: u64,
}

impl Ended {
    fn done_twice(&self) -> usize {
        self.runs.iter().filter(|r| r.len() > 1).count()
    }
}

const HOME_AND_STEAL: [Placement; 2] = [Placement::Home, Placement::Steal];
const ALL: [Placement; 3] = [Placement::Home, Placement::Steal, Placement::Share];

#[test]
fn nothing_goes_elsewhere_while_nothing_is_wrong() {
    // The boards 4 and 5 are half as fast, and have half as many tiles.
    let for_slow: Vec<u16> = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5].to_vec();
    for seed in seeds(3) {
        for shared_bits_per_s in [0, 38_400_000] {
            let of_home = [1, 2, 3].map(|n| (n, Placement::Home));
            // Of three sources, a board has tasks for seconds before the first one ends: one may look late.
            let of_share = [1, 2].map(|n| (n, Placement::Share));
            for (sources, placement) in of_home.into_iter().chain(of_share) {
                let case = Case {
                    sources,
                    frames: 4,
                    shared_bits_per_s,
                    ..Case::new(placement, seed)
                };
                case.undisturbed();
            }
            let case = Case {
                homes: for_slow.clone(),
                slowness: [1, 1, 1, 1, 2, 2],
                frames: 1,
                shared_bits_per_s,
                ..Case::new(Placement::Home, seed)
            };
            case.undisturbed();
        }
    }
}

impl Case {
    fn undisturbed(&self) {
        let end = self.run(None);
        let frames = self.sources as u64 * u64::from(self.frames);
        let name = format!(
            "{:?}, seed {}, {} sources, {:?}, {} bit/s",
            self.placement, self.seed, self.sources, self.slowness, self.shared_bits_per_s
        );
        assert_eq!((end.whole as u64, end.late), (frames, 0), "{name}");
        assert_eq!(end.done_twice(), 0, "{name}");
        // Every source is its own first board, so all have the same bytes.
        assert_eq!(end.fetched_bytes, frames * self.bytes_at_home(), "{name}");
    }
}

#[test]
fn a_slow_board_is_helped() {
    for seed in seeds(4) {
        let case = |slowness| Case {
            slowness,
            frames: 2,
            ..Case::new(Placement::Home, seed)
        };
        let usual = case([1; BOARDS]).run(None);
        let slow = case([1, 1, 3, 1, 1, 1]).run(None);
        assert!(slow.late > 0, "seed {seed}");
        assert_eq!(slow.whole, 2);
        assert!(
            slow.busy_us < 2 * usual.busy_us + LEASE_US,
            "seed {seed}: {} us, usually {}",
            slow.busy_us,
            usual.busy_us
        );
        // Three times as slow, but not the frames.
        assert!(slow.busy_us < 5 * usual.busy_us / 2, "seed {seed}");
        let several = Case {
            sources: 3,
            ..case([1, 1, 2, 1, 1, 1])
        };
        assert_eq!(several.run(None).whole, 6, "seed {seed}");
    }
}

/// Every edge dies at many times of the frame.
#[test]
fn a_frame_survives_every_other_board() {
    for placement in ALL {
        for seed in seeds(2) {
            let case = Case::new(placement, seed);
            let usual_us = case.run(None).took_us;
            for node in 1..=BOARDS {
                for part in 0..12 {
                    let at_us = SOURCE_US + (usual_us * (2 * part + 1)) / 24;
                    let end = case.run(Some((at_us, Fault::Crash { node })));
                    let name = format!("{placement:?}, seed {seed}, node {node} at {at_us}");
                    if node == 1 {
                        // A frame is lost with its source, unless the gateway has all by then.
                        assert!(end.whole <= 1, "{name}");
                        continue;
                    }
                    assert_eq!(end.whole, 1, "{name}");
                    assert!(
                        end.took_us <= 2 * usual_us + LEASE_US,
                        "{name}: {} us, usually {usual_us}",
                        end.took_us
                    );
                }
            }
        }
    }
}

#[test]
fn a_tenth_is_lost_and_the_frame_ends_in_time() {
    for placement in ALL {
        for seed in seeds(16) {
            let case = Case::new(placement, seed);
            let usual_us = case.run(None).took_us;
            let lossy = Case {
                loss_ppm: 100_000,
                ..Case::new(placement, seed)
            };
            let end = lossy.run(None);
            assert_eq!(end.whole, 1, "{placement:?}, seed {seed}");
            assert!(
                end.took_us <= 2 * usual_us + LEASE_US,
                "{placement:?}, seed {seed}: {} us, usually {usual_us}",
                end.took_us
            );
        }
    }
}

/// On a channel that is so slow that tasks wait for rows, every other board dies at many times of the frame.
#[test]
fn a_frame_survives_holders_that_die_while_their_rows_stream() {
    let (mut streamed, mut abandoned) = (0, 0);
    for placement in ALL {
        for seed in seeds(2) {
            let case = Case {
                shared_bits_per_s: 1_000_000,
                // Less than a row of a halo.
                chunk_bytes: 128,
                ..Case::new(placement, seed)
            };
            let usual = case.run(None);
            // A task that looks late on the full channel may be taken twice.
            assert!(usual.whole == 1 && usual.abandoned <= usual.late);
            assert!(usual.streamed > 0, "{placement:?}, seed {seed}");
            for node in 2..=BOARDS {
                for part in 0..12 {
                    let at_us = SOURCE_US + (usual.took_us * (2 * part + 1)) / 24;
                    let end = case.run(Some((at_us, Fault::Crash { node })));
                    let name = format!("{placement:?}, seed {seed}, node {node} at {at_us}");
                    assert_eq!(end.whole, 1, "{name}");
                    assert!(
                        end.took_us <= 2 * usual.took_us + LEASE_US,
                        "{name}: {} us, usually {}",
                        end.took_us,
                        usual.took_us
                    );
                    streamed += end.streamed;
                    abandoned += end.abandoned;
                }
            }
        }
    }
    println!(
        "{streamed} jobs began before their inputs were complete, {abandoned} of them in vain"
    );
    assert!(abandoned > 0);
}

/// Tiles of a column lie on different boards, which fetch each other's rows while these are made. Nodes, their workers and
/// the network fail at many times of the frame.
#[test]
fn a_frame_survives_makers_that_fail_while_their_rows_leave() {
    let mut early_chunks = 0;
    for placement in HOME_AND_STEAL {
        for seed in seeds(2) {
            let case = Case {
                homes: (0..TILES).map(|k| (k % BOARDS) as u16).collect(),
                chunk_bytes: 64,
                loss_ppm: 10_000,
                ..Case::new(placement, seed)
            };
            let usual = case.run(None);
            assert_eq!(usual.whole, 1);
            assert!(
                usual.early_chunks > 100,
                "{placement:?}, seed {seed}: {}",
                usual.early_chunks
            );
            for node in 2..=BOARDS {
                for part in 0..9 {
                    let at_us = SOURCE_US + (usual.took_us * (2 * part + 1)) / 18;
                    let pause = Fault::Pause { node, us: 200_000 };
                    let faults = [
                        Fault::Crash { node },
                        Fault::CrashWorker { node },
                        Fault::Freeze { node },
                        pause,
                    ];
                    for fault in faults {
                        let thaw = (at_us + LEASE_US, Fault::Thaw { node });
                        let end = case.run([(at_us, fault), thaw]);
                        let name = format!("{placement:?}, seed {seed}, {fault:?} at {at_us}");
                        assert_eq!(end.whole, 1, "{name}");
                        early_chunks += end.early_chunks;
                    }
                }
            }
        }
    }
    println!("{early_chunks} chunks left before their tasks had ended");
}
