//! An edge alone; the test writes the datagrams of all other nodes.

use std::net::SocketAddr;

use super::*;
use crate::{
    GATEWAY, Incarnation, NodeId, RequestId, TaskId, Ticket,
    testkit::{self, TestStore},
    wire::{
        self, ClusterState, Envelope, FrameStatusEntry, Message, NodeStatusEntry, Report, Verdict,
        parse,
    },
};

pub(super) const ME: NodeId = NodeId(1);
pub(super) const INCARNATION: Incarnation = Incarnation(50);

pub(super) fn addr(id: NodeId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 100 + id.0))
}

/// A datagram that the edge sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Heartbeat {
        seq: u32,
        frames: usize,
    },
    Lease {
        to: NodeId,
        request: u32,
        task: TaskId,
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
        task: TaskId,
        generation: u16,
        holder: NodeId,
    },
    /// The gateway hears who makes a task's outputs.
    Announced {
        task: TaskId,
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
    Offer {
        to: NodeId,
    },
    Want {
        to: NodeId,
        request: u32,
        room: u8,
        idle: bool,
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
        Self::of(testkit::two_stages(2), change)
    }

    /// An edge whose program gives the six tasks these homes.
    pub fn at_home(homes: [u16; 6], change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut info = testkit::two_stages(2);
        info.placement = crate::Placement::Home;
        info.boards = homes.into_iter().max().unwrap_or(0) + 1;
        for (task, home) in info.graph.tasks.iter_mut().zip(homes) {
            task.home = home;
        }
        Self::of(info, change)
    }

    pub fn of(info: ProgramInfo, change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut config = EdgeConfig::new(ME, INCARNATION, addr(GATEWAY), 1);
        config.jobs_max = 1;
        change(&mut config);
        let info = Arc::new(info);
        let mut rig = Self {
            edge: Edge::new(config, Arc::clone(&info)),
            info,
            store: TestStore::default(),
            now_us: 1_000,
            jobs: Vec::new(),
            heartbeats: 0,
        };
        rig.sent();
        rig.state(&[]);
        rig.sent();
        rig.state(&[]);
        assert!(rig.edge.joined());
        rig
    }

    /// A source with one frame: the edge runs task 0 itself, the other tasks are ready.
    pub fn source(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut rig = Self::new(change);
        rig.bring_frame();
        rig
    }

    /// Brings a frame.
    pub fn frame(&mut self) {
        let rig = self;
        assert!(rig.edge.wants_frame());
        let bytes = 4 * rig.info.tensors[0].region.len();
        let slot = rig.store.alloc(bytes).expect("a slot");
        let meta = FrameMeta::default();
        rig.input(EdgeInput::Frame { slot, meta });
    }

    /// Brings a frame: the edge runs task 0 itself.
    pub fn bring_frame(&mut self) {
        assert!(self.edge.wants_frame());
        let bytes = 4 * self.info.tensors[0].region.len();
        let slot = self.store.alloc(bytes).expect("a slot");
        let meta = FrameMeta::default();
        self.input(EdgeInput::Frame { slot, meta });
        self.sent();
        assert_eq!(self.jobs.len(), 1);
    }

    pub fn input(&mut self, input: EdgeInput<'_>) {
        self.edge.handle(self.now_us, input, &mut self.store);
    }

    /// Delivers a datagram from a node's incarnation to this incarnation.
    pub fn receive(&mut self, from: (NodeId, u64), message: &Message<'_>) {
        self.receive_for(from, INCARNATION, message);
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

    /// The gateway's answer to the latest heartbeat.
    pub fn state(&mut self, frames: &[FrameStatusEntry]) {
        self.state_of(frames, &[]);
    }

    /// The gateway's answer to the latest heartbeat, with states of other nodes.
    pub fn state_of(&mut self, frames: &[FrameStatusEntry], nodes: &[NodeStatusEntry]) {
        let state = ClusterState {
            seq: self.heartbeats,
            verdict: Verdict::Welcome,
            ticket: Ticket::default(),
            contested: false,
            work: false,
            frames,
            nodes,
        };
        self.receive((GATEWAY, 7), &Message::State(state));
    }

    /// Drains the machine and returns the datagrams sent.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            match self.edge.poll(self.now_us, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    let (_, m) = parse(bytes, &self.info).expect("a sound datagram");
                    let to = NodeId(to.addr.port() - 100);
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
        self.receive(
            thief,
            &Message::StealClient {
                request: RequestId(request),
            },
        );
        self.sent()
    }

    pub fn done(&mut self, thief: (NodeId, u64), task: TaskId, request: u32) -> Vec<Sent> {
        let report = report(task, request);
        let arithmetic = 0;
        self.receive(thief, &Message::Done(wire::Finished { report, arithmetic }));
        self.sent()
    }
}

pub(super) fn report(task: TaskId, request: u32) -> Report {
    Report {
        number: FrameNumber(0),
        task,
        request: RequestId(request),
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
            request: l.request.0,
            task: l.task,
        },
        Message::NoWork { .. } => Sent::NoWork { to },
        Message::ReportAck(r) => Sent::ReportAck { to, keep: r.keep },
        Message::Renewed { wanted, .. } => Sent::Renewed { wanted },
        Message::Results(r) => {
            let one = |t: &wire::ResultEntry| {
                let (task, holder) = (t.task.get(), r.nodes[usize::from(t.holder)].id());
                if t.early != 0 {
                    return Sent::Announced { task, holder };
                }
                let generation = t.generation.get();
                Sent::Results {
                    task,
                    generation,
                    holder,
                }
            };
            return r.tasks.iter().map(one).collect();
        }
        Message::Failed(f) => Sent::Failed {
            request: f.report.request.0,
            declined: f.why == wire::FailureReason::Declined,
        },
        Message::StealClient { request } => Sent::StealClient {
            to,
            request: request.0,
        },
        Message::Offer => Sent::Offer { to },
        Message::Want(w) => Sent::Want {
            to,
            request: w.request.0,
            room: w.room,
            idle: w.idle,
        },
        Message::Absent { .. } => Sent::Absent,
        Message::Data(_) => Sent::Data,
        _ => Sent::Other(m.kind()),
    }]
}
