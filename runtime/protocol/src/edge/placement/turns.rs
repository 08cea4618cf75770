//! The order of frames: the first frame is not to suffer from those behind it.
//!
//! While an earlier frame has a task for a board that nobody has yet, no task of a later frame goes to that board. The board
//! may idle for it: a task of a later frame that it began in the meantime would keep it for as long as the task takes. Where
//! boards compute for several sources, they do not idle: frames of the others come between in any case.

use std::collections::BTreeMap;

use super::{Situation, steal::sound};
use crate::FrameNumber;

/// In frames with more tasks nobody looks for those that nobody has.
const TASKS_MAX: usize = 1024;

/// For each board, the oldest frame that has a task for it which nobody has.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<u16, FrameNumber>);

impl Turns {
    /// The turns of all own frames in flight.
    pub fn new(s: &Situation<'_>) -> Self {
        let mut first = BTreeMap::new();
        // With one frame in flight it is that frame's turn everywhere.
        let alone = s.sources > 1 || sound(s).nth(1).is_none();
        if alone || s.info.tasks.len() > TASKS_MAX {
            return Self(first);
        }
        for (number, f) in sound(s) {
            let open = (f.tasks.iter()).filter(|(_, t)| t.needed() && !t.is_coming());
            for (task, _) in open {
                let home = s.info.tasks[task.index()].home;
                first.entry(home).or_insert(number);
            }
        }
        Self(first)
    }

    /// True when a task of this frame may go to a board.
    pub fn allow(&self, board: u16, number: FrameNumber) -> bool {
        self.0.get(&board).is_none_or(|first| number <= *first)
    }
}
