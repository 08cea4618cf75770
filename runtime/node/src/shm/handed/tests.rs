use super::*;
use crate::shm::{Dispatcher, Layout, Taker, entry::PieceAt};
use tessera_plan::dataflow::Port;
use tessera_runtime::{
    element,
    program::{Placement, TensorSpec},
};

const fn port(tensor: u16) -> Port {
    Port {
        tensor,
        region: Region::new([0, 2], [0, 4], [0, 4]),
    }
}

const TASK: TaskSpec = TaskSpec {
    stage: 0,
    home: 0,
    row: 0,
    col: 0,
    inputs: &[port(0), port(1)],
    outputs: &[port(2), port(3)],
    arena_floats: 0,
    macs: 0,
    run: |io| {
        for k in 0..2 {
            let x = io.inputs[k][0].floats();
            for (y, x) in io.floats_out(k).iter_mut().zip(x) {
                *y = x + 1.0;
            }
        }
    },
};

const TENSOR: TensorSpec = TensorSpec {
    layer: 0,
    h: 2,
    w: 4,
    c: 4,
    element: ElementType::F32,
    scales: None,
};

static PROGRAM: Program = Program {
    tensors: &[TENSOR, TENSOR, TENSOR, TENSOR],
    tasks: &[TASK],
    placement: Placement::Steal,
    boards: 1,
    frames_in_flight: 2,
    stage_starts: &[0, 1],
    ..crate::testing::ADDER
};

/// A piece of 32 values, two lines long.
fn piece(port: PortIx, place: u32) -> PieceAt {
    PieceAt {
        port,
        place,
        region: Region::new([0, 2], [0, 4], [0, 4]),
        rows: ALL_ROWS,
    }
}

fn pieces() -> Vec<PieceAt> {
    vec![
        piece(PortIx::Input(0), 0),
        piece(PortIx::Input(1), 2),
        piece(PortIx::Output(0), 4),
        piece(PortIx::Output(1), 6),
    ]
}

/// Leases a job with these pieces, checks and runs it.
fn hand(task: u32, pieces: Vec<PieceAt>) -> Result<Segment, BadJob> {
    let layout = Layout {
        plan_hash: [0; 32],
        jobs: 1,
        workers: 1,
        pieces: 16,
        slot_bytes: 4096,
    };
    let s = Segment::create(&layout).unwrap();
    let mut owner = Dispatcher::new(s.deque(), s.states(), s.entries(), &layout);
    let taker = Taker::new(s.deque(), s.states(), s.entries(), &layout, 0);
    let content = Content { task, pieces };
    owner.submit(&content).unwrap();
    let mut lease = taker.lease().unwrap();
    let mut read = Content::default();
    taker.read(&lease, &mut read).unwrap();
    // SAFETY: lease and content are this table's, and nobody else uses the segment.
    let handed = unsafe { Handed::new(&mut lease, &s, &read, &PROGRAM) };
    let mut handed = handed?;
    assert_eq!(handed.bytes(), 4 * 4 * 32);
    handed.run(&[], &mut [], &Team::solo());
    assert!(taker.finish(lease, true, 0));
    Ok(s)
}

#[test]
fn outputs_are_written_in_place() {
    let s = hand(0, pieces()).unwrap();
    let made = s.bytes(4, 4 * 64).unwrap();
    // SAFETY: the only job is finished, nobody else uses the segment.
    assert_eq!(element::floats(unsafe { made.as_ref() }), [1.0; 64]);
}

fn bad(change: impl FnOnce(&mut Vec<PieceAt>)) -> BadJob {
    let mut p = pieces();
    change(&mut p);
    hand(0, p).expect_err("must be refused")
}

#[test]
fn pieces_outside_are_refused() {
    assert_eq!(bad(|p| p[0].place = 63), BadJob::Outside(0));
    assert_eq!(bad(|p| p[3].place = u32::MAX), BadJob::Outside(3));
    assert_eq!(
        bad(|p| p[1].region.y = Span::new(0, u32::MAX as usize)),
        BadJob::Outside(1)
    );
    assert_eq!(bad(|p| p[1].region.x = Span::new(3, 2)), BadJob::Outside(1));
    let everything = Span::new(0, u32::MAX as usize);
    let all = |r: &mut Region| (r.y, r.x, r.c) = (everything, everything, everything);
    assert_eq!(bad(|p| all(&mut p[0].region)), BadJob::Outside(0));
}

#[test]
fn outputs_that_overlap_anything_are_refused() {
    assert_eq!(bad(|p| p[2].place = 1), BadJob::Overlap(2, 0));
    assert_eq!(bad(|p| p[3].place = 2), BadJob::Overlap(3, 1));
    assert_eq!(bad(|p| p[3].place = 5), BadJob::Overlap(2, 3));
    assert_eq!(bad(|p| p[3].place = 4), BadJob::Overlap(2, 3));
    // Inputs may overlap each other.
    let mut p = pieces();
    p[1].place = 1;
    assert!(hand(0, p).is_ok());
}

#[test]
fn ports_and_tasks_that_do_not_exist_are_refused() {
    assert_eq!(hand(1, pieces()).unwrap_err(), BadJob::Task(1));
    assert_eq!(bad(|p| p[0].port = PortIx::Input(2)), BadJob::Port(0));
    assert_eq!(bad(|p| p[2].port = PortIx::Output(2)), BadJob::Port(2));
    assert_eq!(bad(|p| p[3].port = PortIx::Output(0)), BadJob::Output(0));
    assert_eq!(bad(|p| p.truncate(3)), BadJob::Output(1));
}
