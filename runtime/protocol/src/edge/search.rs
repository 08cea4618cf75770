//! Search for work: asking the gateway for a victim, and the victim for a task.
//!
//! ```text
//!           wants_work                   victim                 task
//!  Resting ────────> AskingGateway ────────> AskingVictim ────────> Resting
//!     ^  └─────────────── last victim ───────────^  │
//!     │                     │ nobody                │ none, or no answer
//!     │<── work somewhere ─ Parked                  │
//!     └──────────────────────── pause ──────────────┘
//! ```

use super::{Edge, send::Outgoing};
use crate::{
    EdgeConfig, Micros, RequestId,
    peer::Peer,
    retry::Retry,
    wire::{Envelope, PeerAddress, Reject},
};

/// The state of a node's search for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The node does nothing before this time.
    Resting { until_us: Micros },
    /// No node has work; the gateway will report new work.
    Parked,
    /// The node has asked the gateway for a victim.
    AskingGateway { again: Retry },
    /// The node has asked a victim for a task.
    AskingVictim {
        victim: Peer,
        again: Retry,
        tries: u8,
    },
}

/// The search of this node.
#[derive(Debug)]
pub struct Search {
    state: State,
    /// Sequence number of the latest request for a victim.
    pub victim_seq: u32,
    /// Number of the latest request for a task.
    pub request: RequestId,
    /// Pause after the next failed request, in microseconds.
    pause_us: u64,
    /// The last victim, while the victim has tasks to give and the placement keeps it.
    last: Option<Peer>,
}

impl Search {
    /// Most requests to a victim that does not answer.
    const TRIES_MAX: u8 = 6;

    /// A search that starts at once.
    pub fn new(config: &EdgeConfig) -> Self {
        Self {
            state: State::Resting { until_us: 0 },
            victim_seq: 0,
            request: RequestId(0),
            pause_us: config.backoff_us[0],
            last: None,
        }
    }

    /// True when `envelope`'s sender may answer this request: the node waits for exactly this answer.
    pub fn asked(&self, envelope: &Envelope, request: RequestId) -> bool {
        matches!(self.state, State::AskingVictim { victim, .. }
            if victim.id == envelope.from && victim.incarnation == envelope.incarnation)
            && request == self.request
    }
}

impl Edge {
    /// True when this node wants another task.
    fn wants_work(&self, now_us: Micros) -> bool {
        self.link.joined() && self.policy().wants_work(&self.situation(now_us))
    }

    /// Takes the next step in search of work.
    pub(super) fn steal(&mut self, now_us: Micros) {
        let most = self.config.retry_us[1];
        match self.search.state {
            State::Parked => {}
            State::Resting { until_us } => {
                if until_us <= now_us && self.wants_work(now_us) {
                    match self.search.last {
                        Some(victim) => self.ask_victim(now_us, victim),
                        None => self.ask_gateway(now_us),
                    }
                }
            }
            State::AskingGateway { again } if again.is_due(now_us) => {
                if self.wants_work(now_us) {
                    let again = again.repeat(now_us, most);
                    self.search.state = State::AskingGateway { again };
                    self.enqueue(Outgoing::StealGateway);
                } else {
                    self.search.state = State::Resting { until_us: now_us };
                }
            }
            State::AskingVictim {
                victim,
                again,
                tries,
            } if again.is_due(now_us) => {
                if tries >= Search::TRIES_MAX {
                    self.stats.steals_unanswered += 1;
                    self.back_off(now_us);
                } else {
                    self.search.state = State::AskingVictim {
                        victim,
                        again: again.repeat(now_us, most),
                        tries: tries + 1,
                    };
                    self.enqueue(Outgoing::StealClient { victim });
                }
            }
            State::AskingGateway { .. } | State::AskingVictim { .. } => {}
        }
    }

    /// When the search continues.
    pub(super) fn search_next(&self, now_us: Micros) -> Option<Micros> {
        match self.search.state {
            State::Parked => None,
            State::Resting { until_us } => self.wants_work(now_us).then_some(until_us),
            State::AskingGateway { again } | State::AskingVictim { again, .. } => Some(again.at_us),
        }
    }

    fn ask_gateway(&mut self, now_us: Micros) {
        self.search.victim_seq += 1;
        self.stats.hints_asked += 1;
        let [first, most] = self.config.retry_us;
        self.search.state = State::AskingGateway {
            again: Retry::after(now_us, first, most),
        };
        self.enqueue(Outgoing::StealGateway);
    }

    fn ask_victim(&mut self, now_us: Micros, victim: Peer) {
        self.search.request.0 += 1;
        self.stats.steals_asked += 1;
        let [first, most] = self.config.retry_us;
        self.search.state = State::AskingVictim {
            victim,
            again: Retry::after(now_us, first, most),
            tries: 1,
        };
        self.enqueue(Outgoing::StealClient { victim });
    }

    pub(super) fn back_off(&mut self, now_us: Micros) {
        self.search.last = None;
        let pause_us = self.search.pause_us;
        self.search.pause_us = (pause_us * 2).min(self.config.backoff_us[1]);
        self.search.state = State::Resting {
            until_us: now_us + pause_us,
        };
    }

    /// Restarts the search: a new gateway knows of no request.
    pub(super) fn search_restart(&mut self) {
        if matches!(
            self.search.state,
            State::Parked | State::AskingGateway { .. }
        ) {
            self.search.state = State::Resting { until_us: 0 };
        }
    }

    /// Notes that the gateway knows a node with tasks.
    pub(super) fn work_somewhere(&mut self, now_us: Micros) {
        if self.search.state == State::Parked {
            self.search.state = State::Resting { until_us: now_us };
        }
    }

    /// Notes that a victim has given a task: the search may continue at once.
    pub(super) fn task_found(&mut self, now_us: Micros, victim: Peer) {
        self.search.pause_us = self.config.backoff_us[0];
        let keeps = self.policy().keeps_victim(&self.info);
        self.search.last = keeps.then_some(victim);
        self.search.state = State::Resting { until_us: now_us };
    }

    /// Pauses the search: a task has no room until other nodes' objects are released.
    pub(super) fn no_room(&mut self, now_us: Micros) {
        self.search.pause_us = self.config.backoff_us[1];
        self.back_off(now_us);
    }

    pub(super) fn on_victim(
        &mut self,
        now_us: Micros,
        seq: u32,
        victim: Option<PeerAddress>,
    ) -> Result<(), Reject> {
        let asked = matches!(self.search.state, State::AskingGateway { .. })
            && seq == self.search.victim_seq;
        let waits = matches!(self.search.state, State::Parked | State::Resting { .. });
        if !asked
            && !(seq == 0 && (waits || matches!(self.search.state, State::AskingGateway { .. })))
        {
            return Err(Reject::Unexpected);
        }
        match victim.as_ref().map(Peer::from) {
            Some(victim) if victim.id != self.config.id => {
                self.stats.hints_found += 1;
                if self.policy().waits() {
                    self.learn_source(now_us, victim);
                    self.back_off(now_us);
                } else if self.wants_work(now_us) {
                    self.ask_victim(now_us, victim);
                } else {
                    self.search.state = State::Resting { until_us: now_us };
                }
            }
            // The gateway remembers that this node asked in vain.
            _ => self.search.state = State::Parked,
        }
        Ok(())
    }

    pub(super) fn on_no_work(
        &mut self,
        now_us: Micros,
        envelope: &Envelope,
        request: RequestId,
    ) -> Result<(), Reject> {
        if self.wants.heard(now_us, envelope, request) {
            return Ok(());
        }
        if !self.search.asked(envelope, request) {
            return Err(Reject::Unexpected);
        }
        self.stats.steals_empty += 1;
        self.back_off(now_us);
        Ok(())
    }
}
