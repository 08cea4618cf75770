use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    Condition, DropReason, EdgeConfig, FrameId, FrameMeta, FrameName, FrameNumber, FrameOutcome,
    Incarnation, NodeId, ObjectId, ProgramInfo, PullId, Refusal, RequestId, TaskId, Ticket,
    TransferConfig, testkit,
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

pub(super) fn info() -> ProgramInfo {
    testkit::two_stages(2)
}

pub(super) fn envelope(info: &ProgramInfo) -> Envelope {
    Envelope {
        from: NodeId(3),
        incarnation: Incarnation(11),
        to_incarnation: None,
        plan: plan_prefix(info),
    }
}

/// The elements of all lists; a message borrows from it.
#[derive(Clone, Debug)]
struct Lists {
    frames: Vec<FrameEntry>,
    notes: Vec<FrameStatusEntry>,
    ask: Vec<NodeField>,
    statuses: Vec<NodeStatusEntry>,
    nodes: Vec<PeerAddress>,
    leases: Vec<LeaseRef>,
    held: Vec<RequestField>,
    lost: Vec<LostObject>,
    results: Vec<ResultEntry>,
    result_notes: Vec<ResultNote>,
    lost_results: Vec<LostResult>,
    ranges: Vec<ChunkRange>,
    bytes: Vec<u8>,
}

fn node() -> impl Strategy<Value = PeerAddress> {
    (1..=u16::MAX, any::<u64>(), any::<std::net::SocketAddr>()).prop_map(
        |(id, incarnation, addr)| PeerAddress::new(NodeId(id), Incarnation(incarnation), addr),
    )
}

fn status() -> impl Strategy<Value = FrameStatus> {
    select(vec![
        FrameStatus::Waiting,
        FrameStatus::Open,
        FrameStatus::Over(FrameOutcome::Detections),
        FrameStatus::Over(FrameOutcome::Dropped(DropReason::SourceLost)),
        FrameStatus::Over(FrameOutcome::Dropped(DropReason::TaskFailed)),
        FrameStatus::Over(FrameOutcome::Dropped(DropReason::TailFailed)),
    ])
}

fn lists() -> impl Strategy<Value = Lists> {
    let tasks = info().tasks.len() as u32;
    let frame =
        (0..64u32, any::<bool>(), any::<u64>(), any::<u32>()).prop_map(|(n, failed, t, w)| {
            FrameEntry::new(
                FrameNumber(100 + n),
                failed,
                t as u16,
                FrameMeta {
                    tag: t,
                    name: FrameName::new(&format!("{t:?}.jpg").repeat((w % 9) as usize)),
                    image_w: w,
                    image_h: !w,
                    captured_us: !t,
                },
                t ^ u64::from(w),
            )
            .anew(w as u8)
        });
    let note = (any::<u32>(), status())
        .prop_map(|(n, s)| FrameStatusEntry::new(FrameNumber(n), s, n as u16));
    let status = (node(), any::<bool>(), any::<u32>(), any::<u64>()).prop_map(
        |(node, alive, floor, ended)| {
            NodeStatusEntry::new(NodeStatus {
                node,
                alive,
                floor: FrameNumber(floor),
                ended,
            })
        },
    );
    let task_or_frame = prop_oneof![(0..tasks).prop_map(TaskId), Just(NO_TASK)];
    let triple = ((0..tasks).prop_map(TaskId), any::<u32>(), any::<u64>());
    let lost = (task_or_frame, any::<u16>(), any::<u64>());
    (
        (
            vec(frame, 0..=EdgeConfig::FRAMES_MAX),
            vec(note, 0..=EdgeConfig::FRAMES_MAX),
            vec(
                any::<u16>().prop_map(|id| NodeId(id).into()),
                0..=Heartbeat::ASKED_MAX,
            ),
            vec(status, 0..=ClusterState::NODES_MAX),
            vec(node(), 2..=16),
        ),
        vec(triple, 0..=64),
        vec(lost, 0..=64),
        vec(0..16u32, 0..=64),
        vec(any::<u32>(), 1..=TransferConfig::CHUNK_BYTES_MAX / 4),
    )
        .prop_map(
            |((frames, notes, ask, statuses, nodes), triples, lost, starts, words)| Lists {
                frames,
                notes,
                ask,
                statuses,
                nodes,
                leases: (triples.iter())
                    .map(|&(task, request, number)| LeaseRef {
                        number: FrameNumber(number as u32).into(),
                        task: task.into(),
                        request: RequestId(request).into(),
                    })
                    .collect(),
                held: (triples.iter())
                    .map(|&(_, request, _)| RequestId(request).into())
                    .collect(),
                lost: (lost.iter())
                    .map(|&(task, holder, incarnation)| LostObject {
                        task: task.into(),
                        output: 0.into(),
                        holder: NodeId(holder).into(),
                        incarnation: Incarnation(incarnation).into(),
                    })
                    .collect(),
                results: (triples.iter())
                    .map(|&(task, generation, _)| ResultEntry {
                        task: task.into(),
                        generation: (generation as u16).into(),
                        holder: (generation % 2) as u8,
                        early: 0,
                    })
                    .collect(),
                result_notes: (triples.iter())
                    .map(|&(task, generation, _)| ResultNote {
                        task: task.into(),
                        generation: (generation as u16).into(),
                        merged: (generation % 2) as u8,
                        early: 0,
                    })
                    .collect(),
                lost_results: (lost.iter())
                    .map(|&(task, holder, incarnation)| LostResult {
                        task: task.into(),
                        generation: holder.into(),
                        holder: NodeId(holder).into(),
                        incarnation: Incarnation(incarnation).into(),
                    })
                    .collect(),
                // Each chunk once.
                ranges: (0..16u32)
                    .filter(|s| starts.contains(s))
                    .map(|s| ChunkRange {
                        start: s.into(),
                        count: 1.into(),
                    })
                    .collect(),
                bytes: words.iter().flat_map(|w| w.to_le_bytes()).collect(),
            },
        )
}

/// What a board may say of itself, and what it does not know.
fn condition(n: u32) -> Condition {
    let known = |bit: u32| n >> bit & 1 == 1;
    let condition = Condition {
        temperature_centi_c: known(0).then_some(n as i16),
        throttled: known(1).then_some(n >> 7),
        memory_available_mib: known(2).then_some(!n),
        memory_mib: known(3).then_some(n),
        busy_permille: known(4).then_some(n as u16 % 1001),
        signal_dbm: known(5).then_some((n >> 9) as i8),
    };
    condition.bounded()
}

/// A message of every kind.
fn messages<'a>(l: &'a Lists, n: u32) -> Vec<Message<'a>> {
    let report = Report {
        number: FrameNumber(n),
        task: TaskId(n % 6),
        request: RequestId(!n),
    };
    let request = Request {
        pull: PullId(n),
        object: ObjectId {
            frame: FrameId {
                source: NodeId(n as u16),
                incarnation: Incarnation(u64::from(n) << 20),
                number: FrameNumber(!n),
            },
            key: ObjectKey::Output {
                task: TaskId(4),
                output: 0,
            },
        },
        region: Region::new([0, 4], [2, 10], [0, 2]),
        element: tessera_plan::element::ElementType::F32,
        run: n,
        chunk_bytes: 16,
        ranges: &l.ranges,
    };
    vec![
        Message::Heartbeat(Heartbeat {
            seq: n,
            ticket: Ticket(!n),
            has_work: n & 1 == 1,
            no_more: n & 2 == 2,
            floor: FrameNumber(100),
            next: FrameNumber(164),
            plan_hash: [n as u8; 32],
            model_digest: [!n as u8; 32],
            frames: &l.frames,
            ask: &l.ask,
        }),
        Message::State(ClusterState {
            seq: n,
            verdict: match n % 5 {
                0 => Verdict::Welcome,
                1 => Verdict::Register,
                2 => Verdict::Wait,
                3 => Verdict::Refused(Refusal::Plan),
                _ => Verdict::Refused(Refusal::BadId),
            },
            ticket: Ticket(!n),
            contested: n & 2 == 2,
            work: n & 1 == 1,
            frames: &l.notes,
            nodes: &l.statuses,
        }),
        Message::StealGateway { seq: n },
        Message::Victim {
            seq: n,
            victim: Some(l.nodes[0]).filter(|_| n & 1 == 1),
        },
        Message::StealClient {
            request: RequestId(n),
        },
        Message::Lease(LeaseGrant {
            request: RequestId(n),
            number: FrameNumber(!n),
            attempt: n as u8,
            // A band of the second stage reads all four tiles.
            task: TaskId(4),
            lease_us: n | 1,
            holders: &l.nodes,
            needs: &[0, 1, 1, 0],
        }),
        Message::NoWork {
            request: RequestId(n),
        },
        Message::Renew(Renew {
            seq: n,
            leases: &l.leases,
        }),
        Message::Renewed {
            seq: n,
            wanted: u64::from(n) << 13,
        },
        Message::Done(Finished {
            report,
            arithmetic: n as u16,
        }),
        Message::Failed(Failed {
            report,
            why: [
                FailureReason::Declined,
                FailureReason::Lost,
                FailureReason::Worker,
                FailureReason::Full,
            ][n as usize % 4],
            lost: &l.lost,
        }),
        Message::ReportAck(ReportAck {
            report,
            keep: n & 1 == 1,
        }),
        Message::Results(Results {
            number: FrameNumber(n),
            attempt: n as u8,
            wrong: NodeId(!n as u16),
            nodes: &l.nodes,
            tasks: &l.results,
        }),
        Message::ResultsAck(ResultsAck {
            number: FrameNumber(n),
            attempt: n as u8,
            tasks: &l.result_notes,
        }),
        Message::Lost(LostResults {
            number: FrameNumber(n),
            attempt: n as u8,
            tasks: &l.lost_results,
        }),
        Message::Pull(request),
        Message::Grant(request),
        Message::Nack(request),
        Message::Data(Data::new(&envelope(&info()), PullId(n), n & !3, &l.bytes)),
        Message::Absent { pull: PullId(n) },
        Message::Stop,
        Message::Bye,
        Message::Offer,
        Message::Want(Want {
            request: RequestId(n),
            room: (n % 65) as u8,
            idle: n & 1 == 1,
            held: &l.held,
        }),
        Message::Later(Later {
            pull: PullId(n),
            run: n,
            chunks: n,
        }),
        Message::Watch(Watch {
            what: [Watched::Records, Watched::Metrics][n as usize % 2],
            serial: n,
            from: u64::from(n) << 9,
        }),
        Message::Shown(Shown {
            what: Watched::Metrics,
            serial: n,
            first: (n / 2).into(),
            from: n.into(),
            end: u64::from(n) + 9_000,
            bytes: &l.bytes[..l.bytes.len().min(Shown::BYTES_MAX)],
        }),
        Message::Condition {
            seq: n,
            condition: condition(n),
        },
    ]
}

/// True when a datagram is one of [`messages`], as it was sent.
pub(super) fn is_sound(datagram: &[u8], info: &ProgramInfo) -> bool {
    match parse(datagram, info) {
        Ok((said, Message::Data(data))) => {
            said.from == envelope(info).from && data.check(&envelope(info)).is_ok()
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(l in lists(), n: u32) {
        let info = info();
        let mut out = Vec::new();
        let all = messages(&l, n);
        prop_assert_eq!(all.len(), MessageKind::COUNT);
        for (k, m) in all.iter().enumerate() {
            m.encode(envelope(&info), &mut out);
            prop_assert!(out.len() <= TransferConfig::DATAGRAM_BYTES_MAX);
            prop_assert_eq!(m.kind().index(), k);
            let expected = if let Message::Data(data) = m {
                prop_assert_eq!(data.check(&envelope(&info)), Ok(()));
                Envelope {
                    incarnation: Incarnation(0),
                    to_incarnation: None,
                    ..envelope(&info)
                }
            } else {
                envelope(&info)
            };
            prop_assert_eq!(parse(&out, &info), Ok((expected, *m)));
        }
    }

    #[test]
    fn shortened_and_lengthened_datagrams_are_refused(l in lists(), n: u32, cut in 1..40usize) {
        let info = info();
        let mut out = Vec::new();
        for m in messages(&l, n) {
            m.encode(envelope(&info), &mut out);
            prop_assert!(!is_sound(&out[..out.len().saturating_sub(cut)], &info));
            out.extend_from_slice(&[0; 3]);
            prop_assert!(!is_sound(&out, &info));
        }
    }

    #[test]
    fn damage_is_survived(
        l in lists(), n: u32, sealed: bool,
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let info = info();
        let mut out = Vec::new();
        for m in messages(&l, n) {
            m.encode(envelope(&info), &mut out);
            for (at, value) in &hits {
                let at = at.index(out.len());
                out[at] = *value;
            }
            // A damaged datagram has a wrong checksum; a forged one has a correct checksum.
            if sealed && m.kind() == MessageKind::Data {
                seal_chunk(&mut out, &envelope(&info));
            } else if sealed {
                seal(&mut out);
            }
            if let Ok((_, m)) = parse(&out, &info) {
                // A datagram that passes the checks can be encoded again.
                let mut again = Vec::new();
                m.encode(envelope(&info), &mut again);
                prop_assert_eq!(again.len(), out.len());
            }
        }
    }

    #[test]
    fn noise_is_survived(head: bool, kind: u8, bytes in vec(any::<u8>(), 0..1600)) {
        let info = info();
        let mut bytes = bytes;
        if head {
            let mut out = Vec::new();
            Message::Stop.encode(envelope(&info), &mut out);
            out[5] = kind % MessageKind::COUNT as u8;
            out.extend_from_slice(&bytes);
            seal(&mut out);
            bytes = out;
        }
        let _ = parse(&bytes, &info);
    }
}
