//! Races between datagrams at an edge, one test for each race.

use super::{
    edge_alone::{EdgeAlone, INCARNATION, ME, Sent, addr},
    *,
};
use crate::GATEWAY;
use crate::{
    Incarnation, NodeId, PullId, RequestId, TaskId, Ticket, testkit,
    wire::{
        ChunkRange, ClusterState, Finished, FrameStatus, FrameStatusEntry, LeaseRef, LostResult,
        LostResults, Message, NodeStatus, NodeStatusEntry, PeerAddress, Renew, Report, Request,
        ResultNote, ResultsAck, Verdict,
    },
};
use tessera_plan::dataflow::{ObjectKey, TaskGraph};

const THIEF: (NodeId, u64) = (NodeId(2), 9);
const OTHER: (NodeId, u64) = (NodeId(3), 9);

/// The gateway's statement that a process is its node's present one.
fn status(of: (NodeId, u64)) -> NodeStatusEntry {
    NodeStatusEntry::new(NodeStatus {
        node: PeerAddress::new(of.0, Incarnation(of.1), addr(of.0)),
        alive: true,
        floor: FrameNumber(0),
        ended: 0,
    })
}

fn lease(sent: &[Sent]) -> (u32, TaskId) {
    let found = sent.iter().find_map(|s| match s {
        Sent::Lease { request, task, .. } => Some((*request, *task)),
        _ => None,
    });
    found.expect("a lease")
}

#[test]
fn a_repeated_request_gets_the_same_lease() {
    let mut rig = EdgeAlone::source(|_| {});
    let first = lease(&rig.steal(THIEF, 5));
    assert_eq!(first, (5, TaskId(3)));
    assert_eq!(lease(&rig.steal(THIEF, 5)), first);
    // A request older than the latest is stale.
    assert_eq!(rig.steal(THIEF, 4), []);
    assert_eq!(rig.edge.stats().leases_issued, 1);
    assert_eq!(lease(&rig.steal(OTHER, 1)), (1, TaskId(2)));
    assert_eq!(lease(&rig.steal(THIEF, 6)), (6, TaskId(1)));
    // Task 0 runs here; the second stage waits.
    assert_eq!(rig.steal(OTHER, 2), [Sent::NoWork { to: OTHER.0 }]);
    assert_eq!(rig.steal(OTHER, 2), [Sent::NoWork { to: OTHER.0 }]);
}

#[test]
fn a_late_result_counts_and_a_second_one_does_not() {
    let mut rig = EdgeAlone::source(|c| c.lease_us = 100_000);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    for _ in 0..4 {
        rig.now_us += 30_000;
        rig.sent();
    }
    assert_eq!(rig.edge.stats().leases_expired, 1);
    assert_eq!(lease(&rig.steal(OTHER, 1)), (1, task));
    assert_eq!(rig.edge.stats().tasks_reissued, 1);
    let sent = rig.done(THIEF, task, 1);
    assert!(sent.contains(&Sent::ReportAck {
        to: THIEF.0,
        keep: true
    }));
    let sent = rig.done(OTHER, task, 1);
    assert!(sent.contains(&Sent::ReportAck {
        to: OTHER.0,
        keep: false
    }));
    // A report sent again is acknowledged again.
    let sent = rig.done(THIEF, task, 1);
    assert!(sent.contains(&Sent::ReportAck {
        to: THIEF.0,
        keep: true
    }));
    assert_eq!(rig.edge.stats().tasks_by_node[&THIEF.0], 1);
}

#[test]
fn renewals_keep_leases_and_tell_what_is_not_wanted() {
    let mut rig = EdgeAlone::source(|c| c.lease_us = 100_000);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    let (_, second) = lease(&rig.steal(THIEF, 2));
    // Another board finishes it after all, whose lease had run out.
    rig.done(THIEF, second, 2);
    let leases = [(task, 1), (second, 2)].map(|(task, request)| LeaseRef {
        number: FrameNumber(0).into(),
        task: task.into(),
        request: RequestId(request).into(),
    });
    for seq in 1..10 {
        rig.now_us += 40_000;
        let renew = Renew {
            seq,
            leases: &leases,
        };
        rig.receive(THIEF, &Message::Renew(renew));
        assert!(rig.sent().contains(&Sent::Renewed { wanted: 0b01 }));
    }
    assert_eq!(rig.edge.stats().leases_expired, 0);
    assert!(rig.edge.stats().leases_renewed > 0);
}

#[test]
fn reports_about_nothing_known_are_answered() {
    let mut rig = EdgeAlone::source(|_| {});
    let report = Report {
        number: FrameNumber(9),
        task: TaskId(1),
        request: RequestId(1),
    };
    let arithmetic = 0;
    rig.receive(THIEF, &Message::Done(Finished { report, arithmetic }));
    let seen_us = Sent::ReportAck {
        to: THIEF.0,
        keep: false,
    };
    assert!(rig.sent().contains(&seen_us));
}

#[test]
fn a_new_incarnation_has_neither_leases_nor_objects() {
    let mut rig = EdgeAlone::source(|_| {});
    rig.state(&[FrameStatusEntry::new(FrameNumber(0), FrameStatus::Open, 1)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    let (_, held) = lease(&rig.steal(THIEF, 2));
    let sent = rig.done(THIEF, task, 1);
    let result = |generation, holder| Sent::Results {
        task,
        generation,
        holder,
    };
    assert!(sent.contains(&result(0, THIEF.0)));
    // Another process of the thief: its number is smaller, and it says nothing about the end of the first.
    let newer = (THIEF.0, THIEF.1 - 1);
    let given = rig.steal(newer, 1);
    let leases = given.iter().filter(|s| matches!(s, Sent::Lease { .. }));
    assert_eq!(leases.count(), 1);
    assert_eq!(rig.edge.stats().leases_orphaned, 0);
    // The answer to an earlier heartbeat does not tell which process ended; the gateway's next answer names the
    // node's process.
    rig.now_us += 250_000;
    rig.sent();
    rig.state_of(&[], &[status(newer)]);
    assert_eq!(lease(&rig.steal(newer, 2)), (2, task));
    assert_eq!(lease(&rig.steal(newer, 3)), (3, held));
    let s = rig.edge.stats();
    assert_eq!((s.leases_orphaned, s.tasks_unmade), (1, 1));
    assert!(rig.done(newer, task, 2).contains(&result(1, THIEF.0)));
}

#[test]
fn lost_results_are_made_again_once() {
    let mut rig = EdgeAlone::source(|_| {});
    rig.state(&[FrameStatusEntry::new(FrameNumber(0), FrameStatus::Open, 1)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    rig.done(THIEF, task, 1);
    let lost = [LostResult {
        task: task.into(),
        generation: 0.into(),
        holder: THIEF.0.into(),
        incarnation: Incarnation(THIEF.1).into(),
    }];
    let lost = LostResults {
        attempt: 0,
        number: FrameNumber(0),
        tasks: &lost,
    };
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.sent();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
    // A holder that could not deliver need not claim the outputs again.
    let sent = rig.done(THIEF, task, 1);
    assert!(sent.contains(&Sent::ReportAck {
        to: THIEF.0,
        keep: false
    }));
    let again = (
        rig.steal(OTHER, 1),
        rig.steal(OTHER, 2),
        rig.steal(OTHER, 3),
    );
    let tasks = [&again.0, &again.1, &again.2].map(|s| lease(s).1);
    assert!(tasks.contains(&task));
    rig.done(OTHER, task, 1);
    // A late `Lost` message is about the earlier generation.
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.sent();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
}

#[test]
fn requests_for_another_incarnation_are_answered_absent() {
    let mut rig = EdgeAlone::source(|_| {});
    let ranges = [ChunkRange {
        start: 0.into(),
        count: 1.into(),
    }];
    let request = |incarnation| Request {
        pull: PullId(4),
        object: ObjectId {
            frame: FrameId {
                source: ME,
                incarnation,
                number: FrameNumber(0),
            },
            key: ObjectKey::Frame,
        },
        region: testkit::region([0, 2], [0, 2], 2),
        element: tessera_plan::element::ElementType::F32,
        run: 0,
        chunk_bytes: 32,
        ranges: &ranges,
    };
    rig.receive(THIEF, &Message::Pull(request(INCARNATION)));
    assert!(rig.sent().contains(&Sent::Data));
    rig.receive_for(
        THIEF,
        Incarnation(49),
        &Message::Pull(request(Incarnation(49))),
    );
    assert_eq!(rig.sent(), [Sent::Absent]);
    rig.receive(THIEF, &Message::Grant(request(Incarnation(49))));
    assert_eq!(rig.sent(), [Sent::Absent]);
}

#[test]
fn a_node_that_is_refused_keeps_its_results_to_itself() {
    let mut rig = EdgeAlone::source(|_| {});
    rig.state(&[FrameStatusEntry::new(FrameNumber(0), FrameStatus::Open, 1)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    let sent = rig.done(THIEF, task, 1);
    assert!(sent.iter().any(|s| matches!(s, Sent::Results { .. })));
    rig.now_us += 1_000_000;
    rig.sent();
    let refused = ClusterState {
        seq: rig.heartbeats,
        verdict: Verdict::Refused(Refusal::IdInUse),
        ticket: Ticket::default(),
        contested: false,
        work: false,
        frames: &[],
        nodes: &[],
    };
    rig.receive((GATEWAY, 7), &Message::State(refused));
    rig.sent();
    for _ in 0..20 {
        rig.now_us += 100_000;
        let sent = rig.sent();
        assert!(!sent.iter().any(|s| matches!(s, Sent::Results { .. })));
    }
    // After the gateway accepts the node again, the node reports its results.
    rig.now_us += 2_000_000;
    rig.sent();
    rig.state(&[]);
    assert!(rig.edge.joined());
    let sent = rig.sent();
    assert!(sent.iter().any(|s| matches!(s, Sent::Results { .. })));
}

/// A program whose tail reads only what the second stage makes.
fn second_stage_for_tail() -> ProgramInfo {
    let mut info = testkit::two_stages(2);
    let (tensors, tasks) = (info.graph.tensors.clone(), info.graph.tasks.clone());
    info.graph = TaskGraph::new(tensors, tasks, vec![2]).expect("a graph");
    info
}

#[test]
fn outputs_that_nothing_needs_again_are_freed() {
    let mut rig = EdgeAlone::of(second_stage_for_tail(), |_| {});
    rig.bring_frame();
    let run_next = |rig: &mut EdgeAlone| {
        let job = rig.jobs.pop().expect("a job");
        rig.input(EdgeInput::Done { job: job.id });
        rig.sent();
        rig.edge.stats().slots
    };
    for _ in 0..4 {
        run_next(&mut rig);
    }
    // The frame, four tiles, and the output of the first of two bands, which both read all tiles.
    assert_eq!(rig.edge.stats().slots, 1 + 4 + 1);
    assert_eq!(run_next(&mut rig), 1 + 4 + 2);
    assert_eq!(run_next(&mut rig), 1 + 2);
}

#[test]
fn outputs_whose_readers_ran_elsewhere_are_kept() {
    let mut rig = EdgeAlone::of(second_stage_for_tail(), |_| {});
    rig.bring_frame();
    for _ in 0..4 {
        let job = rig.jobs.pop().expect("a job");
        rig.input(EdgeInput::Done { job: job.id });
        rig.sent();
    }
    let (request, band) = lease(&rig.steal(THIEF, 1));
    rig.done(THIEF, band, request);
    let job = rig.jobs.pop().expect("the other band");
    rig.input(EdgeInput::Done { job: job.id });
    rig.sent();
    // The thief may be lost, and its band be run again.
    assert_eq!(rig.edge.stats().slots, 1 + 4 + 1);
}

#[test]
fn an_answer_about_who_makes_a_task_is_none_about_its_result() {
    // Chunks so small that every result has enough of them to be announced.
    let mut rig = EdgeAlone::source(|c| c.transfer.chunk_bytes = 4);
    rig.state(&[FrameStatusEntry::new(FrameNumber(0), FrameStatus::Open, 1)]);
    let mut sent = rig.steal(THIEF, 1);
    let (_, task) = lease(&sent);
    sent.extend(rig.sent());
    let holder = THIEF.0;
    assert!(sent.contains(&Sent::Announced { task, holder }), "{sent:?}");
    let result = Sent::Results {
        task,
        generation: 0,
        holder,
    };
    assert!(rig.done(THIEF, task, 1).contains(&result));
    let ack = |early: u8| {
        [ResultNote {
            task: task.into(),
            generation: 0.into(),
            merged: 0,
            early,
        }]
    };
    for (early, repeats) in [(1, true), (0, false)] {
        let ack = ResultsAck {
            number: FrameNumber(0),
            attempt: 0,
            tasks: &ack(early),
        };
        rig.receive((GATEWAY, 7), &Message::ResultsAck(ack));
        let mut again = rig.sent();
        for _ in 0..10 {
            rig.now_us += 100_000;
            again.extend(rig.sent());
        }
        assert_eq!(again.contains(&result), repeats, "{again:?}");
    }
}
