//! Search for work: asking the gateway for a victim, and the victim for a task.
//!
//! ```text
//!           hungry                   victim                 task
//!  Resting ────────> AskingGateway ────────> AskingVictim ────────> Resting
//!     ^  └─────────────── last victim ───────────^  │
//!     │                     │ nobody                │ none, or no answer
//!     │<── work somewhere ─ Parked                  │
//!     └──────────────────────── pause ──────────────┘
//! ```

use super::{Edge, next_pause, say::Post};
use crate::{
    EdgeConfig, Now,
    peer::Peer,
    wire::{Envelope, Node, Reject},
};

/// What this node does about having nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing before then.
    Resting { until: Now },
    /// Nobody has work; the gateway will tell when somebody has.
    Parked,
    /// The gateway was asked for a victim.
    AskingGateway { again: (Now, u64) },
    /// A victim was asked for a task.
    AskingVictim {
        victim: Peer,
        again: (Now, u64),
        tries: u8,
    },
}

/// The search of this node.
#[derive(Debug)]
pub struct Search {
    state: State,
    /// Number of the latest request for a victim.
    pub hint: u32,
    /// Number of the latest request for a task.
    pub ask: u32,
    /// Pause after the next disappointment.
    pause: u64,
    /// The last victim, while it has tasks to give and the placement keeps it.
    last: Option<Peer>,
}

impl Search {
    /// Requests to a victim that does not answer.
    const MOST_TRIES: u8 = 6;

    /// It will look for work at once.
    pub fn new(config: &EdgeConfig) -> Self {
        Self {
            state: State::Resting { until: 0 },
            hint: 0,
            ask: 0,
            pause: config.backoff[0],
            last: None,
        }
    }

    /// Whether request `ask` to `envelope`'s sender is the one that waits for its answer.
    pub fn asked(&self, envelope: &Envelope, ask: u32) -> bool {
        matches!(self.state, State::AskingVictim { victim, .. }
            if victim.id == envelope.from && victim.epoch == envelope.epoch)
            && ask == self.ask
    }
}

impl Edge {
    /// Whether another task would be welcome.
    fn hungry(&self) -> bool {
        self.link.joined() && self.config.placement.wants_work(&self.situation())
    }

    /// Takes the next step in search of work.
    pub(super) fn steal(&mut self, now: Now) {
        let most = self.config.retry[1];
        match self.search.state {
            State::Parked => {}
            State::Resting { until } => {
                if until <= now && self.hungry() {
                    match self.search.last {
                        Some(victim) => self.ask(now, victim),
                        None => self.ask_hint(now),
                    }
                }
            }
            State::AskingGateway { again } if again.0 <= now => {
                if self.hungry() {
                    let again = next_pause(now, again.1, most);
                    self.search.state = State::AskingGateway { again };
                    self.send(Post::HintAsk);
                } else {
                    self.search.state = State::Resting { until: now };
                }
            }
            State::AskingVictim {
                victim,
                again,
                tries,
            } if again.0 <= now => {
                if tries >= Search::MOST_TRIES {
                    self.stats.steals_unanswered += 1;
                    self.disappointed(now);
                } else {
                    self.search.state = State::AskingVictim {
                        victim,
                        again: next_pause(now, again.1, most),
                        tries: tries + 1,
                    };
                    self.send(Post::StealAsk { victim });
                }
            }
            State::AskingGateway { .. } | State::AskingVictim { .. } => {}
        }
    }

    /// When the search goes on.
    pub(super) fn search_next(&self) -> Option<Now> {
        match self.search.state {
            State::Parked => None,
            State::Resting { until } => self.hungry().then_some(until),
            State::AskingGateway { again } | State::AskingVictim { again, .. } => Some(again.0),
        }
    }

    fn ask_hint(&mut self, now: Now) {
        self.search.hint += 1;
        self.stats.hints_asked += 1;
        let [first, most] = self.config.retry;
        self.search.state = State::AskingGateway {
            again: next_pause(now, first, most),
        };
        self.send(Post::HintAsk);
    }

    fn ask(&mut self, now: Now, victim: Peer) {
        self.search.ask += 1;
        self.stats.steals_asked += 1;
        let [first, most] = self.config.retry;
        self.search.state = State::AskingVictim {
            victim,
            again: next_pause(now, first, most),
            tries: 1,
        };
        self.send(Post::StealAsk { victim });
    }

    pub(super) fn disappointed(&mut self, now: Now) {
        self.search.last = None;
        let (until, pause) = next_pause(now, self.search.pause, self.config.backoff[1]);
        self.search.pause = pause;
        self.search.state = State::Resting { until };
    }

    /// A new gateway knows of no request.
    pub(super) fn search_restart(&mut self) {
        if matches!(
            self.search.state,
            State::Parked | State::AskingGateway { .. }
        ) {
            self.search.state = State::Resting { until: 0 };
        }
    }

    /// The gateway knows somebody who has tasks.
    pub(super) fn work_somewhere(&mut self, now: Now) {
        if self.search.state == State::Parked {
            self.search.state = State::Resting { until: now };
        }
    }

    /// A victim has given a task: the search may go on at once.
    pub(super) fn task_found(&mut self, now: Now, victim: Peer) {
        self.search.pause = self.config.backoff[0];
        let keeps = self.config.placement.keeps_victim(&self.info);
        self.search.last = keeps.then_some(victim);
        self.search.state = State::Resting { until: now };
    }

    /// There is no room for a task before something of others' is over.
    pub(super) fn no_room(&mut self, now: Now) {
        self.search.pause = self.config.backoff[1];
        self.disappointed(now);
    }

    pub(super) fn on_hint(
        &mut self,
        now: Now,
        seq: u32,
        victim: Option<Node>,
    ) -> Result<(), Reject> {
        let asked =
            matches!(self.search.state, State::AskingGateway { .. }) && seq == self.search.hint;
        let waits = matches!(self.search.state, State::Parked | State::Resting { .. });
        if !asked
            && !(seq == 0 && (waits || matches!(self.search.state, State::AskingGateway { .. })))
        {
            return Err(Reject::Unexpected);
        }
        match victim.as_ref().map(Peer::from) {
            Some(victim) if victim.id != self.config.id => {
                self.stats.hints_found += 1;
                if self.hungry() {
                    self.ask(now, victim);
                } else {
                    self.search.state = State::Resting { until: now };
                }
            }
            // The gateway remembers that this node asked in vain.
            _ => self.search.state = State::Parked,
        }
        Ok(())
    }

    pub(super) fn on_no_work(
        &mut self,
        now: Now,
        envelope: &Envelope,
        ask: u32,
    ) -> Result<(), Reject> {
        if !self.search.asked(envelope, ask) {
            return Err(Reject::Unexpected);
        }
        self.stats.steals_empty += 1;
        self.disappointed(now);
        Ok(())
    }
}
