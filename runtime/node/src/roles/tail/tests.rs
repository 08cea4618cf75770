use std::os::fd::AsFd;

use super::*;
use crate::roles::program_info;
use crate::{
    shm::{Layout, Segment, SegmentStore},
    testing::{PROGRAM, weights},
    wait::wait,
};
use tessera_plan::{
    dataflow::SlotCount,
    files::records::{ClassScore, Ending, Found, Record},
};
use tessera_protocol::{Incarnation, NodeId, store::Store};
use tessera_runtime::{element, weights::Use};

fn frame(number: u32) -> FrameId {
    FrameId {
        source: NodeId(3),
        incarnation: Incarnation(9),
        number: tessera_protocol::FrameNumber(number),
    }
}

/// Slots for three frames of up to 6 values.
fn store() -> SegmentStore {
    let info = program_info(&PROGRAM).unwrap();
    let slots = [SlotCount {
        bytes: 4 * 6,
        count: 3,
    }];
    let segment = Segment::create(&Layout::new(&info, &slots, 1, 1)).unwrap();
    SegmentStore::new(&segment, &slots).unwrap()
}

fn merged(store: &mut SegmentStore, number: u32, floats: &[f32]) -> MergedFrame {
    let slot = store.alloc(4 * floats.len()).unwrap();
    element::store(ElementType::F32, floats, store.bytes_mut(slot));
    MergedFrame {
        frame: frame(number),
        subject: Subject {
            source: 3,
            epoch: Some(9),
            frame: number,
            tag: 7,
            file: Some("a.jpg".into()),
            source_name: None,
            wrong: None,
        },
        captured: Captured::ago(5_000),
        image: ImageFrame {
            width: 3,
            height: 2,
            letterbox: false,
        },
        score: None,
        inputs: vec![store.lend(slot).unwrap()],
    }
}

/// The next `count` ends.
fn ends(tail: &Tail, waker: &Waker, count: usize) -> Vec<TailEnd> {
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
    std::fs::write(
        dir.path().join("names"),
        "zero\none\ntwo\nthree\nfour\nfive\n",
    )
    .unwrap();
    let args = Args {
        dump: Some(dir.path().join("dump")),
        names: Some(dir.path().join("names")),
        ..Args::default()
    };
    crate::roles::dump::check(&dir.path().join("dump")).unwrap();
    let weights = Weights::open(&weights(dir.path(), 0.5), &PROGRAM, Use::Tail).unwrap();
    let waker = Waker::new().unwrap();
    let mut store = store();
    let tail = Tail::start(&PROGRAM, weights, &args, waker.clone(), 3).unwrap();
    assert!(
        tail.submit(merged(&mut store, 0, &[f32::NAN; 6])),
        "panics inside"
    );
    assert!(
        tail.submit(merged(&mut store, 1, &[1.0; 5])),
        "another size"
    );
    assert!(tail.submit(merged(&mut store, 2, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])));
    let mut ends: Vec<_> = ends(&tail, &waker, 3)
        .into_iter()
        .map(|f| (f.frame, f.record.unwrap()))
        .collect();
    // Its age when it came is in its latency.
    let timing = ends[2].1.as_mut().and_then(|r| r.timing.take()).unwrap();
    assert!(timing.latency_ms >= 5.0, "{timing:?}");
    let best = |(class, label, score): (_, &str, _)| ClassScore {
        class,
        label: Some(label.into()),
        score,
    };
    let top = [
        (5, "five", 5.5),
        (4, "four", 4.5),
        (3, "three", 3.5),
        (2, "two", 2.5),
        (1, "one", 1.5),
    ]
    .map(best);
    let expected = Record {
        subject: Subject {
            source: 3,
            epoch: Some(9),
            frame: 2,
            tag: 7,
            file: Some("a.jpg".into()),
            source_name: None,
            wrong: None,
        },
        timing: None,
        width: 3,
        height: 2,
        ending: Ending::Computed(Found {
            detections: vec![],
            top: Some(top.into()),
        }),
    };
    assert_eq!(
        ends,
        [
            (frame(0), None),
            (frame(1), None),
            (frame(2), Some(expected))
        ]
    );
    let dumped = std::fs::read(dir.path().join("dump/layer_0.f32")).unwrap();
    let expected: Vec<u8> = [0.5f32, 1.5, 2.5, 3.5, 4.5, 5.5]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(dumped, expected);
}

#[test]
fn a_dump_that_fails_costs_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    let args = Args {
        dump: Some(dir.path().join("gone")),
        ..Args::default()
    };
    let weights = Weights::open(&weights(dir.path(), 0.5), &PROGRAM, Use::Tail).unwrap();
    let waker = Waker::new().unwrap();
    let mut store = store();
    let tail = Tail::start(&PROGRAM, weights, &args, waker.clone(), 1).unwrap();
    assert!(tail.submit(merged(&mut store, 0, &[0.0; 6])));
    let ends = ends(&tail, &waker, 1);
    assert!(ends[0].record.as_ref().unwrap().is_some());
}

#[test]
fn weights_that_were_written_to_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = weights(dir.path(), 0.5);
    let mapped = Weights::open(&path, &PROGRAM, Use::Tail).unwrap();
    let waker = Waker::new().unwrap();
    let mut store = store();
    let tail = Tail::start(&PROGRAM, mapped, &Args::default(), waker.clone(), 1).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // In place, as `cp` does; the clock of files ticks seldom.
    std::fs::write(&path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(tail.submit(merged(&mut store, 0, &[0.0; 6])));
    let ends = ends(&tail, &waker, 1);
    let e = ends[0].record.as_ref().unwrap_err().to_string();
    assert!(e.contains("changed while"), "{e}");
}
