//! The nodes that a gateway has turned away lately, for those who look on.

use std::{collections::VecDeque, net::SocketAddr};

use tessera_protocol::{Micros, NodeId, Notice, Refusal};

/// Most nodes that are remembered.
const NODES_MAX: usize = 32;
/// The machine speaks of a node that keeps asking every ten minutes; one of which it does not has given up.
const FORGET_US: Micros = 660_000_000;

/// A node that was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// The number that it claims.
    pub node: NodeId,
    /// Where it is.
    pub addr: SocketAddr,
    /// Why it may not take part.
    pub why: Refusal,
    /// When that was said last.
    pub at: Micros,
}

/// See the module.
#[derive(Debug, Default)]
pub struct AllTurnedAway(VecDeque<TurnedAway>);

impl AllTurnedAway {
    /// Hears a notice of the machine.
    pub fn hear(&mut self, now: Micros, notice: &Notice) {
        let (node, addr, refused) = match *notice {
            Notice::Refused {
                node, addr, why, ..
            } => (node, addr, Some(why)),
            Notice::Joined { node, addr } => (node, addr, None),
            _ => return,
        };
        self.0.retain(|t| (t.node, t.addr) != (node, addr));
        let Some(why) = refused else { return };
        if self.0.len() == NODES_MAX {
            self.0.pop_front();
        }
        let at = now;
        self.0.push_back(TurnedAway {
            node,
            addr,
            why,
            at,
        });
    }

    /// Those that still ask.
    pub fn now(&self, now: Micros) -> Vec<TurnedAway> {
        let recent = |t: &&TurnedAway| now.saturating_sub(t.at) < FORGET_US;
        self.0.iter().filter(recent).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::PlanPrefix;

    #[test]
    fn who_joins_or_gives_up_is_forgotten() {
        let mut all = AllTurnedAway::default();
        let addr = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let refused = |port| Notice::Refused {
            node: NodeId(1),
            addr: addr(port),
            why: Refusal::Plan,
            plan: PlanPrefix(7),
        };
        for port in 0..100 {
            all.hear(5, &refused(port));
            all.hear(5, &refused(port));
        }
        assert_eq!(all.now(6).len(), NODES_MAX);
        let node = NodeId(1);
        all.hear(
            7,
            &Notice::Joined {
                node,
                addr: addr(99),
            },
        );
        assert_eq!(all.now(8).len(), NODES_MAX - 1);
        assert_eq!(all.now(8)[0].addr, addr(68));
        assert_eq!(all.now(5 + FORGET_US), []);
    }
}
