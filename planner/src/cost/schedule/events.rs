//! Events of a schedule, in the order of their times.

use std::{cmp::Ordering, collections::BinaryHeap};

/// Kinds of events in virtual time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A board's request for a task reaches the source.
    Asked { board: usize },
    /// The inputs of a task may begin to travel to its board.
    Inputs { task: usize },
    /// An input of a task that was given early may begin to travel: its producer has made it since.
    Made { task: usize, producer: usize },
    /// The source learns that a home board computes, and has room beside.
    Room,
    /// A task is computed.
    Computed { task: usize },
    /// The source learns that a task is computed.
    Known { task: usize },
    /// Rows of an input of a task that was given early are made: its producer computes on.
    Rows { task: usize, producer: usize },
    /// What the gateway passes on of a task's outputs, or of the frame, may begin to travel to the gateway.
    Relay { maker: Option<usize> },
    /// The source learns that the gateway has that.
    Relayed { maker: Option<usize> },
    /// Part `part` of a task's result is made, and travels to the gateway.
    Result { task: usize, part: usize },
}

/// An event and its time. The earliest event is the greatest; events of one time keep the order in which they
/// were foreseen.
#[derive(Clone, Copy, Debug)]
struct Timed {
    at_s: f64,
    order: usize,
    event: Event,
}

impl PartialEq for Timed {
    fn eq(&self, o: &Self) -> bool {
        self.cmp(o) == Ordering::Equal
    }
}

impl Eq for Timed {}

impl Ord for Timed {
    fn cmp(&self, o: &Self) -> Ordering {
        o.at_s.total_cmp(&self.at_s).then(o.order.cmp(&self.order))
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

/// The events to come.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Timed>,
    foreseen: usize,
}

impl Events {
    /// Adds an event at `at_s`.
    pub fn foresee(&mut self, at_s: f64, event: Event) {
        let order = self.foreseen;
        self.heap.push(Timed { at_s, order, event });
        self.foreseen += 1;
    }

    /// Number of events that were ever foreseen.
    pub const fn foreseen(&self) -> usize {
        self.foreseen
    }

    /// Time of the next event.
    pub fn next_s(&self) -> Option<f64> {
        self.heap.peek().map(|e| e.at_s)
    }

    /// The next event, and its time.
    pub fn pop(&mut self) -> Option<(f64, Event)> {
        self.heap.pop().map(|e| (e.at_s, e.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_foreseen() {
        let mut events = Events::default();
        for (at_s, board) in [(2.0, 1), (1.0, 2), (2.0, 3)] {
            events.foresee(at_s, Event::Asked { board });
        }
        assert_eq!((events.next_s(), events.foreseen()), (Some(1.0), 3));
        let mut boards = Vec::new();
        while let Some((_, Event::Asked { board })) = events.pop() {
            boards.push(board);
        }
        assert_eq!(boards, [2, 1, 3]);
    }
}
