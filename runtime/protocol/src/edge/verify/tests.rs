//! Which tasks are chosen, and what a machine does with a report of one.

use super::chosen::chosen;
use crate::{
    FrameNumber, NodeId, TaskId, Verify,
    edge::edge_alone::{EdgeAlone, Sent},
    edge::{EdgeInput, Job},
    store::Store,
    wire::{FrameStatus, FrameStatusEntry, Message, MessageKind},
};

const THIEF: (NodeId, u64) = (NodeId(5), 3);
const OTHER: (NodeId, u64) = (NodeId(6), 3);

#[test]
fn the_share_is_met_and_only_the_seed_tells_which() {
    let picked = |ppm, seed| -> Vec<u32> {
        let verify = Verify { ppm, seed };
        let all = (0..2000).filter(|t| chosen(verify, (FrameNumber(t / 16), 0), TaskId(t % 16)));
        all.collect()
    };
    assert!(picked(0, 1).is_empty());
    assert_eq!(picked(Verify::ALL_PPM, 1).len(), 2000);
    let tenth = picked(100_000, 1);
    assert!((150..250).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(tenth, picked(100_000, 1));
    let other = picked(100_000, 2);
    let both = tenth.iter().filter(|t| other.contains(t)).count();
    assert!(both < 60, "{both}");
    // Another attempt at a frame is checked at other places.
    let verify = Verify {
        ppm: 500_000,
        seed: 3,
    };
    let of = |attempt| -> Vec<bool> {
        let frame = (FrameNumber(1), attempt);
        (0..64).map(|t| chosen(verify, frame, TaskId(t))).collect()
    };
    assert_ne!(of(0), of(1));
}

fn lease(sent: &[Sent]) -> TaskId {
    let found = sent.iter().find_map(|s| match s {
        Sent::Lease { task, .. } => Some(*task),
        _ => None,
    });
    found.expect("a lease")
}

/// A source that checks everything, whose frame the gateway has opened.
fn checking() -> EdgeAlone {
    let mut rig = EdgeAlone::source(|c| {
        c.verify = Verify {
            ppm: Verify::ALL_PPM,
            seed: 1,
        }
    });
    rig.state(&[FrameStatusEntry::new(FrameNumber(0), FrameStatus::Open, 1)]);
    rig.sent();
    rig
}

/// Ends the job that runs, with these bytes in its outputs; returns what was sent and the job.
fn compute(rig: &mut EdgeAlone, byte: u8) -> (Vec<Sent>, Job) {
    let job = rig.jobs.pop().expect("a job");
    for slot in &job.outputs {
        rig.store.bytes_mut(*slot).fill(byte);
    }
    rig.input(EdgeInput::Done { job: job.id });
    (rig.sent(), job)
}

#[test]
fn what_others_made_counts_when_this_node_has_made_it_too() {
    let mut rig = checking();
    let task = lease(&rig.steal(THIEF, 1));
    let kept = Sent::ReportAck {
        to: THIEF.0,
        keep: true,
    };
    assert!(rig.done(THIEF, task, 1).contains(&kept));
    // A repeated report gets the same answer and changes nothing.
    assert!(rig.done(THIEF, task, 1).contains(&kept));
    assert_eq!(rig.edge.stats().checks.begun, 1);
    // No other node gets it.
    let mut given = Vec::new();
    for request in 1..4 {
        let sent = rig.steal(OTHER, request);
        given.extend(sent.iter().filter_map(|s| match s {
            Sent::Lease { task, .. } => Some(*task),
            _ => None,
        }));
    }
    assert!(!given.contains(&task) && !given.is_empty(), "{given:?}");
    // It runs here, and is then asked for there.
    let mut asked = false;
    for _ in 0..6 {
        if rig.jobs.is_empty() {
            break;
        }
        let (sent, job) = compute(&mut rig, 7);
        let pulls = sent.contains(&Sent::Other(MessageKind::Pull));
        assert_eq!(pulls, job.task == task, "{sent:?}");
        asked |= pulls;
    }
    assert!(asked);
    // The board has nothing: what was made here counts, and nobody is accused.
    rig.receive(
        THIEF,
        &Message::Absent {
            pull: crate::PullId(1),
        },
    );
    rig.sent();
    let checks = &rig.edge.stats().checks;
    assert_eq!((checks.unanswered, checks.differed), (1, 0));
    assert!(checks.wrong.is_empty());
}
