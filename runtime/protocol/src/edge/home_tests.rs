//! Home boards: what a source gives, and what a board tells.

use super::{
    edge_alone::{EdgeAlone, INCARNATION, ME, Sent, addr},
    *,
};
use crate::{
    Incarnation, NodeId, RequestId, TaskId,
    wire::{LeaseGrant, Message, NodeStatus, NodeStatusEntry, PeerAddress, RequestField, Want},
};

const SECOND: (NodeId, u64) = (NodeId(2), 60);
const THIRD: (NodeId, u64) = (NodeId(3), 70);

/// Two tiles at the source, two at the second board.
const HALVES: [u16; 6] = [0, 0, 1, 1, 0, 1];

impl EdgeAlone {
    fn want(&mut self, from: (NodeId, u64), request: u32, room: u8, held: &[u32]) -> Vec<Sent> {
        let held: Vec<RequestField> = held.iter().map(|r| RequestId(*r).into()).collect();
        let want = Want {
            request: RequestId(request),
            room,
            idle: held.is_empty(),
            held: &held,
        };
        self.receive(from, &Message::Want(want));
        self.sent()
    }

    fn tick(&mut self, us: u64) -> Vec<Sent> {
        self.now_us += us;
        self.input(EdgeInput::Tick);
        self.sent()
    }

    /// The gateway's answers keep coming.
    fn heard(&mut self) {
        self.state(&[]);
        self.sent();
    }
}

/// Leases among what was sent: node, request, task.
fn leases(sent: &[Sent]) -> Vec<(u16, u32, u32)> {
    let lease = |s: &Sent| match s {
        Sent::Lease { to, request, task } => Some((to.0, *request, task.0)),
        _ => None,
    };
    sent.iter().filter_map(lease).collect()
}

#[test]
fn boards_get_their_tasks_when_these_are_ready() {
    let mut rig = EdgeAlone::at_home(HALVES, |_| {});
    // The gateway knows where the second board is.
    let there = PeerAddress::new(SECOND.0, Incarnation(SECOND.1), addr(SECOND.0));
    let status = NodeStatusEntry::new(NodeStatus {
        node: there,
        alive: true,
        floor: FrameNumber(0),
        ended: 0,
    });
    rig.state_of(&[], &[status]);
    assert!(rig.sent().contains(&Sent::Offer { to: SECOND.0 }));
    assert_eq!(
        rig.want(SECOND, 10, 2, &[]),
        [Sent::NoWork { to: SECOND.0 }]
    );
    rig.state_of(&[], &[status]);
    assert!(
        !rig.sent().contains(&Sent::Offer { to: SECOND.0 }),
        "it waits"
    );
    rig.frame();
    assert_eq!(leases(&rig.sent()), [(2, 10, 2), (2, 11, 3)]);
    // Its own tasks it runs itself.
    assert_eq!(rig.jobs.iter().map(|j| j.task.0).collect::<Vec<_>>(), [0]);
    // A thief that steals gets nothing.
    assert_eq!(rig.steal(THIRD, 1), [Sent::NoWork { to: THIRD.0 }]);
    // Room that came too late for the first tasks is there for the next.
    assert_eq!(leases(&rig.want(SECOND, 13, 2, &[10, 11])), []);
    rig.done(SECOND, TaskId(2), 10);
    rig.done(SECOND, TaskId(3), 11);
    // The last tile is begun, so its board may fetch the others.
    let job = rig.jobs.remove(0).id;
    rig.input(EdgeInput::Done { job });
    assert_eq!(leases(&rig.sent()), [(2, 13, 5)]);
    assert_eq!(rig.jobs.iter().map(|j| j.task.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn lost_leases_are_repeated() {
    let mut rig = EdgeAlone::at_home(HALVES, |_| {});
    rig.want(SECOND, 10, 2, &[]);
    rig.frame();
    assert_eq!(leases(&rig.sent()).len(), 2);
    assert_eq!(leases(&rig.tick(30_000)), [], "they may be under way");
    assert_eq!(leases(&rig.tick(20_000)), [(2, 10, 2), (2, 11, 3)]);
    // The board has one of them.
    assert_eq!(leases(&rig.want(SECOND, 10, 1, &[10])), []);
    assert_eq!(leases(&rig.tick(100_000)), [(2, 11, 3)]);
    rig.want(SECOND, 20, 2, &[10, 11]);
    assert_eq!(leases(&rig.tick(400_000)), []);
}

#[test]
fn tasks_of_missing_boards_are_taken_by_who_is_idle() {
    let mut rig = EdgeAlone::at_home([0, 1, 1, 2, 0, 0], |c| c.dead_after_us = 10_000_000);
    rig.want(THIRD, 10, 1, &[]);
    rig.frame();
    assert_eq!(leases(&rig.sent()), [(3, 10, 3)]);
    // The second board may still come.
    rig.done(THIRD, TaskId(3), 10);
    assert_eq!(leases(&rig.want(THIRD, 20, 1, &[])), []);
    assert_eq!(leases(&rig.tick(400_000)), [(3, 20, 1)]);
    // The source has nothing left, and takes the other.
    let job = rig.jobs.remove(0).id;
    rig.input(EdgeInput::Done { job });
    rig.sent();
    assert_eq!(rig.jobs.iter().map(|j| j.task.0).collect::<Vec<_>>(), [2]);
    assert_eq!(rig.edge.stats().late_leases, 1);
}

#[test]
fn an_idle_board_takes_what_waits_behind_a_slow_one() {
    let mut rig = EdgeAlone::at_home([0, 1, 2, 2, 0, 0], |c| {
        c.dead_after_us = 10_000_000;
        c.lease_us = 10_000_000;
    });
    rig.want(SECOND, 10, 1, &[]);
    rig.want(THIRD, 10, 2, &[]);
    rig.frame();
    let given = leases(&rig.sent());
    assert_eq!(given, [(2, 10, 1), (3, 10, 2), (3, 11, 3)]);
    rig.want(SECOND, 12, 0, &[10]);
    rig.want(THIRD, 12, 0, &[10, 11]);
    // 400 ms for a task: the third board needs longer.
    rig.now_us += 400_000;
    rig.done(SECOND, TaskId(1), 10);
    assert_eq!(leases(&rig.want(SECOND, 20, 1, &[])), []);
    // Nothing is wrong yet: it may end any moment, and the second task takes as long at either board.
    assert_eq!(leases(&rig.tick(200_000)), []);
    rig.heard();
    assert_eq!(leases(&rig.tick(250_000)), [(2, 20, 3)], "late");
    // Both compute; the first result counts.
    assert_eq!(
        rig.done(THIRD, TaskId(3), 11),
        [Sent::ReportAck {
            to: THIRD.0,
            keep: true
        }]
    );
    assert_eq!(
        rig.done(SECOND, TaskId(3), 20),
        [Sent::ReportAck {
            to: SECOND.0,
            keep: false
        }]
    );
}

#[test]
fn a_board_tells_its_room_until_it_is_heard() {
    let mut rig = EdgeAlone::at_home(HALVES, |c| {
        c.frames_max = 0;
        c.jobs_max = 2;
    });
    let wants = |sent: &[Sent]| -> Vec<(u32, u8, bool)> {
        let want = |s: &Sent| match *s {
            Sent::Want {
                request,
                room,
                idle,
                ..
            } => Some((request, room, idle)),
            _ => None,
        };
        sent.iter().filter_map(want).collect()
    };
    rig.receive(SECOND, &Message::Offer);
    let first = wants(&rig.sent());
    let [(request, 2, true)] = first[..] else {
        panic!("{first:?}");
    };
    assert_eq!(wants(&rig.tick(50_000)), first, "no answer");
    rig.receive(
        SECOND,
        &Message::NoWork {
            request: RequestId(request),
        },
    );
    assert_eq!(wants(&rig.tick(100_000)), []);
    rig.heard();
    // A lease takes room; a second copy of it does not.
    let holders = [PeerAddress::new(
        SECOND.0,
        Incarnation(SECOND.1),
        addr(SECOND.0),
    )];
    let lease = Message::Lease(LeaseGrant {
        request: RequestId(request),
        number: FrameNumber(0),
        attempt: 0,
        task: TaskId(2),
        lease_us: 1_000_000,
        holders: &holders,
        needs: &[0],
    });
    for _ in 0..2 {
        rig.receive(SECOND, &lease);
        rig.sent();
    }
    assert_eq!(rig.edge.stats().steals_taken, 1);
    // A source that never answers is forgotten.
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(wants(&rig.tick(300_000)));
        rig.heard();
    }
    assert!((1..10).contains(&told.len()), "{told:?}");
    assert!(told.iter().all(|t| t.1 > 0), "{told:?}");
    assert_eq!((ME, INCARNATION), (rig.edge.me.id, rig.edge.me.incarnation));
}
