//! Races of a thief, one by one.

use super::{
    tests::{Rig, Said, addr},
    *,
};
use crate::{
    Epoch, GATEWAY, NodeId,
    wire::{self, Data, Message, Node},
};

/// A lease of task 0 whose input lies with its owner.
fn given<'a>(ask: u32, holder: &'a [Node]) -> Message<'a> {
    Message::Lease(wire::Lease {
        ask,
        number: 0,
        task: 0,
        lease_us: 1_000_000,
        holders: holder,
        needs: &[0],
    })
}

#[test]
fn a_lease_counts_once_and_only_when_it_was_asked_for() {
    let mut rig = Rig::new(|_| {});
    let victim = (NodeId(5), 3);
    let node = [Node::new(victim.0, Epoch(victim.1), addr(victim.0))];
    let hint = Message::Hint {
        seq: 0,
        victim: Some(node[0]),
    };
    rig.said();
    rig.hear((GATEWAY, 7), &hint);
    let asks: Vec<u32> = (rig.said().iter())
        .filter_map(|s| match s {
            Said::StealAsk { ask, .. } => Some(*ask),
            _ => None,
        })
        .collect();
    assert_eq!(asks, [1]);
    // From the future, from somebody else.
    rig.hear(victim, &given(2, &node));
    assert_eq!(rig.edge.jobs.len(), 0);
    rig.hear(victim, &given(1, &node));
    rig.hear(victim, &given(1, &node));
    assert_eq!(rig.edge.jobs.len(), 1);
    assert_eq!(rig.edge.stats().steals_taken, 1);
    assert!(rig.said().contains(&Said::Other(Kind::Pull)));
    // A chunk for another pull changes nothing.
    let bytes = [1; 16];
    let data = Data {
        pull: 99,
        offset: 0,
        bytes: &bytes,
    };
    rig.hear(victim, &Message::Data(data));
    assert_eq!(rig.edge.stats().transfer.chunks_late, 1);
}

#[test]
fn a_lease_that_comes_too_late_is_given_back() {
    let mut rig = Rig::new(|_| {});
    let (first, second) = ((NodeId(5), 3), (NodeId(6), 3));
    let node = |n: (NodeId, u64)| [Node::new(n.0, Epoch(n.1), addr(n.0))];
    let hint = |n| Message::Hint {
        seq: 0,
        victim: Some(node(n)[0]),
    };
    rig.said();
    rig.hear((GATEWAY, 7), &hint(first));
    rig.said();
    // No answer, for so long that another victim is asked.
    for _ in 0..40 {
        rig.now += 60_000;
        rig.said();
        rig.state(&[]);
    }
    assert!(rig.edge.stats().steals_unanswered > 0);
    rig.hear((GATEWAY, 7), &hint(second));
    rig.said();
    rig.hear(first, &given(1, &node(first)));
    let said = rig.said();
    assert!(
        said.contains(&Said::Failed {
            ask: 1,
            declined: true
        }),
        "{said:?}"
    );
    assert_eq!(rig.edge.jobs.len(), 0);
}
