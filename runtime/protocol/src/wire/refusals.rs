//! Rejected datagrams, with the reason for each.

use super::{
    tests::{envelope, info, is_sound},
    *,
};
use crate::{
    Condition, FrameId, FrameMeta, FrameName, FrameNumber, Incarnation, NodeId, ObjectId, PullId,
    Refusal, RequestId, TaskId, Ticket, testkit,
};
use tessera_plan::dataflow::ObjectKey;
use tessera_plan::region::Region;

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
    let steal = Message::StealClient {
        request: RequestId(1),
    };
    assert_eq!(reject(|d| d.truncate(31), steal), Reject::Length);
    assert_eq!(reject(|d| d.resize(1473, 0), steal), Reject::Length);
    assert_eq!(reject(|d| d[0] ^= 1, steal), Reject::Magic);
    assert_eq!(reject(|d| d[4] += 1, steal), Reject::Version);
    assert_eq!(
        reject(|d| d[5] = MessageKind::COUNT as u8, steal),
        Reject::MessageKind
    );
    assert_eq!(reject(|d| d[24] ^= 1, steal), Reject::Plan);
    assert_eq!(reject(|d| d[8..16].fill(0), steal), Reject::Value);
    let want = Message::Want(Want {
        request: RequestId(1),
        room: 1,
        idle: false,
        held: &[],
    });
    assert_eq!(reject(|d| d[36] = 65, want), Reject::Value, "room");
    assert_eq!(reject(|d| d[37] = 2, want), Reject::Value, "idle");
    assert_eq!(reject(|d| d[38] = 65, want), Reject::Count, "held");
    assert_eq!(reject(|d| d[38] = 1, want), Reject::Count, "held");
    let done = Message::Done(Finished {
        report: Report {
            number: FrameNumber(0),
            task: TaskId(6),
            request: RequestId(0),
        },
        arithmetic: 0,
    });
    assert_eq!(reject(|_| {}, done), Reject::Id);
    let lease = Message::Lease(LeaseGrant {
        request: RequestId(0),
        number: FrameNumber(0),
        attempt: 0,
        task: TaskId(0),
        lease_us: 1,
        holders: &[],
        needs: &[0],
    });
    assert_eq!(reject(|_| {}, lease), Reject::Id);
}

#[test]
fn boards_say_what_can_be() {
    let warm = Condition {
        temperature_centi_c: Some(8_100),
        throttled: Some(0x5_0005),
        memory_available_mib: Some(300),
        memory_mib: Some(900),
        busy_permille: Some(1000),
        signal_dbm: Some(-56),
    };
    let message = Message::Condition {
        seq: 1,
        condition: warm,
    };
    let set = |at: usize, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |d: &mut Vec<u8>| d[at..at + bytes.len()].copy_from_slice(&bytes)
    };
    let number = |n: u32| n.to_le_bytes();
    for (what, at, bytes) in [
        ("a bit without a meaning", 36, number(1 << 4).to_vec()),
        ("more available than there is", 40, number(901).to_vec()),
        ("too much memory", 44, number(u32::MAX).to_vec()),
        ("absolute zero", 48, (-27_315i16).to_le_bytes().to_vec()),
        ("a fire", 48, i16::MAX.to_le_bytes().to_vec()),
        ("more than all the time", 50, 1001u16.to_le_bytes().to_vec()),
        ("too strong a signal", 52, vec![1]),
    ] {
        assert_eq!(reject(set(at, &bytes), message), Reject::Value, "{what}");
    }
    assert_eq!(reject(|d| d.truncate(52), message), Reject::Length);
    assert_eq!(reject(|d| d.push(0), message), Reject::Length);
    // Values that cannot be do not travel.
    let odd = Condition {
        temperature_centi_c: Some(i16::MAX),
        throttled: Some(u32::MAX),
        memory_available_mib: Some(0),
        memory_mib: Some(u32::MAX),
        busy_permille: Some(u16::MAX),
        signal_dbm: Some(i8::MAX),
    };
    let odd = Message::Condition {
        seq: 2,
        condition: odd,
    };
    let info = info();
    let mut out = Vec::new();
    odd.encode(envelope(&info), &mut out);
    let Ok((_, Message::Condition { condition, .. })) = parse(&out, &info) else {
        panic!("refused");
    };
    let nearest = Condition {
        temperature_centi_c: Some(20_000),
        throttled: Some(0x000f_000f),
        memory_available_mib: Some(1),
        memory_mib: Some(Condition::MEMORY_MIB_MAX),
        busy_permille: Some(1000),
        signal_dbm: Some(-1),
    };
    assert_eq!(condition, nearest);
}

#[test]
fn names_of_frames_have_a_bound() {
    let meta = FrameMeta {
        name: FrameName::new("street.jpg"),
        ..FrameMeta::default()
    };
    let frames = [FrameEntry::new(FrameNumber(0), false, 0, meta, 7)];
    let heartbeat = Message::Heartbeat(Heartbeat {
        seq: 1,
        ticket: Ticket::default(),
        has_work: false,
        no_more: false,
        floor: FrameNumber(0),
        next: FrameNumber(1),
        plan_hash: [0; 32],
        model_digest: [0; 32],
        frames: &frames,
        ask: &[],
    });
    let info = info();
    let mut out = Vec::new();
    heartbeat.encode(envelope(&info), &mut out);
    let name = out.windows(10).position(|w| w == b"street.jpg");
    let name = name.expect("the name travels");
    let entry = name - (size_of::<FrameEntry>() - FrameName::BYTES_MAX);
    let name_bytes = entry + std::mem::offset_of!(FrameEntry, name_bytes);
    for long in [80, 255] {
        let change = |d: &mut Vec<u8>| d[name_bytes] = long;
        assert_eq!(reject(change, heartbeat), Reject::Value, "{long}");
    }
    assert_eq!(
        reject(|d| d[name_bytes] = 9, heartbeat),
        Reject::Value,
        "more behind it"
    );
    assert_eq!(
        reject(|d| d[name] = 0xff, heartbeat),
        Reject::Value,
        "no UTF-8"
    );
    assert_eq!(reject(|d| d[name + 30] = b'x', heartbeat), Reject::Value);
    let (_, message) = parse(&out, &info).expect("a sound one");
    let Message::Heartbeat(read) = message else {
        panic!("{message:?}");
    };
    assert_eq!(read.frames[0].meta(), meta);
    assert_eq!(read.frames[0].age_us.get(), 7);
}

#[test]
fn a_changed_bit_is_noticed() {
    let info = info();
    let mut out = Vec::new();
    let bytes: Vec<u8> = (0..44).collect();
    let data = Data::new(&envelope(&info), PullId(1), 8, &bytes);
    let condition = Message::Condition {
        seq: 1,
        condition: Condition::default(),
    };
    for message in [
        Message::Data(data),
        Message::Absent { pull: PullId(1) },
        condition,
    ] {
        message.encode(envelope(&info), &mut out);
        for bit in 0..8 * out.len() {
            out[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_sound(&out, &info), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(is_sound(&out, &info));
    }
}

#[test]
fn boxes_and_chunks_must_lie_inside() {
    let check = |key, region: Region, chunk_bytes, range: (u32, u32), expected| {
        let ranges = [ChunkRange {
            start: range.0.into(),
            count: range.1.into(),
        }];
        let request = Request {
            pull: PullId(1),
            object: ObjectId {
                frame: FrameId {
                    source: NodeId(1),
                    incarnation: Incarnation(1),
                    number: FrameNumber(0),
                },
                key,
            },
            region,
            element: tessera_plan::element::ElementType::F32,
            run: 0,
            chunk_bytes,
            ranges: &ranges,
        };
        let info = info();
        let mut out = Vec::new();
        Message::Pull(request).encode(envelope(&info), &mut out);
        assert_eq!(parse(&out, &info).map(|_| ()), expected);
    };
    let tile = ObjectKey::Output {
        task: TaskId(3),
        output: 0,
    };
    let inside = testkit::region([8, 10], [9, 16], 3);
    // 42 values are 168 bytes: two chunks of 160.
    check(tile, inside, 160, (0, 2), Ok(()));
    check(tile, inside, 160, (1, 1), Ok(()));
    check(tile, inside, 160, (2, 1), Err(Reject::Range));
    check(tile, inside, 160, (0, 0), Err(Reject::Range));
    check(tile, inside, 160, (1, u32::MAX), Err(Reject::Range));
    check(tile, inside, 162, (0, 1), Err(Reject::Value));
    check(tile, inside, 0, (0, 1), Err(Reject::Value));
    check(tile, inside, 1428, (0, 1), Err(Reject::Value));
    check(
        tile,
        testkit::region([7, 10], [9, 16], 3),
        160,
        (0, 1),
        Err(Reject::Range),
    );
    check(tile, Region::EMPTY, 160, (0, 1), Err(Reject::Range));
    check(
        ObjectKey::Output {
            task: TaskId(3),
            output: 1,
        },
        inside,
        160,
        (0, 1),
        Err(Reject::Id),
    );
    check(
        ObjectKey::Output {
            task: TaskId(6),
            output: 0,
        },
        inside,
        160,
        (0, 1),
        Err(Reject::Id),
    );
    check(
        ObjectKey::Frame,
        testkit::region([0, 16], [0, 16], 2),
        160,
        (0, 1),
        Ok(()),
    );
}

#[test]
fn heartbeats_and_states_of_other_plans_pass() {
    let info = info();
    let mut out = Vec::new();
    let state = Message::State(ClusterState {
        seq: 1,
        verdict: Verdict::Refused(Refusal::Plan),
        ticket: Ticket(3),
        contested: false,
        work: false,
        frames: &[],
        nodes: &[],
    });
    let other = Envelope {
        plan: 5,
        ..envelope(&info)
    };
    state.encode(other, &mut out);
    assert_eq!(parse(&out, &info), Ok((other, state)));
}

#[test]
fn a_node_status_tells_which_frames_are_over() {
    let status = NodeStatus {
        node: PeerAddress::new(
            NodeId(2),
            Incarnation(5),
            "10.0.0.1:99".parse().expect("an address"),
        ),
        alive: true,
        floor: FrameNumber(10),
        ended: 0b100,
    };
    let over = |source, incarnation, number: u32| {
        status.over(FrameId {
            source: NodeId(source),
            incarnation: Incarnation(incarnation),
            number: FrameNumber(number),
        })
    };
    assert!(over(2, 5, 9) && over(2, 5, 12));
    assert!(
        !over(2, 5, 10) && !over(2, 5, 74) && !over(2, 4, 0) && !over(2, 6, 0) && !over(1, 5, 0)
    );
    let dead = NodeStatus {
        alive: false,
        ..status
    };
    assert!(dead.over(FrameId {
        source: NodeId(2),
        incarnation: Incarnation(5),
        number: FrameNumber(74)
    }));
}
