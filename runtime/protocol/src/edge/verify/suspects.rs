//! Boards that were wrong, do not hand over what they made, or take tasks and do not end them.

use std::collections::BTreeMap;

use crate::{Micros, NodeId};

/// What a source remembers of a board. Of the board, not of its process: a restart makes nothing right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Suspect {
    /// How often it was found to be wrong.
    wrong: u8,
    /// Checks in a row to which it did not hand over its outputs.
    silent: u8,
    /// Tasks in a row that it was given and did not end in time.
    late: u8,
    /// Tasks in a row that others took over because they were late there.
    taken_over: u8,
    /// Until when it gets no tasks for that.
    rests_until_us: Micros,
}

/// All such boards, within a bound.
#[derive(Debug, Default)]
pub struct Suspects {
    known: BTreeMap<NodeId, Suspect>,
}

impl Suspects {
    /// A board that was wrong so often gets no more tasks.
    pub const WRONG_MAX: u8 = 2;
    /// Checks in a row without outputs after which a board gets no tasks for a while.
    pub const SILENT_MAX: u8 = 4;
    /// That while, in microseconds. It is not for ever, since a network may be at fault.
    pub const REST_US: u64 = 30_000_000;
    /// How long a board gets no tasks after one that it did not end, in microseconds; four times as long after each further
    /// one, up to [`Self::LATE_US_MAX`]. So a board that takes tasks and does nothing costs a few tasks' time, and then next to
    /// none; one that was restarted is soon asked again.
    const LATE_US: u64 = 1_000_000;
    const LATE_US_MAX: u64 = 256_000_000;
    /// Tasks in a row that others took over, after which a board counts as late with one: a slow board ends some in between.
    const TAKEN_OVER_MAX: u8 = 4;
    /// Most boards: as many as nodes know each other.
    const KNOWN_MAX: usize = 1024;

    /// True if a board was wrong too often: nothing of it counts.
    pub fn is_left_out(&self, board: NodeId) -> bool {
        let known = self.known.get(&board);
        known.is_some_and(|s| s.wrong >= Self::WRONG_MAX)
    }

    /// True while a board is to get no tasks.
    pub fn is_out(&self, now_us: Micros, board: NodeId) -> bool {
        let rests = |s: &Suspect| s.rests_until_us > now_us;
        self.is_left_out(board) || self.known.get(&board).is_some_and(rests)
    }

    /// Notes that a board was wrong. Returns how often it was.
    pub fn wrong(&mut self, board: NodeId) -> u8 {
        let Some(s) = self.entry(board) else {
            return 1;
        };
        s.wrong = s.wrong.saturating_add(1);
        s.wrong
    }

    /// Notes that a board did not hand over what it had made. Returns true if it rests now.
    pub fn silent(&mut self, now_us: Micros, board: NodeId) -> bool {
        let Some(s) = self.entry(board) else {
            return false;
        };
        s.silent = s.silent.saturating_add(1);
        let rests = s.silent >= Self::SILENT_MAX;
        if rests {
            (s.silent, s.rests_until_us) = (0, now_us.saturating_add(Self::REST_US));
        }
        rests
    }

    /// Notes that a board has not ended a task in time.
    pub fn late(&mut self, now_us: Micros, board: NodeId) {
        let Some(s) = self.entry(board) else {
            return;
        };
        let shift = 2 * u32::from(s.late.min(8));
        let rest_us = (Self::LATE_US << shift).min(Self::LATE_US_MAX);
        s.late = s.late.saturating_add(1);
        s.rests_until_us = s.rests_until_us.max(now_us.saturating_add(rest_us));
    }

    /// Notes that another node takes over a task that is late at a board. Returns true if the board counts as late with that.
    pub fn taken_over(&mut self, board: NodeId) -> bool {
        let Some(s) = self.entry(board) else {
            return false;
        };
        s.taken_over = s.taken_over.saturating_add(1);
        let late = s.taken_over >= Self::TAKEN_OVER_MAX;
        if late {
            s.taken_over = 0;
        }
        late
    }

    /// Notes that a board has ended a task.
    pub fn ended(&mut self, board: NodeId) {
        if let Some(s) = self.known.get_mut(&board) {
            (s.late, s.taken_over) = (0, 0);
        }
    }

    /// Notes that a board made what it should, and handed it over.
    pub fn proved(&mut self, board: NodeId) {
        if let Some(s) = self.known.get_mut(&board) {
            s.silent = 0;
        }
    }

    fn entry(&mut self, board: NodeId) -> Option<&mut Suspect> {
        if self.known.len() >= Self::KNOWN_MAX && !self.known.contains_key(&board) {
            let harmless = self.known.iter().find(|(_, s)| s.wrong == 0);
            let id = harmless.map(|(&id, _)| id)?;
            self.known.remove(&id);
        }
        Some(self.known.entry(board).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_errors_are_one_too_many_and_silence_passes() {
        let mut all = Suspects::default();
        let (a, b) = (NodeId(1), NodeId(2));
        assert_eq!(all.wrong(a), 1);
        assert!(!all.is_out(0, a));
        assert_eq!(all.wrong(a), 2);
        assert!(all.is_out(u64::MAX, a) && !all.is_out(0, b));
        for k in 1..=Suspects::SILENT_MAX {
            assert_eq!(all.silent(5, b), k == Suspects::SILENT_MAX);
        }
        assert!(all.is_out(5, b) && !all.is_out(5 + Suspects::REST_US, b));
        for _ in 0..20 {
            all.silent(5, NodeId(3));
            all.proved(NodeId(3));
        }
        assert!(!all.is_out(5, NodeId(3)));
    }

    #[test]
    fn who_ends_nothing_is_asked_less_and_less() {
        let mut all = Suspects::default();
        let (mut now_us, mut given) = (0, 0);
        while now_us < 600_000_000 {
            if !all.is_out(now_us, NodeId(4)) {
                given += 1;
                all.late(now_us, NodeId(4));
            }
            now_us += 100_000;
        }
        assert!((5..9).contains(&given), "{given}");
        all.ended(NodeId(4));
        all.late(now_us, NodeId(4));
        now_us += 700_000_000;
        assert!(!all.is_out(now_us, NodeId(4)));
    }

    #[test]
    fn who_ends_some_of_its_tasks_is_not_late() {
        let mut all = Suspects::default();
        for _ in 0..20 {
            assert!(!all.taken_over(NodeId(5)) && !all.taken_over(NodeId(5)));
            all.ended(NodeId(5));
        }
        let late = (1..=8).filter(|_| all.taken_over(NodeId(5)));
        assert_eq!(late.collect::<Vec<_>>(), [4, 8]);
    }

    #[test]
    fn the_table_has_a_bound_and_keeps_who_was_wrong() {
        let mut all = Suspects::default();
        all.wrong(NodeId(7));
        all.wrong(NodeId(7));
        for id in 8..5000 {
            all.silent(0, NodeId(id));
        }
        assert_eq!(all.known.len(), Suspects::KNOWN_MAX);
        assert!(all.is_out(0, NodeId(7)));
    }
}
