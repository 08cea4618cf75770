//! Watches whether the gateway answers, and what the node reports about the gateway.

use std::net::SocketAddr;

use tessera_protocol::Micros;

/// Between two lines about a gateway that was never there.
const STILL_WAITING_US: Micros = 10_000_000;
/// Silence after which a gateway that was there is gone. It answers several times a second.
const GONE_AFTER_US: Micros = 3_000_000;

/// A change of the gateway's state that the node reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The gateway has admitted this node for the first time.
    Joined,
    /// The gateway has not answered since this node started.
    Absent,
    /// The gateway no longer answers.
    Gone,
    /// The gateway has admitted this node again.
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was never there; the next line about that is due then.
    Absent { complain_at: Micros },
    /// It answers.
    There,
    /// It has stopped to.
    Gone,
}

/// The gateway's state, as far as this node has heard.
#[derive(Debug)]
pub struct GatewayWatch {
    gateway: SocketAddr,
    state: State,
    /// Answers so far, and when the last one was seen.
    answers: u64,
    heard_at: Micros,
}

impl GatewayWatch {
    /// Watches a gateway that this node has not heard yet.
    pub fn new(gateway: SocketAddr, now: Micros) -> Self {
        Self {
            gateway,
            state: State::Absent {
                complain_at: now + STILL_WAITING_US / 10,
            },
            answers: 0,
            heard_at: now,
        }
    }

    /// Notes that the gateway is at another address from now on.
    pub const fn moved(&mut self, to: SocketAddr) {
        self.gateway = to;
    }

    /// The state, in words.
    pub fn state(&self) -> String {
        let gateway = self.gateway;
        match self.state {
            State::Absent { .. } => format!("waiting for the gateway at {gateway}"),
            State::There => format!("joined the gateway at {gateway}"),
            State::Gone => format!("the gateway at {gateway} does not answer"),
        }
    }

    /// The time of the next look, unless another event comes first.
    pub fn look_at(&self) -> Micros {
        match self.state {
            State::Absent { complain_at } => complain_at,
            State::There => self.heard_at + GONE_AFTER_US,
            State::Gone => Micros::MAX,
        }
    }

    /// Looks at the gateway after the node has handled all arrived datagrams; returns a change to report.
    pub fn look(&mut self, now: Micros, joined: bool, answers: u64) -> Option<News> {
        let gateway = self.gateway;
        let heard = answers != self.answers;
        if heard {
            (self.answers, self.heard_at) = (answers, now);
        }
        match self.state {
            State::Absent { .. } if joined => {
                self.state = State::There;
                self.heard_at = now;
                tracing::info!("joined the gateway at {gateway}");
                Some(News::Joined)
            }
            State::Absent { complain_at } if now >= complain_at => {
                self.state = State::Absent {
                    complain_at: now + STILL_WAITING_US,
                };
                if self.answers > 0 && now < self.heard_at + STILL_WAITING_US {
                    return None; // it is there, and turns this node away
                }
                tracing::warn!(
                    "waiting for the gateway at {gateway}; is it running, and with this address?"
                );
                Some(News::Absent)
            }
            State::There if now >= self.heard_at + GONE_AFTER_US => {
                self.state = State::Gone;
                tracing::warn!(
                    "the gateway at {gateway} does not answer any more; waiting for it to come back"
                );
                Some(News::Gone)
            }
            State::Gone if joined && heard => {
                self.state = State::There;
                tracing::info!("the gateway at {gateway} is back");
                Some(News::Back)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_said_once() {
        let mut w = GatewayWatch::new(([127, 0, 0, 1], 9).into(), 0);
        let second = 1_000_000;
        let looks = [
            (0, false, 0, None),
            (second, false, 0, Some(News::Absent)),
            (2 * second, false, 0, None),
            (11 * second, false, 0, Some(News::Absent)),
            (11 * second + 1, false, 1, None),
            (21 * second, false, 1, None),
            (31 * second, false, 1, Some(News::Absent)),
            (32 * second, true, 2, Some(News::Joined)),
            (34 * second, true, 5, None),
            (36 * second, true, 5, None),
            (37 * second, true, 5, Some(News::Gone)),
            (90 * second, true, 5, None),
            (91 * second, false, 6, None),
            (92 * second, true, 7, Some(News::Back)),
            // A node that stood still has not heard of its gateway, and hears of it first.
            (500 * second, true, 9, None),
        ];
        for (now, joined, answers, news) in looks {
            assert_eq!(w.look(now, joined, answers), news, "at {now}");
        }
    }
}
