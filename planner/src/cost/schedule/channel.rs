//! The channel that all boards share, as a fluid: all busy paths have an equal share of the channel.
//!
//! A path leads from a holder to a receiver. The transfers of a path run one after the other, in the order of
//! the receiver's requests. The size of a transfer is the seconds that the transfer takes on a free channel, so
//! that links of several speeds can share the channel.

use std::collections::{BTreeMap, VecDeque};

/// The transfers under way, each with a tag that names its purpose.
#[derive(Debug)]
pub(super) struct Channel<T> {
    now_s: f64,
    /// Seconds left of each transfer, for every busy path.
    paths: BTreeMap<Path, VecDeque<(f64, T)>>,
    /// Seconds during which at least one path was busy.
    pub busy_s: f64,
}

/// Holder and receiver of transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub holder: usize,
    pub receiver: usize,
}

/// The transfer that ends next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NextEnd {
    pub at_s: f64,
    path: Path,
}

impl<T> Channel<T> {
    /// A channel without transfers.
    pub const fn new() -> Self {
        Self {
            now_s: 0.0,
            paths: BTreeMap::new(),
            busy_s: 0.0,
        }
    }

    /// Starts a transfer at `now_s` that takes `seconds` on a free channel.
    pub fn send(&mut self, now_s: f64, path: Path, seconds: f64, tag: T) {
        self.advance(now_s);
        self.paths
            .entry(path)
            .or_default()
            .push_back((seconds, tag));
    }

    /// The transfer that ends next, unless another transfer starts before; `None` if there are no transfers.
    pub fn next_end(&self) -> Option<NextEnd> {
        let left = (self.paths.iter()).filter_map(|(path, queue)| Some((*path, queue.front()?.0)));
        let (path, left_s) = left.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(NextEnd {
            at_s: self.now_s + left_s.max(0.0) * self.share(),
            path,
        })
    }

    /// Ends the transfer that [`Self::next_end`] has named; returns the transfer's tag.
    pub fn end(&mut self, next: NextEnd) -> Option<T> {
        self.advance(next.at_s);
        let queue = self.paths.get_mut(&next.path)?;
        let ended = queue.pop_front();
        if queue.is_empty() {
            self.paths.remove(&next.path);
        }
        ended.map(|(_, tag)| tag)
    }

    fn advance(&mut self, to_s: f64) {
        let passed_s = (to_s - self.now_s).max(0.0);
        self.now_s = self.now_s.max(to_s);
        if self.paths.is_empty() {
            return;
        }
        self.busy_s += passed_s;
        let each_s = passed_s / self.share();
        let fronts = self.paths.values_mut().filter_map(VecDeque::front_mut);
        fronts.for_each(|(left_s, _)| *left_s -= each_s);
    }

    /// Number of busy paths.
    #[expect(clippy::cast_precision_loss, reason = "few boards")]
    fn share(&self) -> f64 {
        self.paths.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of all transfers.
    fn ends(channel: &mut Channel<char>) -> Vec<(f64, char)> {
        let mut list = Vec::new();
        while let Some(next) = channel.next_end() {
            list.extend(channel.end(next).map(|tag| (next.at_s, tag)));
        }
        list
    }

    const fn path(holder: usize, receiver: usize) -> Path {
        Path { holder, receiver }
    }

    #[test]
    fn a_holder_sends_one_thing_after_the_other() {
        let mut channel = Channel::new();
        channel.send(1.0, path(0, 1), 2.0, 'a');
        channel.send(1.5, path(0, 1), 1.0, 'b');
        assert_eq!(ends(&mut channel), [(3.0, 'a'), (4.0, 'b')]);
        assert_eq!(channel.busy_s, 3.0);
    }

    #[test]
    fn paths_share() {
        let mut channel = Channel::new();
        channel.send(0.0, path(0, 1), 2.0, 'a');
        channel.send(1.0, path(2, 1), 3.0, 'b');
        // One second alone, two seconds shared; then `b` has two left.
        assert_eq!(ends(&mut channel), [(3.0, 'a'), (5.0, 'b')]);
        assert_eq!(channel.next_end(), None);
        channel.send(7.0, path(0, 2), 1.0, 'c');
        assert_eq!(ends(&mut channel), [(8.0, 'c')]);
        assert_eq!(channel.busy_s, 6.0);
    }
}
