//! Races, one by one: an edge alone, everybody else's datagrams by hand.

use std::net::SocketAddr;

use super::*;
use crate::{
    GATEWAY, Incarnation, NodeId, ObjectId,
    testkit::{self, TestStore},
    wire::{
        self, ChunkRange, ClusterState, Envelope, FrameStatus, FrameStatusEntry, LeaseRef,
        LostResult, LostResults, Message, Renew, Report, Request, Verdict, parse,
    },
};
use tessera_plan::dataflow::ObjectKey;

const ME: NodeId = NodeId(1);
pub(super) const LIFE: Incarnation = Incarnation(50);

pub(super) fn addr(id: NodeId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 100 + id.0))
}

/// What the edge was seen to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Heartbeat {
        seq: u32,
        frames: usize,
    },
    Lease {
        to: NodeId,
        request: u32,
        task: u32,
    },
    NoWork {
        to: NodeId,
    },
    ReportAck {
        to: NodeId,
        keep: bool,
    },
    Renewed {
        wanted: u64,
    },
    Results {
        task: u32,
        generation: u16,
        holder: NodeId,
    },
    Failed {
        request: u32,
        declined: bool,
    },
    StealClient {
        to: NodeId,
        request: u32,
    },
    Absent,
    Data,
    Other(MessageKind),
}

pub(super) struct EdgeAlone {
    pub info: Arc<ProgramInfo>,
    pub edge: Edge,
    pub store: TestStore,
    pub now_us: Micros,
    pub jobs: Vec<Job>,
    pub heartbeats: u32,
}

impl EdgeAlone {
    pub fn new(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut config = EdgeConfig::new(ME, LIFE, addr(GATEWAY), 1);
        config.jobs_max = 1;
        change(&mut config);
        let info = Arc::new(testkit::two_stages(2));
        let mut rig = Self {
            edge: Edge::new(config, Arc::clone(&info)),
            info,
            store: TestStore::default(),
            now_us: 1_000,
            jobs: Vec::new(),
            heartbeats: 0,
        };
        // The first beat does not know the gateway's life, the second names it.
        rig.sent();
        rig.state(&[]);
        rig.sent();
        rig.state(&[]);
        assert!(rig.edge.joined());
        rig
    }

    /// One with a frame of its own: it runs task 0 itself, the others are ready.
    pub fn source(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut rig = Self::new(change);
        assert!(rig.edge.wants_frame());
        let bytes = 4 * rig.info.tensors[0].region.len();
        let slot = rig.store.alloc(bytes).expect("a slot");
        let meta = FrameMeta::default();
        rig.input(EdgeInput::Frame { slot, meta });
        rig.sent();
        assert_eq!(rig.jobs.len(), 1);
        rig
    }

    pub fn input(&mut self, input: EdgeInput<'_>) {
        self.edge.handle(self.now_us, input, &mut self.store);
    }

    /// A datagram from somebody's life to this life.
    pub fn receive(&mut self, from: (NodeId, u64), message: &Message<'_>) {
        self.receive_for(from, LIFE, message);
    }

    pub fn receive_for(&mut self, from: (NodeId, u64), to: Incarnation, message: &Message<'_>) {
        let mut bytes = Vec::new();
        let envelope = Envelope {
            from: from.0,
            incarnation: Incarnation(from.1),
            to_incarnation: Some(to),
            plan: plan_prefix(&self.info),
        };
        message.encode(envelope, &mut bytes);
        let from = addr(from.0);
        let input = EdgeInput::Datagram {
            from,
            bytes: &bytes,
        };
        self.input(input);
    }

    /// The gateway's answer to the latest beat.
    pub fn state(&mut self, frames: &[FrameStatusEntry]) {
        let state = ClusterState {
            seq: self.heartbeats,
            verdict: Verdict::Welcome,
            work: false,
            frames,
            nodes: &[],
        };
        self.receive((GATEWAY, 7), &Message::State(state));
    }

    /// Drains the machine.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            match self.edge.poll(self.now_us, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    let (_, m) = parse(bytes, &self.info).expect("a sound datagram");
                    let to = NodeId(to.port() - 100);
                    if let Message::Heartbeat(b) = m {
                        self.heartbeats = b.seq;
                    }
                    sent.extend(translate(to, &m));
                }
                EdgeOutput::Run(job) => self.jobs.push(job),
                EdgeOutput::WaitUntil(_) => return sent,
                _ => {}
            }
        }
        panic!("it does not wait");
    }

    pub fn steal(&mut self, thief: (NodeId, u64), request: u32) -> Vec<Sent> {
        self.receive(thief, &Message::StealClient { request });
        self.sent()
    }

    pub fn done(&mut self, thief: (NodeId, u64), task: u32, request: u32) -> Vec<Sent> {
        self.receive(thief, &Message::Done(report(task, request)));
        self.sent()
    }
}

pub(super) fn report(task: u32, request: u32) -> Report {
    Report {
        number: 0,
        task,
        request,
    }
}

fn translate(to: NodeId, m: &Message<'_>) -> Vec<Sent> {
    vec![match *m {
        Message::Heartbeat(b) => Sent::Heartbeat {
            seq: b.seq,
            frames: b.frames.len(),
        },
        Message::Lease(l) => Sent::Lease {
            to,
            request: l.request,
            task: l.task,
        },
        Message::NoWork { .. } => Sent::NoWork { to },
        Message::ReportAck(r) => Sent::ReportAck { to, keep: r.keep },
        Message::Renewed { wanted, .. } => Sent::Renewed { wanted },
        Message::Results(r) => {
            let one = |t: &wire::ResultEntry| Sent::Results {
                task: t.task.get(),
                generation: t.generation.get(),
                holder: r.nodes[usize::from(t.holder)].id(),
            };
            return r.tasks.iter().map(one).collect();
        }
        Message::Failed(f) => Sent::Failed {
            request: f.report.request,
            declined: f.why == wire::FailureReason::Declined,
        },
        Message::StealClient { request } => Sent::StealClient { to, request },
        Message::Absent { .. } => Sent::Absent,
        Message::Data(_) => Sent::Data,
        _ => Sent::Other(m.kind()),
    }]
}

const THIEF: (NodeId, u64) = (NodeId(2), 9);
const OTHER: (NodeId, u64) = (NodeId(3), 9);

fn lease(sent: &[Sent]) -> (u32, u32) {
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
    assert_eq!(first, (5, 3));
    assert_eq!(lease(&rig.steal(THIEF, 5)), first);
    // An older one is old.
    assert_eq!(rig.steal(THIEF, 4), []);
    assert_eq!(rig.edge.stats().leases_issued, 1);
    assert_eq!(lease(&rig.steal(OTHER, 1)), (1, 2));
    assert_eq!(lease(&rig.steal(THIEF, 6)), (6, 1));
    // TaskState 0 runs here; the second stage waits.
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
    // Sent again, it is heard again.
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
    rig.done(OTHER, second, 77);
    let leases = [(task, 1), (second, 2)].map(|(task, request)| LeaseRef {
        number: 0.into(),
        task: task.into(),
        request: request.into(),
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
    let unknown = Report {
        number: 9,
        task: 1,
        request: 1,
    };
    rig.receive(THIEF, &Message::Done(unknown));
    let seen_us = Sent::ReportAck {
        to: THIEF.0,
        keep: false,
    };
    assert!(rig.sent().contains(&seen_us));
}

#[test]
fn a_new_life_has_neither_leases_nor_objects() {
    let mut rig = EdgeAlone::source(|_| {});
    rig.state(&[FrameStatusEntry::new(0, FrameStatus::Open)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    let (_, held) = lease(&rig.steal(THIEF, 2));
    let sent = rig.done(THIEF, task, 1);
    let result = |generation, holder| Sent::Results {
        task,
        generation,
        holder,
    };
    assert!(sent.contains(&result(0, THIEF.0)));
    let newer = (THIEF.0, THIEF.1 + 1);
    assert_eq!(lease(&rig.steal(newer, 1)), (1, task));
    assert_eq!(lease(&rig.steal(newer, 2)), (2, held));
    let s = rig.edge.stats();
    assert_eq!((s.leases_orphaned, s.tasks_unmade), (1, 1));
    // The old life's word counts no more.
    assert_eq!(rig.done(THIEF, held, 2), []);
    assert_eq!(
        rig.edge.stats().traffic.rejected.get(wire::Reject::Stale),
        1
    );
    assert!(rig.done(newer, task, 1).contains(&result(1, THIEF.0)));
}

#[test]
fn lost_results_are_made_again_once() {
    let mut rig = EdgeAlone::source(|_| {});
    rig.state(&[FrameStatusEntry::new(0, FrameStatus::Open)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    rig.done(THIEF, task, 1);
    let lost = [LostResult {
        task: task.into(),
        generation: 0.into(),
        holder: THIEF.0.0.into(),
        incarnation: THIEF.1.into(),
    }];
    let lost = LostResults {
        number: 0,
        tasks: &lost,
    };
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.sent();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
    // Whoever could not give it need not say again that he has it.
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
    // An old complaint is about the old make.
    rig.receive((GATEWAY, 7), &Message::Lost(lost));
    rig.sent();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
}

#[test]
fn requests_for_another_life_are_answered_absent() {
    let mut rig = EdgeAlone::source(|_| {});
    let ranges = [ChunkRange {
        start: 0.into(),
        count: 1.into(),
    }];
    let request = |incarnation| Request {
        pull: 4,
        object: ObjectId {
            frame: FrameId {
                source: ME,
                incarnation,
                number: 0,
            },
            key: ObjectKey::Frame,
        },
        region: testkit::region([0, 2], [0, 2], 2),
        element: tessera_plan::plan::ElementType::F32,
        chunk_bytes: 32,
        ranges: &ranges,
    };
    rig.receive(THIEF, &Message::Pull(request(LIFE)));
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
    rig.state(&[FrameStatusEntry::new(0, FrameStatus::Open)]);
    let (_, task) = lease(&rig.steal(THIEF, 1));
    let sent = rig.done(THIEF, task, 1);
    assert!(sent.iter().any(|s| matches!(s, Sent::Results { .. })));
    rig.now_us += 1_000_000;
    rig.sent();
    let refused = ClusterState {
        seq: rig.heartbeats,
        verdict: Verdict::Refused(Refusal::Superseded),
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
    // Taken in again, it says what it has.
    rig.now_us += 2_000_000;
    rig.sent();
    rig.state(&[]);
    assert!(rig.edge.joined());
    let sent = rig.sent();
    assert!(sent.iter().any(|s| matches!(s, Sent::Results { .. })));
}
