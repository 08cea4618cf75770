use proptest::{collection::vec, prelude::*, sample::select};
use zerocopy::little_endian::U16;

use super::*;
use crate::{
    DropReason, EdgeConfig, Epoch, FrameId, FrameMeta, NodeId, ObjectId, Outcome, ProgramInfo,
    Refusal, TransferConfig, testkit,
};
use tessera_plan::dataflow::Part;
use tessera_plan::region::Region;

pub(super) fn info() -> ProgramInfo {
    testkit::two_stages(2)
}

pub(super) fn envelope(info: &ProgramInfo) -> Envelope {
    Envelope {
        from: NodeId(3),
        epoch: Epoch(11),
        to_epoch: None,
        plan: plan_prefix(info),
    }
}

/// The elements of all lists; a message borrows from it.
#[derive(Clone, Debug)]
struct Lists {
    frames: Vec<FrameEntry>,
    notes: Vec<FrameNote>,
    ask: Vec<U16>,
    book: Vec<BookEntry>,
    nodes: Vec<Node>,
    leases: Vec<LeaseRef>,
    lost: Vec<LostPart>,
    results: Vec<ResultEntry>,
    result_notes: Vec<ResultNote>,
    lost_results: Vec<LostResult>,
    ranges: Vec<ChunkRange>,
    bytes: Vec<u8>,
}

fn node() -> impl Strategy<Value = Node> {
    (1..=u16::MAX, any::<u64>(), any::<std::net::SocketAddr>())
        .prop_map(|(id, epoch, addr)| Node::new(NodeId(id), Epoch(epoch), addr))
}

fn stand() -> impl Strategy<Value = Stand> {
    select(vec![
        Stand::Waiting,
        Stand::Open,
        Stand::Over(Outcome::Detections),
        Stand::Over(Outcome::Dropped(DropReason::SourceLost)),
        Stand::Over(Outcome::Dropped(DropReason::TaskFailed)),
        Stand::Over(Outcome::Dropped(DropReason::TailFailed)),
    ])
}

fn lists() -> impl Strategy<Value = Lists> {
    let tasks = info().tasks.len() as u32;
    let frame =
        (0..64u32, any::<bool>(), any::<u64>(), any::<u32>()).prop_map(|(n, failed, t, w)| {
            FrameEntry::new(
                100 + n,
                failed,
                FrameMeta {
                    tag: t,
                    image_w: w,
                    image_h: !w,
                    captured_us: !t,
                },
            )
        });
    let note = (any::<u32>(), stand()).prop_map(|(n, s)| FrameNote::new(n, s));
    let book = (node(), any::<bool>(), any::<u32>(), any::<u64>()).prop_map(
        |(node, alive, floor, ended)| {
            BookEntry::new(Book {
                node,
                alive,
                floor,
                ended,
            })
        },
    );
    let task_or_frame = prop_oneof![0..tasks, Just(NO_TASK)];
    let triple = (0..tasks, any::<u32>(), any::<u64>());
    let lost = (task_or_frame, any::<u16>(), any::<u64>());
    (
        (
            vec(frame, 0..=EdgeConfig::MAX_FRAMES),
            vec(note, 0..=EdgeConfig::MAX_FRAMES),
            vec(any::<u16>().prop_map(U16::new), 0..=Beat::MAX_ASK),
            vec(book, 0..=State::MAX_BOOK),
            vec(node(), 2..=16),
        ),
        vec(triple, 0..=64),
        vec(lost, 0..=64),
        vec(0..16u32, 0..=64),
        vec(any::<u32>(), 1..=TransferConfig::MAX_CHUNK / 4),
    )
        .prop_map(
            |((frames, notes, ask, book, nodes), triples, lost, starts, words)| Lists {
                frames,
                notes,
                ask,
                book,
                nodes,
                leases: (triples.iter())
                    .map(|&(task, ask, number)| LeaseRef {
                        number: (number as u32).into(),
                        task: task.into(),
                        ask: ask.into(),
                    })
                    .collect(),
                lost: (lost.iter())
                    .map(|&(task, holder, epoch)| LostPart {
                        task: task.into(),
                        output: 0.into(),
                        holder: holder.into(),
                        epoch: epoch.into(),
                    })
                    .collect(),
                results: (triples.iter())
                    .map(|&(task, make, _)| ResultEntry {
                        task: task.into(),
                        make: (make as u16).into(),
                        holder: (make % 2) as u8,
                        pad: 0,
                    })
                    .collect(),
                result_notes: (triples.iter())
                    .map(|&(task, make, _)| ResultNote {
                        task: task.into(),
                        make: (make as u16).into(),
                        merged: (make % 2) as u8,
                        pad: 0,
                    })
                    .collect(),
                lost_results: (lost.iter())
                    .map(|&(task, holder, epoch)| LostResult {
                        task: task.into(),
                        make: holder.into(),
                        holder: holder.into(),
                        epoch: epoch.into(),
                    })
                    .collect(),
                ranges: (starts.iter())
                    .map(|&s| ChunkRange {
                        start: s.into(),
                        count: (16 - s).into(),
                    })
                    .collect(),
                bytes: words.iter().flat_map(|w| w.to_le_bytes()).collect(),
            },
        )
}

/// A message of every kind.
fn messages<'a>(l: &'a Lists, n: u32) -> Vec<Message<'a>> {
    let report = Report {
        number: n,
        task: n % 6,
        ask: !n,
    };
    let request = Request {
        pull: n,
        object: ObjectId {
            frame: FrameId {
                source: NodeId(n as u16),
                epoch: Epoch(u64::from(n) << 20),
                number: !n,
            },
            part: Part::Output { task: 4, output: 0 },
        },
        region: Region::new([0, 4], [2, 10], [0, 2]),
        element: tessera_plan::plan::ElementType::F32,
        chunk_bytes: 16,
        ranges: &l.ranges,
    };
    vec![
        Message::Beat(Beat {
            seq: n,
            has_work: n & 1 == 1,
            no_more: n & 2 == 2,
            floor: 100,
            next: 164,
            plan_hash: [n as u8; 32],
            model_digest: [!n as u8; 32],
            frames: &l.frames,
            ask: &l.ask,
        }),
        Message::State(State {
            seq: n,
            verdict: match n % 3 {
                0 => Verdict::Welcome,
                1 => Verdict::Refused(Refusal::Plan),
                _ => Verdict::Refused(Refusal::BadId),
            },
            work: n & 1 == 1,
            frames: &l.notes,
            book: &l.book,
        }),
        Message::HintAsk { seq: n },
        Message::Hint {
            seq: n,
            victim: Some(l.nodes[0]).filter(|_| n & 1 == 1),
        },
        Message::StealAsk { ask: n },
        Message::Lease(Lease {
            ask: n,
            number: !n,
            // A band of the second stage reads all four tiles.
            task: 4,
            lease_us: n | 1,
            holders: &l.nodes,
            needs: &[0, 1, 1, 0],
        }),
        Message::NoWork { ask: n },
        Message::Renew(Renew {
            seq: n,
            leases: &l.leases,
        }),
        Message::Renewed {
            seq: n,
            wanted: u64::from(n) << 13,
        },
        Message::Done(report),
        Message::Failed(Failed {
            report,
            why: [Why::Declined, Why::Lost, Why::Worker][n as usize % 3],
            lost: &l.lost,
        }),
        Message::Reported(Reported {
            report,
            keep: n & 1 == 1,
        }),
        Message::Results(Results {
            number: n,
            nodes: &l.nodes,
            tasks: &l.results,
        }),
        Message::ResultsAck(ResultsAck {
            number: n,
            tasks: &l.result_notes,
        }),
        Message::Lost(LostResults {
            number: n,
            tasks: &l.lost_results,
        }),
        Message::Pull(request),
        Message::Grant(request),
        Message::Nack(request),
        Message::Data(Data {
            pull: n,
            offset: n & !3,
            bytes: &l.bytes,
        }),
        Message::Absent { pull: n },
        Message::Stop,
        Message::Bye,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(l in lists(), n: u32) {
        let info = info();
        let mut out = Vec::new();
        let all = messages(&l, n);
        prop_assert_eq!(all.len(), Kind::COUNT);
        for (k, m) in all.iter().enumerate() {
            m.encode(envelope(&info), &mut out);
            prop_assert!(out.len() <= TransferConfig::MAX_DATAGRAM);
            prop_assert_eq!(m.kind().index(), k);
            prop_assert_eq!(parse(&out, &info), Ok((envelope(&info), *m)));
        }
    }

    #[test]
    fn shortened_and_lengthened_datagrams_are_refused(l in lists(), n: u32, cut in 1..40usize) {
        let info = info();
        let mut out = Vec::new();
        for m in messages(&l, n) {
            m.encode(envelope(&info), &mut out);
            // Any multiple of 4 bytes is a chunk.
            let cut = if m.kind() == Kind::Data { out.len() - 37 } else { cut };
            prop_assert!(parse(&out[..out.len().saturating_sub(cut)], &info).is_err());
            out.extend_from_slice(&[0; 3]);
            prop_assert!(parse(&out, &info).is_err());
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
            // A damaged datagram has a wrong sum; a liar's has not.
            if sealed {
                seal(&mut out);
            }
            if let Ok((_, m)) = parse(&out, &info) {
                // What passes can be written again.
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
            out[5] = kind % Kind::COUNT as u8;
            out.extend_from_slice(&bytes);
            seal(&mut out);
            bytes = out;
        }
        let _ = parse(&bytes, &info);
    }
}
