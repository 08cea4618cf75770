use std::os::fd::AsFd;

use super::*;
use crate::{
    roles::{
        testing::{PROGRAM, weights},
        wait::wait,
    },
    shm::{Layout, Segment, SegmentStore},
};
use tessera_plan::dataflow::SlotCount;
use tessera_protocol::{Incarnation, NodeId, ProgramInfo, store::Store};
use tessera_runtime::weights::Use;

fn frame(number: u32) -> FrameId {
    FrameId {
        source: NodeId(3),
        incarnation: Incarnation(9),
        number,
    }
}

/// Slots for three frames of up to 6 values.
fn store() -> SegmentStore {
    let info = ProgramInfo {
        plan_hash: PROGRAM.plan_hash,
        model_digest: PROGRAM.model_digest,
        graph: PROGRAM.task_graph().unwrap(),
    };
    let slots = [SlotCount {
        bytes: 4 * 6,
        count: 3,
    }];
    let segment = Segment::create(&Layout::new(&info, &slots, 1, 1)).unwrap();
    SegmentStore::new(&segment, &slots).unwrap()
}

fn job(store: &mut SegmentStore, number: u32, floats: &[f32]) -> Job {
    let slot = store.alloc(4 * floats.len()).unwrap();
    store.floats_mut(slot).copy_from_slice(floats);
    Job {
        frame: frame(number),
        subject: Subject {
            source: 3,
            epoch: Some(9),
            frame: number,
            tag: 7,
            file: None,
        },
        image: ImageFrame {
            width: 3,
            height: 2,
            letterbox: false,
        },
        inputs: vec![store.lend(slot).unwrap()],
    }
}

/// The next `count` finished jobs.
fn ends(tail: &Tail, waker: &Waker, count: usize) -> Vec<Finished> {
    let mut all = Vec::new();
    for _ in 0..count {
        if all.len() == count {
            break;
        }
        wait([waker.as_fd()], 60_000_000).unwrap();
        waker.clear();
        all.extend(std::iter::from_fn(|| tail.next()));
    }
    all
}

#[test]
fn every_frame_is_answered_and_only_good_ones_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let args = Args {
        dump: Some(dir.path().join("dump")),
        ..Args::default()
    };
    let file = dir.path().join("records.jsonl");
    let records = Arc::new(Mutex::new(Records::open(Some(&file)).unwrap()));
    let weights = Weights::open(&weights(dir.path(), 0.5), &PROGRAM, Use::Tail).unwrap();
    let waker = Waker::new().unwrap();
    let mut store = store();
    let tail = Tail::start(&PROGRAM, weights, &args, records, waker.clone(), 3).unwrap();
    assert!(
        tail.submit(job(&mut store, 0, &[f32::NAN; 6])),
        "panics inside"
    );
    assert!(tail.submit(job(&mut store, 1, &[1.0; 5])), "another size");
    assert!(tail.submit(job(&mut store, 2, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])));
    let ends: Vec<_> = ends(&tail, &waker, 3)
        .into_iter()
        .map(|f| (f.frame, f.written.unwrap()))
        .collect();
    assert_eq!(
        ends,
        [(frame(0), false), (frame(1), false), (frame(2), true)]
    );

    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
    let r = &lines[0];
    assert_eq!(
        (
            &r["source"],
            &r["epoch"],
            &r["frame"],
            &r["tag"],
            &r["width"]
        ),
        (&3.into(), &9.into(), &2.into(), &7.into(), &3.into())
    );
    assert_eq!(r["top"][0]["class"], 5);
    assert_eq!(r["top"][0]["score"], 5.5);
    let dumped = std::fs::read(dir.path().join("dump/layer_0.f32")).unwrap();
    let expected: Vec<u8> = [0.5f32, 1.5, 2.5, 3.5, 4.5, 5.5]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(dumped, expected);
}

#[test]
fn a_record_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(Some(std::path::Path::new("/dev/full"))).unwrap();
    let records = Arc::new(Mutex::new(records));
    let weights = Weights::open(&weights(dir.path(), 0.5), &PROGRAM, Use::Tail).unwrap();
    let waker = Waker::new().unwrap();
    let mut store = store();
    let tail = Tail::start(
        &PROGRAM,
        weights,
        &Args::default(),
        records,
        waker.clone(),
        1,
    )
    .unwrap();
    assert!(tail.submit(job(&mut store, 0, &[0.0; 6])));
    let ends = ends(&tail, &waker, 1);
    let e = ends[0].written.as_ref().unwrap_err();
    assert!(e.to_string().contains("record"), "{e}");
}
