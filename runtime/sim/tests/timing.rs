//! Frames on boards with given times, in virtual time.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use tessera_plan::element::ElementType;
use tessera_protocol::{Placement, ProgramInfo};
use tessera_sim::{
    program,
    timing::{self, BoardTiming, GatewayTiming, LinkTiming, NodeBytes, Timeline, TimingError},
};

/// 9 tiles and 3 bands over a frame of 24 x 24 pixels of 2 channels.
fn info() -> ProgramInfo {
    program_of(3)
}

fn program_of(n: usize) -> ProgramInfo {
    ProgramInfo {
        plan_hash: [1; 32],
        model_digest: [2; 32],
        placement: Placement::Steal,
        boards: 1,
        graph: program::two_stages(n, [ElementType::U8, ElementType::F16, ElementType::F32]),
    }
}

/// Bytes of the two maps that the tail reads.
const TAIL_BYTES: u64 = 24 * 24 * (3 * 2 + 2 * 4);

fn run(boards: &[BoardTiming], gateway: GatewayTiming, links: LinkTiming) -> Timeline {
    timing::run(&info(), boards, &gateway, &links).expect("a frame that ends")
}

fn board(task_s: impl Fn(usize) -> f64) -> BoardTiming {
    BoardTiming::new((0..info().tasks.len()).map(task_s).collect())
}

/// Every task ran once, for as long as its board takes, after what it reads was made.
fn check(line: &Timeline, boards: &[BoardTiming]) {
    let info = info();
    let mut ends = BTreeMap::new();
    for t in &line.tasks {
        let took_s = t.end_s - t.start_s;
        assert!((took_s - boards[t.board].task_s[t.task.index()]).abs() < 1e-9);
        assert_eq!(
            ends.insert(t.task, t.end_s),
            None,
            "task {} ran twice",
            t.task
        );
    }
    assert_eq!(ends.len(), info.tasks.len());
    for t in &line.tasks {
        for producer in &info.tasks[t.task.index()].producers {
            assert!(ends[producer] <= t.start_s);
        }
        assert!(t.end_s <= line.merged_s && line.merged_s <= line.written_s);
    }
    let all = || line.boards.iter().chain([&line.gateway]);
    let sum = |f: fn(&NodeBytes) -> u64| all().map(f).sum::<u64>();
    assert_eq!(
        sum(|n| n.objects_sent_bytes),
        sum(|n| n.objects_received_bytes)
    );
    assert_eq!(line.gateway.objects_received_bytes, TAIL_BYTES);
    assert!(all().all(|n| n.sent_bytes > n.objects_sent_bytes));
}

#[test]
fn one_board_takes_the_sum_of_its_tasks() {
    let boards = [board(|k| 0.01 * (k + 1) as f64)];
    let gateway = GatewayTiming {
        tail_s: 0.25,
        ..GatewayTiming::default()
    };
    let line = run(&boards, gateway, LinkTiming::default());
    check(&line, &boards);
    let busy_s = 0.01 * 78.0;
    assert!(
        (busy_s..busy_s + 0.01).contains(&line.merged_s),
        "{}",
        line.merged_s
    );
    assert!((line.written_s - line.merged_s - 0.25).abs() < 1e-9);
    assert_eq!(line.boards[0].objects_received_bytes, 0);
}

#[test]
fn faster_boards_run_more_tasks() {
    let boards = [board(|_| 0.1), board(|_| 0.02), board(|_| 0.1)];
    let line = run(&boards, GatewayTiming::default(), LinkTiming::default());
    check(&line, &boards);
    let count = |b: usize| line.tasks.iter().filter(|t| t.board == b).count();
    assert!(
        count(1) > count(0) && count(1) > count(2),
        "{:?}",
        line.tasks
    );
    // Alone, the source takes 1.2 s, the faster board 0.24 s.
    assert!((0.1..0.5).contains(&line.merged_s), "{}", line.merged_s);
}

/// Runs 144 tiles and 12 bands on three boards; the order in which tiles were begun, and the least time between two tasks of a thief.
fn taken(placement: Placement) -> (Vec<u32>, f64) {
    let mut info = program_of(12);
    info.placement = placement;
    let boards = vec![BoardTiming::new(vec![0.05; info.tasks.len()]); 3];
    let links = LinkTiming {
        delay_s: 5e-3,
        ..LinkTiming::default()
    };
    let line = timing::run(&info, &boards, &GatewayTiming::default(), &links);
    let mut spans = line.expect("a frame that ends").tasks;
    spans.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(a.task.cmp(&b.task)));
    let gaps = (1..3).flat_map(|board| {
        let own: Vec<_> = spans.iter().filter(|t| t.board == board).collect();
        let gaps = own.windows(2).map(|w| w[1].start_s - w[0].end_s);
        gaps.collect::<Vec<_>>()
    });
    let least_s = gaps.fold(f64::INFINITY, f64::min);
    let tiles = spans.iter().map(|t| t.task.0).filter(|t| *t < 144);
    (tiles.collect(), least_s)
}

#[test]
fn a_queue_is_taken_in_its_order_and_a_thief_asks_when_it_has_computed() {
    let (order, gap_s) = taken(Placement::Queue);
    assert_eq!(order.len(), 144);
    // Thieves begin a little after they were given a tile: within a turn, the order of beginnings is not that of the queue.
    let late = order.iter().zip(0..).map(|(t, n)| t.abs_diff(n)).max();
    assert!(late <= Some(3), "{order:?}");
    // A victim, a task, its inputs: a message there and back each.
    assert!(gap_s > 5.5 * 5e-3, "{gap_s}");
    // Otherwise thieves begin at the other end, and have fetched the next tile when they have computed one.
    let (order, gap_s) = taken(Placement::Steal);
    assert!(order[..6].contains(&143), "{order:?}");
    assert!(gap_s < 5e-3, "{gap_s}");
}

#[test]
fn workers_of_a_board_share_its_tasks() {
    let one = [board(|_| 0.05)];
    let mut two = one.clone();
    two[0].workers = 2;
    let times = [&one, &two].map(|b| {
        let line = run(b, GatewayTiming::default(), LinkTiming::default());
        check(&line, b);
        line.merged_s
    });
    // Twelve turns, or six.
    assert!((0.6..0.61).contains(&times[0]), "{times:?}");
    assert!((0.3..0.31).contains(&times[1]), "{times:?}");
}

/// Runs 144 tiles and 12 bands of half a millisecond each, over links of 20 megabits per second.
fn run_large(boards: usize, shared: bool) -> Timeline {
    let info = program_of(12);
    let rate = |used| if used { BITS_PER_S } else { 0 };
    let board = BoardTiming {
        bits_per_s: rate(!shared),
        ..BoardTiming::new(vec![0.0005; info.tasks.len()])
    };
    let gateway = GatewayTiming {
        bits_per_s: rate(!shared),
        ..GatewayTiming::default()
    };
    let links = LinkTiming {
        shared_bits_per_s: rate(shared),
        ..LinkTiming::default()
    };
    timing::run(&info, &vec![board; boards], &gateway, &links).expect("a frame that ends")
}

const BITS_PER_S: u64 = 20_000_000;

/// Seconds that so many bytes take on such a link.
fn link_s(bytes: u64) -> f64 {
    bytes as f64 * 8.0 / BITS_PER_S as f64
}

#[test]
fn bits_take_the_time_of_their_link() {
    for shared in [false, true] {
        let line = run_large(1, shared);
        let bytes = line.gateway.objects_received_bytes;
        assert_eq!(bytes, 16 * TAIL_BYTES);
        // Tiles travel while others are computed; the bands' map follows the last tile. Headers and
        // control messages use the link too.
        let (tiles_s, bands_s) = (144.0 * 0.0005, 12.0 * 0.0005);
        let map_s = link_s(16 * 24 * 24 * 2 * 4);
        let range = tiles_s + map_s..tiles_s + bands_s + 1.2 * map_s;
        assert!(
            range.contains(&line.merged_s),
            "{} {range:?}",
            line.merged_s
        );
    }
}

#[test]
fn a_shared_channel_serves_one_pair_at_a_time() {
    let (apart, together) = (run_large(4, false), run_large(4, true));
    let sent = |line: &Timeline| -> u64 {
        let all = line.boards.iter().chain([&line.gateway]);
        all.map(|n| n.sent_bytes).sum()
    };
    assert!(together.merged_s >= link_s(together.gateway.objects_received_bytes));
    // All that is sent until the record is written passes the channel; a little follows it.
    assert!(together.written_s >= 0.95 * link_s(sent(&together)));
    // With links of their own, pairs of nodes send at the same time.
    assert!(apart.merged_s < together.merged_s);
}

#[test]
fn same_inputs_same_timeline() {
    let boards = [board(|k| 0.001 * k as f64), board(|_| 0.004)];
    let line = || run(&boards, GatewayTiming::default(), LinkTiming::default());
    assert_eq!(line(), line());
}

#[test]
fn inputs_without_sense_are_refused() {
    let refused = |boards: &[BoardTiming]| {
        let (gateway, links) = (GatewayTiming::default(), LinkTiming::default());
        timing::run(&info(), boards, &gateway, &links).expect_err("no timeline")
    };
    assert_eq!(refused(&[]), TimingError::NoBoard);
    let few = BoardTiming::new(vec![1.0; 3]);
    assert!(matches!(
        refused(&[few]),
        TimingError::Tasks { found: 3, .. }
    ));
    for seconds in [-1.0, f64::NAN, 1e9] {
        let wrong = refused(&[board(|_| seconds)]);
        assert!(matches!(wrong, TimingError::Seconds { .. }), "{wrong:?}");
    }
}
