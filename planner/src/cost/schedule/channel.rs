//! The media between boards, as fluids: all busy paths over a medium have an equal share of it.
//!
//! A path leads from a holder to a receiver, over one medium or two. The transfers of a path run one after the
//! other, in the order of the receiver's requests, at the speed of the medium that the path has the smaller share
//! of. The size of a transfer is the seconds that the transfer takes on free media, so that links of several speeds
//! can share a medium.

use std::collections::VecDeque;

use crate::boards::Medium;

/// The transfers under way, each with a tag that names its purpose.
#[derive(Debug)]
pub(super) struct Channel<T> {
    now_s: f64,
    /// For every node: its way out, its way in, and the part of its link's rate that the node itself can keep up with.
    nodes: Vec<(usize, usize, f64)>,
    /// For every way: the number of busy paths over it.
    busy: Vec<usize>,
    /// The busy paths, ascending.
    paths: Vec<Busy<T>>,
    /// Whether paths have become busy or idle since speeds were shared out.
    has_changed: bool,
    /// What ends next, if that is known.
    next: Option<NextEnd>,
    /// Queues of paths that are idle now.
    spare: Vec<VecDeque<Travelling<T>>>,
    /// Seconds of use: a second in which paths have half of a medium counts half.
    pub busy_s: f64,
    /// For every node: the rate of its link, and the bytes that it has sent and received. Empty where nobody asks.
    moved: Vec<(f64, f64)>,
}

/// Holder and receiver of transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub holder: usize,
    pub receiver: usize,
}

/// A path with transfers.
#[derive(Debug)]
struct Busy<T> {
    path: Path,
    queue: VecDeque<Travelling<T>>,
    /// The part of its link's rate that the path has: a share of the busier of its media, as far as its nodes keep up.
    speed: f64,
}

/// A transfer.
#[derive(Debug)]
struct Travelling<T> {
    /// Seconds left on free media.
    left_s: f64,
    /// When the transfer became the first of its path.
    begun_s: f64,
    tag: T,
}

/// A transfer that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ended<T> {
    /// When the transfer became the first of its path.
    pub begun_s: f64,
    pub tag: T,
    /// The transfer of the same path that begins now.
    pub next: Option<T>,
}

/// A medium in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Shared(usize),
    Out(usize),
    In(usize),
}

/// The transfer that ends next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NextEnd {
    pub at_s: f64,
    /// Index of its path.
    at: usize,
}

impl<T: Copy> Channel<T> {
    /// Media without transfers. `nodes` has the medium of every node, and the part of its link's rate that the node can
    /// keep up with, above 0 and at most 1.
    pub fn new(nodes: impl IntoIterator<Item = (Medium, f64)>) -> Self {
        let mut ways: Vec<Way> = Vec::new();
        let mut number = |way: Way| {
            ways.iter().position(|w| *w == way).unwrap_or_else(|| {
                ways.push(way);
                ways.len() - 1
            })
        };
        let nodes = nodes.into_iter().enumerate().map(|(node, (medium, kept))| {
            let [out, into] = match medium {
                Medium::Shared(n) => [Way::Shared(n); 2],
                Medium::Switched => [Way::Out(node), Way::In(node)],
            };
            (number(out), number(into), kept)
        });
        let nodes = nodes.collect();
        Self {
            now_s: 0.0,
            nodes,
            busy: vec![0; ways.len()],
            paths: Vec::new(),
            has_changed: false,
            next: None,
            spare: Vec::new(),
            busy_s: 0.0,
            moved: Vec::new(),
        }
    }

    /// Counts the bytes of every node from now on; `rates` has the bytes per second of each node's link.
    pub fn count_bytes(&mut self, rates: impl IntoIterator<Item = f64>) {
        self.moved = rates.into_iter().map(|rate| (rate, 0.0)).collect();
    }

    /// Bytes that a node has sent and received until `now_s`; 0 where they are not counted.
    pub fn moved_bytes(&mut self, now_s: f64, node: usize) -> f64 {
        if self.moved.is_empty() {
            return 0.0;
        }
        self.advance(now_s);
        self.moved[node].1
    }

    /// Starts a transfer at `now_s` that takes `seconds` on a free channel. False if it waits for others of its path.
    pub fn send(&mut self, now_s: f64, path: Path, seconds: f64, tag: T) -> bool {
        self.advance(now_s);
        let sent = Travelling {
            left_s: seconds,
            begun_s: now_s,
            tag,
        };
        match self.paths.binary_search_by_key(&path, |p| p.path) {
            Ok(at) => {
                self.paths[at].queue.push_back(sent);
                false
            }
            Err(at) => {
                let mut queue = self.spare.pop().unwrap_or_default();
                queue.push_back(sent);
                let speed = 0.0;
                self.paths.insert(at, Busy { path, queue, speed });
                self.count(path, |n| n + 1);
                true
            }
        }
    }

    /// The transfer that ends next, unless another transfer starts before; `None` if there are no transfers.
    pub fn next_end(&mut self) -> Option<NextEnd> {
        if self.next.is_none() {
            self.share_out();
            self.next = self.first_end();
        }
        self.next
    }

    fn first_end(&self) -> Option<NextEnd> {
        let left = self.paths.iter().enumerate().filter_map(|(at, p)| {
            let first = p.queue.front()?;
            Some((at, first.left_s.max(0.0) / p.speed))
        });
        let (at, left_s) = left.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(NextEnd {
            at_s: self.now_s + left_s,
            at,
        })
    }

    /// Ends the transfer that [`Self::next_end`] has named.
    pub fn end(&mut self, next: NextEnd) -> Option<Ended<T>> {
        self.advance(next.at_s);
        let busy = self.paths.get_mut(next.at)?;
        let ended = busy.queue.pop_front()?;
        let follower = busy.queue.front_mut().map(|first| {
            first.begun_s = next.at_s;
            first.tag
        });
        if follower.is_none() {
            let Busy { path, queue, .. } = self.paths.remove(next.at);
            self.spare.push(queue);
            self.count(path, |n| n - 1);
        }
        Some(Ended {
            begun_s: ended.begun_s,
            tag: ended.tag,
            next: follower,
        })
    }

    fn advance(&mut self, to_s: f64) {
        self.next = None;
        let passed_s = (to_s - self.now_s).max(0.0);
        self.now_s = self.now_s.max(to_s);
        if self.paths.is_empty() || passed_s <= 0.0 {
            return;
        }
        self.share_out();
        self.busy_s += passed_s * self.paths.iter().map(|p| p.speed).sum::<f64>().min(1.0);
        for p in &mut self.paths {
            if let Some(first) = p.queue.front_mut() {
                first.left_s -= passed_s * p.speed;
            }
            if !self.moved.is_empty() {
                let Path { holder, receiver } = p.path;
                let rate = self.moved[holder].0.min(self.moved[receiver].0);
                let bytes = passed_s * p.speed * rate;
                self.moved[holder].1 += bytes;
                self.moved[receiver].1 += bytes;
            }
        }
    }

    /// Notes that a path has become busy or idle: all others will have other shares.
    fn count(&mut self, path: Path, change: fn(usize) -> usize) {
        let Self { nodes, busy, .. } = self;
        let (out, into) = (nodes[path.holder].0, nodes[path.receiver].1);
        busy[out] = change(busy[out]);
        if into != out {
            busy[into] = change(busy[into]);
        }
        self.has_changed = true;
    }

    /// Gives every busy path its share.
    #[expect(clippy::cast_precision_loss, reason = "few boards")]
    fn share_out(&mut self) {
        if !std::mem::take(&mut self.has_changed) {
            return;
        }
        let Self { nodes, busy, .. } = self;
        for p in &mut self.paths {
            let (out, _, kept) = nodes[p.path.holder];
            let (_, into, kept_there) = nodes[p.path.receiver];
            let share = 1.0 / busy[out].max(busy[into]) as f64;
            p.speed = share.min(kept).min(kept_there);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of all transfers.
    fn ends(channel: &mut Channel<char>) -> Vec<(f64, char)> {
        let mut list = Vec::new();
        while let Some(next) = channel.next_end() {
            list.extend(channel.end(next).map(|e| (next.at_s, e.tag)));
        }
        list
    }

    const fn path(holder: usize, receiver: usize) -> Path {
        Path { holder, receiver }
    }

    #[test]
    fn a_holder_sends_one_thing_after_the_other() {
        let mut channel = Channel::new(vec![(Medium::Shared(0), 1.0); 3]);
        assert!(channel.send(1.0, path(0, 1), 2.0, 'a'));
        assert!(!channel.send(1.5, path(0, 1), 1.0, 'b'));
        let mut end = || channel.next_end().and_then(|next| channel.end(next));
        let ended = |begun_s, tag, next| Some(Ended { begun_s, tag, next });
        assert_eq!(end(), ended(1.0, 'a', Some('b')));
        assert_eq!(end(), ended(3.0, 'b', None));
        assert_eq!(end(), None);
        assert_eq!(channel.busy_s, 3.0);
    }

    #[test]
    fn paths_share() {
        let mut channel = Channel::new(vec![(Medium::Shared(0), 1.0); 3]);
        channel.send(0.0, path(0, 1), 2.0, 'a');
        channel.send(1.0, path(2, 1), 3.0, 'b');
        // One second alone, two seconds shared; then `b` has two left.
        assert_eq!(ends(&mut channel), [(3.0, 'a'), (5.0, 'b')]);
        assert_eq!(channel.next_end(), None);
        channel.send(7.0, path(0, 2), 1.0, 'c');
        assert_eq!(ends(&mut channel), [(8.0, 'c')]);
        assert_eq!(channel.busy_s, 6.0);
    }

    #[test]
    fn ports_of_a_switch_are_shared_by_their_own_paths_alone() {
        let mut channel = Channel::new(vec![(Medium::Switched, 1.0); 4]);
        // Two paths out of one port, and one elsewhere that crosses neither.
        channel.send(0.0, path(0, 1), 1.0, 'a');
        channel.send(0.0, path(0, 2), 2.0, 'b');
        channel.send(0.0, path(1, 3), 1.0, 'c');
        assert_eq!(ends(&mut channel), [(1.0, 'c'), (2.0, 'a'), (3.0, 'b')]);
    }

    #[test]
    fn a_path_between_media_has_its_share_of_the_busier() {
        use Medium::{Shared, Switched};
        let mut channel =
            Channel::new([Shared(0), Shared(0), Switched, Shared(1)].map(|m| (m, 1.0)));
        channel.send(0.0, path(0, 1), 1.0, 'a');
        channel.send(0.0, path(1, 2), 1.0, 'b');
        channel.send(0.0, path(3, 2), 4.0, 'c');
        // `a` and `b` share a channel, `b` and `c` a port.
        assert_eq!(ends(&mut channel), [(2.0, 'a'), (2.0, 'b'), (5.0, 'c')]);
    }

    #[test]
    fn bytes_are_counted_while_they_travel() {
        let mut channel = Channel::new(vec![(Medium::Shared(0), 1.0); 3]);
        channel.count_bytes([100.0, 100.0, 50.0]);
        channel.send(0.0, path(0, 1), 2.0, 'a');
        assert_eq!(channel.moved_bytes(0.5, 0), 50.0);
        // Both have half of the medium, and the slower link has fewer bytes a second.
        channel.send(1.0, path(0, 2), 1.0, 'b');
        assert_eq!(channel.moved_bytes(2.0, 0), 100.0 + 50.0 + 25.0);
        assert_eq!(channel.moved_bytes(2.0, 2), 25.0);
        assert_eq!(ends(&mut channel), [(3.0, 'a'), (3.0, 'b')]);
        assert_eq!(channel.moved_bytes(9.0, 1), 200.0);
    }

    #[test]
    fn nodes_that_do_not_keep_up_leave_the_rest_to_others() {
        let nodes = [0.25, 1.0, 1.0].map(|kept| (Medium::Shared(0), kept));
        let mut channel = Channel::new(nodes);
        channel.send(0.0, path(0, 1), 1.0, 'a');
        assert_eq!(ends(&mut channel), [(4.0, 'a')]);
        assert_eq!(channel.busy_s, 1.0);
        // Half of the channel is more than node 0 keeps up with.
        channel.send(4.0, path(0, 1), 1.0, 'b');
        channel.send(4.0, path(2, 1), 1.0, 'c');
        assert_eq!(ends(&mut channel), [(6.0, 'c'), (8.0, 'b')]);
    }
}
