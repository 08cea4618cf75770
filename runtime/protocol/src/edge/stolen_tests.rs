//! Races between datagrams at a thief, one test for each race.

use super::{
    edge_alone::{EdgeAlone, Sent, addr},
    *,
};
use crate::{
    GATEWAY, Incarnation, NodeId, PullId, RequestId, TaskId,
    wire::{self, Data, Envelope, Message, PeerAddress},
};

/// A lease of task 0 whose input lies with its owner.
fn given<'a>(request: u32, holder: &'a [PeerAddress]) -> Message<'a> {
    Message::Lease(wire::LeaseGrant {
        request: RequestId(request),
        number: FrameNumber(0),
        attempt: 0,
        task: TaskId(0),
        lease_us: 1_000_000,
        holders: holder,
        needs: &[0],
    })
}

#[test]
fn a_lease_counts_once_and_only_when_it_was_asked_for() {
    let mut rig = EdgeAlone::new(|_| {});
    let victim = (NodeId(5), 3);
    let node = [PeerAddress::new(
        victim.0,
        Incarnation(victim.1),
        addr(victim.0),
    )];
    let hint = Message::Victim {
        seq: 0,
        victim: Some(node[0]),
    };
    rig.sent();
    rig.receive((GATEWAY, 7), &hint);
    let requests: Vec<u32> = (rig.sent().iter())
        .filter_map(|s| match s {
            Sent::StealClient { request, .. } => Some(*request),
            _ => None,
        })
        .collect();
    assert_eq!(requests, [1]);
    // The thief ignores a lease that answers a future request.
    rig.receive(victim, &given(2, &node));
    assert_eq!(rig.edge.jobs.len(), 0);
    rig.receive(victim, &given(1, &node));
    rig.receive(victim, &given(1, &node));
    assert_eq!(rig.edge.jobs.len(), 1);
    assert_eq!(rig.edge.stats().steals_taken, 1);
    assert!(rig.sent().contains(&Sent::Other(MessageKind::Pull)));
    // A chunk for another pull changes nothing.
    let bytes = [1; 16];
    let envelope = Envelope {
        from: victim.0,
        incarnation: Incarnation(victim.1),
        to_incarnation: None,
        plan: 0,
    };
    let data = Data::new(&envelope, PullId(99), 0, &bytes);
    rig.receive(victim, &Message::Data(data));
    assert_eq!(rig.edge.stats().transfer.chunks_late, 1);
}

#[test]
fn a_lease_that_comes_too_late_is_given_back() {
    let mut rig = EdgeAlone::new(|_| {});
    let (first, second) = ((NodeId(5), 3), (NodeId(6), 3));
    let node = |n: (NodeId, u64)| [PeerAddress::new(n.0, Incarnation(n.1), addr(n.0))];
    let hint = |n| Message::Victim {
        seq: 0,
        victim: Some(node(n)[0]),
    };
    rig.sent();
    rig.receive((GATEWAY, 7), &hint(first));
    rig.sent();
    // The victim stays silent for so long that the thief asks another victim.
    for _ in 0..40 {
        rig.now_us += 60_000;
        rig.sent();
        rig.state(&[]);
    }
    assert!(rig.edge.stats().steals_unanswered > 0);
    rig.receive((GATEWAY, 7), &hint(second));
    rig.sent();
    rig.receive(first, &given(1, &node(first)));
    let sent = rig.sent();
    assert!(
        sent.contains(&Sent::Failed {
            request: 1,
            declined: true
        }),
        "{sent:?}"
    );
    assert_eq!(rig.edge.jobs.len(), 0);
}
