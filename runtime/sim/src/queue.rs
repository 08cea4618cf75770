//! The event queue: events in the order of their time, and in the order of their creation at equal times.

use std::{cmp::Ordering, collections::BinaryHeap};

/// Pending events. `now` is the time of the last event taken.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    made: u64,
    now_us: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at_us: u64,
    number: u64,
    event: E,
}

impl<E> Entry<E> {
    const fn key(&self) -> (u64, u64) {
        (self.at_us, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, o: &Self) -> bool {
        self.key() == o.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl<E> Ord for Entry<E> {
    /// The heap's greatest entry is the earliest.
    fn cmp(&self, o: &Self) -> Ordering {
        o.key().cmp(&self.key())
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            made: 0,
            now_us: 0,
        }
    }
}

impl<E> Queue<E> {
    /// Current virtual time, in microseconds.
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Number of pending events.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Virtual time of the next event, in microseconds.
    pub fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|e| e.at_us)
    }

    /// Whether no event is pending.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Adds an event; a time that has passed means now.
    pub fn push(&mut self, at_us: u64, event: E) {
        let at_us = at_us.max(self.now_us);
        let number = self.made;
        self.made += 1;
        self.heap.push(Entry {
            at_us,
            number,
            event,
        });
    }

    /// Takes the next event that is due by `until_us`, and moves `now` to that event's time; without such an
    /// event, `now` becomes `until_us`.
    pub fn pop(&mut self, until_us: u64) -> Option<E> {
        if self.heap.peek().is_none_or(|e| e.at_us > until_us) {
            self.now_us = self.now_us.max(until_us);
            return None;
        }
        let e = self.heap.pop()?;
        self.now_us = e.at_us;
        Some(e.event)
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn ordered_by_time_then_by_making() {
        let mut q = Queue::default();
        for (at_us, e) in [(5, 'c'), (1, 'a'), (5, 'd'), (3, 'b'), (9, 'z')] {
            q.push(at_us, e);
        }
        let taken: String = std::iter::from_fn(|| q.pop(8)).collect();
        assert_eq!((taken.as_str(), q.now_us(), q.len()), ("abcd", 8, 1));
        q.push(2, 'y');
        assert_eq!((q.pop(8), q.now_us()), (Some('y'), 8));
    }
}
