//! How this board is, told to the gateway. Nobody acknowledges it and nothing is repeated: the next one takes its place.

use super::{Edge, send::Outgoing};
use crate::{Condition, Micros, wire::Message};

/// What the shell said of the board, and what the gateway heard.
#[derive(Debug, Default)]
pub struct ToldCondition {
    latest: Option<Condition>,
    /// The gateway has not been told of the latest.
    is_new: bool,
    /// Number of the last message.
    seq: u32,
    /// When the gateway was told last.
    told_us: Option<Micros>,
}

impl ToldCondition {
    /// Least time between two messages, in microseconds.
    const EVERY_US: u64 = 10_000_000;

    /// Takes how the board is now.
    pub const fn set(&mut self, condition: Condition) {
        (self.latest, self.is_new) = (Some(condition), true);
    }

    /// Another process of the gateway, or this one anew, knows nothing.
    pub const fn joined(&mut self) {
        (self.is_new, self.told_us) = (self.latest.is_some(), None);
    }

    /// Whether it is time to tell; then it counts as told.
    fn take_due(&mut self, now_us: Micros) -> bool {
        let rests = |at| now_us < at + Self::EVERY_US;
        if !self.is_new || self.told_us.is_some_and(rests) {
            return false;
        }
        (self.is_new, self.told_us) = (false, Some(now_us));
        true
    }

    /// The message that tells of the latest.
    pub fn next(&mut self) -> Option<Message<'static>> {
        let condition = self.latest?;
        self.seq += 1;
        let seq = self.seq;
        Some(Message::Condition { seq, condition })
    }
}

impl Edge {
    /// Lets a message about the board follow the heartbeat that was just written, if it is time.
    pub(super) fn tell_condition(&mut self, now_us: Micros) {
        if self.link.joined() && self.condition.take_due(now_us) {
            self.outgoing.push_front(Outgoing::Condition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::edge_alone::{EdgeAlone, Sent};
    use super::*;
    use crate::{
        EdgeInput, GATEWAY, Ticket,
        wire::{ClusterState, MessageKind, Verdict},
    };

    const WARM: Condition = Condition {
        temperature_centi_c: Some(5_050),
        throttled: None,
        memory_available_mib: Some(300),
        memory_mib: Some(900),
        busy_permille: Some(500),
        signal_dbm: None,
    };

    /// Times at which the gateway is told within so many seconds, in hundredths of a second.
    fn told(rig: &mut EdgeAlone, seconds: u64, given: impl Fn(u64) -> bool) -> Vec<u64> {
        let begun = rig.now_us;
        let mut times = Vec::new();
        for turn in 0..seconds * 100 {
            if given(turn) {
                rig.input(EdgeInput::Condition(WARM));
            }
            rig.input(EdgeInput::Tick);
            let sent = rig.sent();
            let at = sent
                .iter()
                .position(|s| *s == Sent::Other(MessageKind::Condition));
            if let Some(at) = at {
                assert!(matches!(sent[at - 1], Sent::Heartbeat { .. }), "{sent:?}");
                times.push((rig.now_us - begun) / 10_000);
            }
            if sent.iter().any(|s| matches!(s, Sent::Heartbeat { .. })) {
                rig.state(&[]);
            }
            rig.now_us += 10_000;
        }
        times
    }

    #[test]
    fn a_board_that_says_nothing_is_not_told_of() {
        let mut rig = EdgeAlone::new(|_| {});
        assert_eq!(told(&mut rig, 30, |_| false), []);
    }

    #[test]
    fn the_gateway_is_told_with_heartbeats_and_seldom() {
        let mut rig = EdgeAlone::new(|_| {});
        // Said a hundred times a second.
        let times = told(&mut rig, 35, |_| true);
        assert_eq!(times.len(), 4, "{times:?}");
        assert!(times[0] <= 50, "with the first heartbeat: {times:?}");
        assert!(times.windows(2).all(|t| t[1] - t[0] >= 1000), "{times:?}");
    }

    #[test]
    fn nothing_is_told_twice_unless_the_gateway_has_forgotten() {
        let mut rig = EdgeAlone::new(|_| {});
        assert_eq!(told(&mut rig, 30, |turn| turn == 0).len(), 1);
        rig.now_us += 1_000_000;
        rig.input(EdgeInput::Tick);
        rig.sent();
        let forgot = ClusterState {
            seq: rig.heartbeats,
            verdict: Verdict::Register,
            ticket: Ticket::default(),
            contested: false,
            work: false,
            frames: &[],
            nodes: &[],
        };
        rig.receive((GATEWAY, 7), &Message::State(forgot));
        assert_eq!(told(&mut rig, 30, |_| false).len(), 1, "joined anew");
    }
}
