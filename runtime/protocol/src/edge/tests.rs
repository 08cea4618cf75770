//! Races, one by one: an edge alone, everybody else's datagrams by hand.

use std::net::SocketAddr;

use super::*;
use crate::{
    Epoch, GATEWAY, NodeId, ObjectId,
    testkit::{self, Heap},
    wire::{
        self, ChunkRange, Envelope, FrameNote, LeaseRef, LostResult, LostResults, Message, Renew,
        Report, Request, Stand, State, Verdict, parse,
    },
};
use tessera_plan::dataflow::Part;

const ME: NodeId = NodeId(1);
pub(super) const LIFE: Epoch = Epoch(50);

pub(super) fn addr(id: NodeId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 100 + id.0))
}

/// What the edge was seen to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Beat {
        seq: u32,
        frames: usize,
    },
    Lease {
        to: NodeId,
        ask: u32,
        task: u32,
    },
    NoWork {
        to: NodeId,
    },
    Reported {
        to: NodeId,
        keep: bool,
    },
    Renewed {
        wanted: u64,
    },
    Results {
        task: u32,
        make: u16,
        holder: NodeId,
    },
    Failed {
        ask: u32,
        declined: bool,
    },
    StealAsk {
        to: NodeId,
        ask: u32,
    },
    Absent,
    Data,
    Other(Kind),
}

pub(super) struct Rig {
    pub info: Arc<ProgramInfo>,
    pub edge: Edge,
    pub store: Heap,
    pub now: Now,
    pub jobs: Vec<Job>,
    pub beats: u32,
}

impl Rig {
    pub fn new(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut config = EdgeConfig::new(ME, LIFE, addr(GATEWAY), 1);
        config.max_jobs = 1;
        change(&mut config);
        let info = Arc::new(testkit::two_stages(2));
        let mut rig = Self {
            edge: Edge::new(config, Arc::clone(&info)),
            info,
            store: Heap::default(),
            now: 1_000,
            jobs: Vec::new(),
            beats: 0,
        };
        // The first beat does not know the gateway's life, the second names it.
        rig.said();
        rig.state(&[]);
        rig.said();
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
        rig.said();
        assert_eq!(rig.jobs.len(), 1);
        rig
    }

    pub fn input(&mut self, input: EdgeInput<'_>) {
        self.edge.handle(self.now, input, &mut self.store);
    }

    /// A datagram from somebody's life to this life.
    pub fn hear(&mut self, from: (NodeId, u64), message: &Message<'_>) {
        self.hear_for(from, LIFE, message);
    }

    pub fn hear_for(&mut self, from: (NodeId, u64), to: Epoch, message: &Message<'_>) {
        let mut bytes = Vec::new();
        let envelope = Envelope {
            from: from.0,
            epoch: Epoch(from.1),
            to_epoch: Some(to),
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
    pub fn state(&mut self, frames: &[FrameNote]) {
        let state = State {
            seq: self.beats,
            verdict: Verdict::Welcome,
            work: false,
            frames,
            book: &[],
        };
        self.hear((GATEWAY, 7), &Message::State(state));
    }

    /// Drains the machine.
    pub fn said(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        for _ in 0..10_000 {
            match self.edge.poll(self.now, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    let (_, m) = parse(bytes, &self.info).expect("a sound datagram");
                    let to = NodeId(to.port() - 100);
                    if let Message::Beat(b) = m {
                        self.beats = b.seq;
                    }
                    said.extend(translate(to, &m));
                }
                EdgeOutput::Run(job) => self.jobs.push(job),
                EdgeOutput::WaitUntil(_) => return said,
                _ => {}
            }
        }
        panic!("it does not wait");
    }

    pub fn ask(&mut self, thief: (NodeId, u64), ask: u32) -> Vec<Said> {
        self.hear(thief, &Message::StealAsk { ask });
        self.said()
    }

    pub fn done(&mut self, thief: (NodeId, u64), task: u32, ask: u32) -> Vec<Said> {
        self.hear(thief, &Message::Done(report(task, ask)));
        self.said()
    }
}

pub(super) fn report(task: u32, ask: u32) -> Report {
    Report {
        number: 0,
        task,
        ask,
    }
}

fn translate(to: NodeId, m: &Message<'_>) -> Vec<Said> {
    vec![match *m {
        Message::Beat(b) => Said::Beat {
            seq: b.seq,
            frames: b.frames.len(),
        },
        Message::Lease(l) => Said::Lease {
            to,
            ask: l.ask,
            task: l.task,
        },
        Message::NoWork { .. } => Said::NoWork { to },
        Message::Reported(r) => Said::Reported { to, keep: r.keep },
        Message::Renewed { wanted, .. } => Said::Renewed { wanted },
        Message::Results(r) => {
            let one = |t: &wire::ResultEntry| Said::Results {
                task: t.task.get(),
                make: t.make.get(),
                holder: r.nodes[usize::from(t.holder)].id(),
            };
            return r.tasks.iter().map(one).collect();
        }
        Message::Failed(f) => Said::Failed {
            ask: f.report.ask,
            declined: f.why == wire::Why::Declined,
        },
        Message::StealAsk { ask } => Said::StealAsk { to, ask },
        Message::Absent { .. } => Said::Absent,
        Message::Data(_) => Said::Data,
        _ => Said::Other(m.kind()),
    }]
}

const THIEF: (NodeId, u64) = (NodeId(2), 9);
const OTHER: (NodeId, u64) = (NodeId(3), 9);

fn lease(said: &[Said]) -> (u32, u32) {
    let found = said.iter().find_map(|s| match s {
        Said::Lease { ask, task, .. } => Some((*ask, *task)),
        _ => None,
    });
    found.expect("a lease")
}

#[test]
fn a_repeated_request_gets_the_same_lease() {
    let mut rig = Rig::source(|_| {});
    let first = lease(&rig.ask(THIEF, 5));
    assert_eq!(first, (5, 3));
    assert_eq!(lease(&rig.ask(THIEF, 5)), first);
    // An older one is old.
    assert_eq!(rig.ask(THIEF, 4), []);
    assert_eq!(rig.edge.stats().leases_issued, 1);
    assert_eq!(lease(&rig.ask(OTHER, 1)), (1, 2));
    assert_eq!(lease(&rig.ask(THIEF, 6)), (6, 1));
    // Task 0 runs here; the second stage waits.
    assert_eq!(rig.ask(OTHER, 2), [Said::NoWork { to: OTHER.0 }]);
    assert_eq!(rig.ask(OTHER, 2), [Said::NoWork { to: OTHER.0 }]);
}

#[test]
fn a_late_result_counts_and_a_second_one_does_not() {
    let mut rig = Rig::source(|c| c.lease = 100_000);
    let (_, task) = lease(&rig.ask(THIEF, 1));
    for _ in 0..4 {
        rig.now += 30_000;
        rig.said();
    }
    assert_eq!(rig.edge.stats().leases_expired, 1);
    assert_eq!(lease(&rig.ask(OTHER, 1)), (1, task));
    assert_eq!(rig.edge.stats().tasks_reissued, 1);
    let said = rig.done(THIEF, task, 1);
    assert!(said.contains(&Said::Reported {
        to: THIEF.0,
        keep: true
    }));
    let said = rig.done(OTHER, task, 1);
    assert!(said.contains(&Said::Reported {
        to: OTHER.0,
        keep: false
    }));
    // Said again, it is heard again.
    let said = rig.done(THIEF, task, 1);
    assert!(said.contains(&Said::Reported {
        to: THIEF.0,
        keep: true
    }));
    assert_eq!(rig.edge.stats().tasks_by_node[&THIEF.0], 1);
}

#[test]
fn renewals_keep_leases_and_tell_what_is_not_wanted() {
    let mut rig = Rig::source(|c| c.lease = 100_000);
    let (_, task) = lease(&rig.ask(THIEF, 1));
    let (_, second) = lease(&rig.ask(THIEF, 2));
    rig.done(OTHER, second, 77);
    let leases = [(task, 1), (second, 2)].map(|(task, ask)| LeaseRef {
        number: 0.into(),
        task: task.into(),
        ask: ask.into(),
    });
    for seq in 1..10 {
        rig.now += 40_000;
        let renew = Renew {
            seq,
            leases: &leases,
        };
        rig.hear(THIEF, &Message::Renew(renew));
        assert!(rig.said().contains(&Said::Renewed { wanted: 0b01 }));
    }
    assert_eq!(rig.edge.stats().leases_expired, 0);
    assert!(rig.edge.stats().leases_renewed > 0);
}

#[test]
fn reports_about_nothing_known_are_answered() {
    let mut rig = Rig::source(|_| {});
    let unknown = Report {
        number: 9,
        task: 1,
        ask: 1,
    };
    rig.hear(THIEF, &Message::Done(unknown));
    let heard = Said::Reported {
        to: THIEF.0,
        keep: false,
    };
    assert!(rig.said().contains(&heard));
}

#[test]
fn a_new_life_has_neither_leases_nor_objects() {
    let mut rig = Rig::source(|_| {});
    rig.state(&[FrameNote::new(0, Stand::Open)]);
    let (_, task) = lease(&rig.ask(THIEF, 1));
    let (_, held) = lease(&rig.ask(THIEF, 2));
    let said = rig.done(THIEF, task, 1);
    let told = |make, holder| Said::Results { task, make, holder };
    assert!(said.contains(&told(0, THIEF.0)));
    let newer = (THIEF.0, THIEF.1 + 1);
    assert_eq!(lease(&rig.ask(newer, 1)), (1, task));
    assert_eq!(lease(&rig.ask(newer, 2)), (2, held));
    let s = rig.edge.stats();
    assert_eq!((s.leases_orphaned, s.tasks_unmade), (1, 1));
    // The old life's word counts no more.
    assert_eq!(rig.done(THIEF, held, 2), []);
    assert_eq!(
        rig.edge.stats().traffic.rejected.get(wire::Reject::Stale),
        1
    );
    assert!(rig.done(newer, task, 1).contains(&told(1, THIEF.0)));
}

#[test]
fn lost_results_are_made_again_once() {
    let mut rig = Rig::source(|_| {});
    rig.state(&[FrameNote::new(0, Stand::Open)]);
    let (_, task) = lease(&rig.ask(THIEF, 1));
    rig.done(THIEF, task, 1);
    let lost = [LostResult {
        task: task.into(),
        make: 0.into(),
        holder: THIEF.0.0.into(),
        epoch: THIEF.1.into(),
    }];
    let lost = LostResults {
        number: 0,
        tasks: &lost,
    };
    rig.hear((GATEWAY, 7), &Message::Lost(lost));
    rig.hear((GATEWAY, 7), &Message::Lost(lost));
    rig.said();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
    // Whoever could not give it need not say again that he has it.
    let said = rig.done(THIEF, task, 1);
    assert!(said.contains(&Said::Reported {
        to: THIEF.0,
        keep: false
    }));
    let again = (rig.ask(OTHER, 1), rig.ask(OTHER, 2), rig.ask(OTHER, 3));
    let tasks = [&again.0, &again.1, &again.2].map(|s| lease(s).1);
    assert!(tasks.contains(&task));
    rig.done(OTHER, task, 1);
    // An old complaint is about the old make.
    rig.hear((GATEWAY, 7), &Message::Lost(lost));
    rig.said();
    assert_eq!(rig.edge.stats().tasks_unmade, 1);
}

#[test]
fn requests_for_another_life_are_answered_absent() {
    let mut rig = Rig::source(|_| {});
    let ranges = [ChunkRange {
        start: 0.into(),
        count: 1.into(),
    }];
    let request = |epoch| Request {
        pull: 4,
        object: ObjectId {
            frame: FrameId {
                source: ME,
                epoch,
                number: 0,
            },
            part: Part::Frame,
        },
        region: testkit::region([0, 2], [0, 2], 2),
        element: tessera_plan::plan::ElementType::F32,
        chunk_bytes: 32,
        ranges: &ranges,
    };
    rig.hear(THIEF, &Message::Pull(request(LIFE)));
    assert!(rig.said().contains(&Said::Data));
    rig.hear_for(THIEF, Epoch(49), &Message::Pull(request(Epoch(49))));
    assert_eq!(rig.said(), [Said::Absent]);
    rig.hear(THIEF, &Message::Grant(request(Epoch(49))));
    assert_eq!(rig.said(), [Said::Absent]);
}

#[test]
fn a_node_that_is_refused_keeps_its_results_to_itself() {
    let mut rig = Rig::source(|_| {});
    rig.state(&[FrameNote::new(0, Stand::Open)]);
    let (_, task) = lease(&rig.ask(THIEF, 1));
    let said = rig.done(THIEF, task, 1);
    assert!(said.iter().any(|s| matches!(s, Said::Results { .. })));
    rig.now += 1_000_000;
    rig.said();
    let refused = State {
        seq: rig.beats,
        verdict: Verdict::Refused(Refusal::Superseded),
        work: false,
        frames: &[],
        book: &[],
    };
    rig.hear((GATEWAY, 7), &Message::State(refused));
    rig.said();
    for _ in 0..20 {
        rig.now += 100_000;
        let said = rig.said();
        assert!(!said.iter().any(|s| matches!(s, Said::Results { .. })));
    }
    // Taken in again, it says what it has.
    rig.now += 2_000_000;
    rig.said();
    rig.state(&[]);
    assert!(rig.edge.joined());
    let said = rig.said();
    assert!(said.iter().any(|s| matches!(s, Said::Results { .. })));
}
