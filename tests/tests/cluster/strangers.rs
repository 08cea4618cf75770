//! What somebody can do who reaches every port, knows the plan and has read the source, but was not invited: nothing. Each
//! attack has worked against nodes without keys. It is made against all nodes of a sealed cluster while a frame waits; then
//! the frame is computed to the same bits, every datagram was counted as refused, and nobody has answered.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result};
use tessera_plan::dataflow::{ObjectKey, TaskGraph};
use tessera_protocol::{
    FrameId, FrameMeta, FrameNumber, FrameOutcome, Incarnation, NodeId, ObjectId, ProgramInfo,
    PullId, RequestId, TaskId, Ticket,
    wire::{
        ChunkRange, ClusterState, Data, Envelope, Finished, FrameEntry, FrameStatus,
        FrameStatusEntry, Heartbeat, LeaseGrant, Message, NO_RUN, PeerAddress, Report, Request,
        ResultEntry, ResultNote, Results, ResultsAck, Verdict,
    },
};
use tessera_tests::rig::{Cluster, Edge, NodeBinary, SHORT, wait_for};

use crate::{
    common::{Frames, LONG, node, number, plan},
    deaths::reaches,
    sealed::{refused, setup, three},
};

/// The program that is attacked: its tasks are stolen.
pub const PROGRAM: &str = "one-4x4-steal";

/// A datagram in somebody's name. What a stranger does not know of processes, it guesses.
pub struct Forger {
    pub info: ProgramInfo,
    /// The processes that datagrams are from and for.
    pub lives: [u64; 2],
}

/// Makes an attack's datagrams.
pub type Attack = fn(&Forger, &mut Vec<Vec<u8>>);

impl Forger {
    fn envelope(&self, id: u16) -> Envelope {
        Envelope {
            from: NodeId(id),
            incarnation: Incarnation(self.lives[0]),
            to_incarnation: Some(Incarnation(self.lives[1])),
            plan: tessera_protocol::wire::plan_prefix(&self.info),
        }
    }

    fn add(&self, all: &mut Vec<Vec<u8>>, id: u16, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.encode(self.envelope(id), &mut bytes);
        all.push(bytes);
    }

    fn heartbeat(&self, seq: u32, frames: &[FrameEntry]) -> Message<'static> {
        // Leaked, a few bytes: it lives as long as the test.
        let frames: &'static [FrameEntry] = Box::leak(frames.to_vec().into());
        Message::Heartbeat(Heartbeat {
            seq,
            ticket: Ticket(1),
            has_work: true,
            no_more: false,
            floor: FrameNumber(0),
            next: FrameNumber(frames.len() as u32),
            plan_hash: self.info.plan_hash,
            model_digest: self.info.model_digest,
            frames,
            ask: &[],
        })
    }

    fn state(&self, seq: u32, frames: &'static [FrameStatusEntry]) -> Message<'static> {
        Message::State(ClusterState {
            seq,
            verdict: Verdict::Welcome,
            ticket: Ticket(1),
            contested: false,
            work: true,
            frames,
            nodes: &[],
        })
    }

    fn pull<'a>(&self, pull: u32, ranges: &'a [ChunkRange]) -> Message<'a> {
        let life = Incarnation(self.lives[1]);
        Message::Pull(request_of_frame(&self.info, life, pull, ranges))
    }
}

/// A request for chunks of the first frame of source 1, whose process is `life`.
pub fn request_of_frame<'a>(
    info: &ProgramInfo,
    life: Incarnation,
    pull: u32,
    ranges: &'a [ChunkRange],
) -> Request<'a> {
    let frame = info.tensors[0];
    Request {
        pull: PullId(pull),
        object: ObjectId {
            frame: FrameId {
                source: NodeId(1),
                incarnation: life,
                number: FrameNumber(0),
            },
            key: ObjectKey::Frame,
        },
        region: frame.region,
        element: frame.element,
        run: NO_RUN,
        chunk_bytes: 1200,
        ranges,
    }
}

fn frames(count: u32, failed: bool) -> Vec<FrameEntry> {
    (0..count)
        .map(|n| FrameEntry::new(FrameNumber(n), failed, 0, FrameMeta::default(), 0))
        .collect()
}

fn nobody() -> PeerAddress {
    PeerAddress::new(
        NodeId(9),
        Incarnation(9),
        SocketAddr::from(([127, 0, 0, 1], 9)),
    )
}

fn stop(f: &Forger, all: &mut Vec<Vec<u8>>) {
    f.add(all, 0, &Message::Stop);
}

fn bye(f: &Forger, all: &mut Vec<Vec<u8>>) {
    f.add(all, 1, &Message::Bye);
}

fn another_life(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let late = Forger {
        info: f.info.clone(),
        lives: [u64::MAX, f.lives[1]],
    };
    for seq in 0..50 {
        late.add(all, 0, &late.state(seq, &[]));
    }
}

fn frames_over(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let over = FrameStatus::Over(FrameOutcome::Detections);
    let entries = vec![FrameStatusEntry::new(FrameNumber(0), over, 1)];
    let entries: &'static [FrameStatusEntry] = Box::leak(entries.into());
    for seq in 0..50 {
        f.add(all, 0, &f.state(seq, entries));
    }
}

fn all_merged(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let notes: Vec<ResultNote> = (0..16)
        .map(|t| ResultNote {
            task: TaskId(t).into(),
            generation: 0.into(),
            merged: 1,
            early: 0,
        })
        .collect();
    let ack = ResultsAck {
        number: FrameNumber(0),
        attempt: 0,
        tasks: &notes,
    };
    f.add(all, 0, &Message::ResultsAck(ack));
}

fn reads_frames(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for pull in 0..20 {
        let ranges = [ChunkRange {
            start: pull.into(),
            count: 1.into(),
        }];
        f.add(all, 2, &f.pull(pull % 8, &ranges[..1]));
    }
}

fn amplifies(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let ranges = [ChunkRange {
        start: 0.into(),
        count: 8.into(),
    }; 64];
    for pull in 0..4 {
        f.add(all, 2, &f.pull(pull, &ranges));
    }
}

fn invents_data(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let bytes = [7; 1200];
    for pull in 0..200 {
        let from = (pull % 3) as u16;
        let data = Data::new(&f.envelope(from), PullId(pull % 50), 0, &bytes);
        f.add(all, from, &Message::Data(data));
    }
}

fn invents_tasks(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let victim = Some(nobody());
    let holders = [nobody()];
    for n in 0..20 {
        f.add(all, 0, &Message::Victim { seq: n, victim });
        let needs = vec![0; f.info.tasks[0].needs.len()];
        let lease = LeaseGrant {
            request: RequestId(n),
            number: FrameNumber(0),
            attempt: 0,
            task: TaskId(0),
            lease_us: 1_000_000,
            holders: &holders,
            needs: &needs,
        };
        f.add(all, 9, &Message::Lease(lease));
        f.add(all, 9, &Message::Offer);
    }
}

fn lures(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let victim = Some(nobody());
    for seq in 0..50 {
        f.add(all, 0, &Message::Victim { seq, victim });
    }
}

fn reports_without_lease(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for task in 0..16 {
        let report = Report {
            number: FrameNumber(0),
            task: TaskId(task),
            request: RequestId(1),
        };
        let arithmetic = 0;
        f.add(all, 3, &Message::Done(Finished { report, arithmetic }));
    }
}

fn shuts_thieves_out(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let request = RequestId(u32::MAX);
    f.add(all, 2, &Message::StealClient { request });
    let seq = u32::MAX;
    f.add(all, 2, &Message::StealGateway { seq });
}

fn registers(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for seq in 1..20 {
        f.add(all, 3, &f.heartbeat(seq, &[]));
    }
}

fn results_for_another(f: &Forger, all: &mut Vec<Vec<u8>>) {
    let nodes = [nobody()];
    let tasks: Vec<ResultEntry> = (0..16)
        .map(|t| ResultEntry {
            task: TaskId(t).into(),
            generation: 9.into(),
            holder: 0,
            early: 0,
        })
        .collect();
    let results = Results {
        number: FrameNumber(0),
        attempt: 0,
        wrong: NodeId(0),
        nodes: &nodes,
        tasks: &tasks,
    };
    f.add(all, 1, &Message::Results(results));
}

fn takes_an_address(f: &Forger, all: &mut Vec<Vec<u8>>) {
    f.add(all, 1, &f.heartbeat(u32::MAX, &[]));
}

fn registers_a_thousand(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for id in 1..=1024 {
        f.add(all, id, &f.heartbeat(1, &[]));
    }
}

fn lists_frames(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for seq in 1..20 {
        f.add(all, 3, &f.heartbeat(seq, &frames(8, false)));
    }
}

fn makes_records(f: &Forger, all: &mut Vec<Vec<u8>>) {
    for seq in 1..20 {
        f.add(all, 3, &f.heartbeat(seq, &frames(8, true)));
    }
}

/// The attacked program as a node knows it.
pub fn info(node: &NodeBinary) -> Result<ProgramInfo> {
    info_of(node, PROGRAM)
}

/// A program as a node knows it.
pub fn info_of(node: &NodeBinary, program: &str) -> Result<ProgramInfo> {
    let plan = plan(program);
    let said = std::process::Command::new(&node.path)
        .args(["--program", program, "info"])
        .output()?;
    let said: serde_json::Value = serde_json::from_slice(&said.stdout)?;
    let bytes = |name: &str| -> Result<[u8; 32]> {
        let hex = said[name].as_str().context("a hash")?;
        let byte = |k: usize| u8::from_str_radix(&hex[2 * k..2 * k + 2], 16);
        let all = (0..32).map(byte).collect::<Result<Vec<_>, _>>()?;
        all.try_into().ok().context("32 bytes")
    };
    Ok(ProgramInfo {
        plan_hash: bytes("plan_hash")?,
        model_digest: bytes("model_digest")?,
        placement: plan.dataflow.placement,
        boards: plan.dataflow.boards as u16,
        graph: TaskGraph::of(&plan.dataflow)?,
    })
}

/// Makes an attack from a stranger's address while a frame waits.
fn attack(attack: Attack) -> Result<()> {
    let keys = three()?;
    let node = node(PROGRAM);
    let frames = Frames::new(&node, 1, 80)?;
    let fifo = frames.fifo("late")?;
    let cluster = Cluster::start(&node, setup(&keys, Edge::source(1, [fifo.clone()]), 1))?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    let forger = Forger {
        info: info(&node)?,
        lives: [12_345, 54_321],
    };
    let mut all = Vec::new();
    attack(&forger, &mut all);
    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    let nodes = [&cluster.gateway, &cluster.edges[0], &cluster.edges[1]];
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (k, node) in nodes.iter().enumerate() {
        let event = node.event(if k == 0 { "listening" } else { "joined" }, SHORT)?;
        addresses.push(event["addr"].as_str().context("an address")?.parse()?);
    }
    for (node, at) in nodes.iter().zip(&addresses) {
        for datagram in &all {
            // Sealed as far as a stranger can: under a head that looks right.
            let mut sealed = vec![4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
            sealed.extend(datagram);
            stranger.send_to(datagram, at)?;
            stranger.send_to(&sealed, at)?;
        }
        let counted = wait_for(LONG, || {
            let plain = refused(node, "malformed")?;
            let sealed = refused(node, "unknown_session")?;
            // A few may find a full buffer.
            Ok((plain > 0 && sealed > 0).then_some(()))
        });
        counted.with_context(|| format!("{}: nothing is counted", node.name()))?;
    }
    frames.feed(&fifo, 0)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    stranger.set_read_timeout(Some(Duration::from_millis(50)))?;
    assert!(stranger.recv_from(&mut [0; 2048]).is_err(), "an answer");
    let (gateway, edges) = cluster.stop()?;
    assert_eq!(number(&gateway, "/counters/nodes_joined"), 2);
    for stats in edges.iter().flatten().chain([&gateway]) {
        assert_eq!(number(stats, "/sessions/impostors"), 0);
    }
    let tasks: u64 = edges
        .iter()
        .flatten()
        .map(|e| number(e, "/counters/tasks_own") + number(e, "/counters/tasks_stolen"))
        .sum();
    assert!(tasks >= 16, "{tasks}");
    Ok(())
}

/// A test for each attack.
macro_rules! attacks {
    ($($name:ident: $attack:ident,)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            attack($attack)
        }
    )*};
}

/// All attacks.
pub const ALL: [Attack; 18] = [
    stop,
    bye,
    another_life,
    frames_over,
    all_merged,
    reads_frames,
    amplifies,
    invents_data,
    invents_tasks,
    lures,
    reports_without_lease,
    shuts_thieves_out,
    registers,
    results_for_another,
    takes_an_address,
    registers_a_thousand,
    lists_frames,
    makes_records,
];

attacks! {
    a_forged_stop_ends_nobody: stop,
    a_forged_goodbye_drops_no_frame: bye,
    a_state_of_another_life_deafens_nobody: another_life,
    a_forged_end_of_frames_is_not_believed: frames_over,
    a_forged_merge_hangs_no_frame: all_merged,
    frames_are_not_read: reads_frames,
    pulls_are_not_amplified: amplifies,
    invented_data_is_not_taken: invents_data,
    invented_tasks_are_not_computed: invents_tasks,
    hints_lure_nobody: lures,
    reports_without_a_lease_do_not_count: reports_without_lease,
    another_lifes_request_shuts_nobody_out: shuts_thieves_out,
    nobody_registers_uninvited: registers,
    results_in_anothers_name_do_not_count: results_for_another,
    one_beat_takes_no_address: takes_an_address,
    a_thousand_registrations_shut_nobody_out: registers_a_thousand,
    listed_frames_starve_nobody: lists_frames,
    bogus_records_are_not_written: makes_records,
}
