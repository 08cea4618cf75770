use proptest::{collection::vec, prelude::*, sample::select};
use zerocopy::little_endian::U16;

use super::*;
use crate::{
    proto::{
        DropReason, EdgeConfig, Epoch, FrameId, FrameMeta, NodeId, ObjectId, Outcome, Part,
        ProgramInfo, Refusal, TransferConfig, testkit,
    },
    region::Region,
};

fn info() -> ProgramInfo {
    testkit::two_stages(2)
}

fn envelope(info: &ProgramInfo) -> Envelope {
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
        region: Region {
            y: [0, 4],
            x: [2, 10],
            c: [0, 2],
        },
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

fn reject(change: impl Fn(&mut Vec<u8>), message: Message<'_>) -> Reject {
    let info = info();
    let mut out = Vec::new();
    message.encode(envelope(&info), &mut out);
    change(&mut out);
    if out.len() >= 32 {
        seal(&mut out);
    }
    parse(&out, &info).expect_err("a bad datagram")
}

#[test]
fn rejections_say_why() {
    let ask = Message::StealAsk { ask: 1 };
    assert_eq!(reject(|d| d.truncate(31), ask), Reject::Length);
    assert_eq!(reject(|d| d.resize(1473, 0), ask), Reject::Length);
    assert_eq!(reject(|d| d[0] ^= 1, ask), Reject::Magic);
    assert_eq!(reject(|d| d[4] += 1, ask), Reject::Version);
    assert_eq!(reject(|d| d[5] = Kind::COUNT as u8, ask), Reject::Kind);
    assert_eq!(reject(|d| d[24] ^= 1, ask), Reject::Plan);
    assert_eq!(reject(|d| d[8..16].fill(0), ask), Reject::Value);
    let done = Message::Done(Report {
        number: 0,
        task: 6,
        ask: 0,
    });
    assert_eq!(reject(|_| {}, done), Reject::Id);
    let lease = Message::Lease(Lease {
        ask: 0,
        number: 0,
        task: 0,
        lease_us: 1,
        holders: &[],
        needs: &[0],
    });
    assert_eq!(reject(|_| {}, lease), Reject::Id);
}

#[test]
fn a_changed_bit_is_noticed() {
    let info = info();
    let mut out = Vec::new();
    let bytes: Vec<u8> = (0..44).collect();
    let data = Data {
        pull: 1,
        offset: 8,
        bytes: &bytes,
    };
    Message::Data(data).encode(envelope(&info), &mut out);
    for bit in 0..8 * out.len() {
        out[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&out, &info).is_err());
        out[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(parse(&out, &info).is_ok());
}

#[test]
fn boxes_and_chunks_must_lie_inside() {
    let check = |part, region: Region, chunk_bytes, range: (u32, u32), expected| {
        let ranges = [ChunkRange {
            start: range.0.into(),
            count: range.1.into(),
        }];
        let request = Request {
            pull: 1,
            object: ObjectId {
                frame: FrameId {
                    source: NodeId(1),
                    epoch: Epoch(1),
                    number: 0,
                },
                part,
            },
            region,
            chunk_bytes,
            ranges: &ranges,
        };
        let info = info();
        let mut out = Vec::new();
        Message::Pull(request).encode(envelope(&info), &mut out);
        assert_eq!(parse(&out, &info).map(|_| ()), expected);
    };
    let tile = Part::Output { task: 3, output: 0 };
    let inside = testkit::region([8, 10], [9, 16], 3);
    // 42 values are 168 bytes: two chunks of 160.
    check(tile, inside, 160, (0, 2), Ok(()));
    check(tile, inside, 160, (1, 1), Ok(()));
    check(tile, inside, 160, (2, 1), Err(Reject::Range));
    check(tile, inside, 160, (0, 0), Err(Reject::Range));
    check(tile, inside, 160, (1, u32::MAX), Err(Reject::Range));
    check(tile, inside, 162, (0, 1), Err(Reject::Value));
    check(tile, inside, 0, (0, 1), Err(Reject::Value));
    check(tile, inside, 1412, (0, 1), Err(Reject::Value));
    check(
        tile,
        testkit::region([7, 10], [9, 16], 3),
        160,
        (0, 1),
        Err(Reject::Range),
    );
    check(tile, Region::EMPTY, 160, (0, 1), Err(Reject::Range));
    check(
        Part::Output { task: 3, output: 1 },
        inside,
        160,
        (0, 1),
        Err(Reject::Id),
    );
    check(
        Part::Output { task: 6, output: 0 },
        inside,
        160,
        (0, 1),
        Err(Reject::Id),
    );
    check(
        Part::Frame,
        testkit::region([0, 16], [0, 16], 2),
        160,
        (0, 1),
        Ok(()),
    );
}

#[test]
fn beats_and_states_of_other_plans_pass() {
    let info = info();
    let mut out = Vec::new();
    let state = Message::State(State {
        seq: 1,
        verdict: Verdict::Refused(Refusal::Plan),
        work: false,
        frames: &[],
        book: &[],
    });
    let other = Envelope {
        plan: 5,
        ..envelope(&info)
    };
    state.encode(other, &mut out);
    assert_eq!(parse(&out, &info), Ok((other, state)));
}

#[test]
fn a_book_tells_which_frames_are_over() {
    let book = Book {
        node: Node::new(
            NodeId(2),
            Epoch(5),
            "10.0.0.1:99".parse().expect("an address"),
        ),
        alive: true,
        floor: 10,
        ended: 0b100,
    };
    let over = |source, epoch, number| {
        book.over(FrameId {
            source: NodeId(source),
            epoch: Epoch(epoch),
            number,
        })
    };
    assert!(over(2, 5, 9) && over(2, 5, 12) && over(2, 4, 99));
    assert!(!over(2, 5, 10) && !over(2, 5, 74) && !over(2, 6, 0) && !over(1, 5, 0));
    let dead = Book {
        alive: false,
        ..book
    };
    assert!(dead.over(FrameId {
        source: NodeId(2),
        epoch: Epoch(5),
        number: 74
    }));
}
