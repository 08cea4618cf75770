//! The network between nodes: bandwidth, delay and faults.
//!
//! ```text
//!   node ─ uplink ─┬─ (shared channel) ─ delay, conditions ─┬─ port queue ─ downlink ─ node
//!                  └─ its own queue                      └─ drops what does not fit
//! ```
//!
//! Every node is connected to a switch by a link of its own, equally fast in both directions; all nodes may
//! share one radio channel besides. A lost datagram has still used the channel.

use std::collections::{BTreeMap, BTreeSet};

use super::random::RandomSource;

/// The link between a node and the middle of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Bits per second in each direction; 0 for no limit.
    pub bits_per_s: u64,
    /// Microseconds between the node and the middle of the network.
    pub delay_us: u64,
    /// Bytes that may wait before the link in each direction; the network drops datagrams beyond them.
    pub queue_bytes: u64,
}

impl Default for Attachment {
    /// A link without limits, with a delay of 100 microseconds.
    fn default() -> Self {
        Self {
            bits_per_s: 0,
            delay_us: 100,
            queue_bytes: 256 * 1024,
        }
    }
}

/// Random faults between two nodes. Shares are parts per million of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkConditions {
    /// Share of datagrams that the network loses.
    pub loss_ppm: u32,
    /// Share of datagrams that the network delivers twice.
    pub duplicate_ppm: u32,
    /// Share of datagrams that the network holds back by up to `reorder_us`, so that others overtake them.
    pub reorder_ppm: u32,
    /// Longest time that a reordered datagram is held back, in microseconds.
    pub reorder_us: u64,
    /// Most microseconds of random extra delay for every datagram.
    pub jitter_us: u64,
}

/// The network's shared channel, limits and default conditions.
#[derive(Clone, Debug, Default)]
pub struct NetConfig {
    /// Bits per second of a channel that carries one datagram at a time; 0 for no such channel.
    pub shared_bits_per_s: u64,
    /// Most payload bytes of a datagram; the network silently drops longer ones. 0 for no limit.
    pub datagram_bytes_max: usize,
    /// Bytes of headers, preamble and gap around every datagram.
    pub overhead_bytes: u64,
    /// Conditions of all pairs without conditions of their own.
    pub conditions: LinkConditions,
}

impl NetConfig {
    /// Ethernet (38), IPv4 (20) and UDP (8).
    pub const ETHERNET_OVERHEAD: u64 = 66;
}

/// Datagrams that the network has carried, changed and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Datagrams sent by nodes.
    pub sent: u64,
    /// Payload bytes of the datagrams sent.
    pub sent_bytes: u64,
    /// Datagrams lost at random.
    pub lost: u64,
    /// Datagrams dropped because they exceed the path's MTU.
    pub too_long: u64,
    /// Datagrams delivered twice.
    pub duplicated: u64,
    /// Datagrams held back so that others overtake them.
    pub reordered: u64,
    /// Datagrams dropped because the path is cut.
    pub cut: u64,
    /// Datagrams dropped by full queues.
    pub overflowed: u64,
}

impl NetCounters {
    /// Adds the counters of another network.
    pub const fn add(&mut self, o: &Self) {
        self.sent += o.sent;
        self.sent_bytes += o.sent_bytes;
        self.lost += o.lost;
        self.too_long += o.too_long;
        self.duplicated += o.duplicated;
        self.reordered += o.reordered;
        self.cut += o.cut;
        self.overflowed += o.overflowed;
    }
}

/// A queue before a line of fixed rate. Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Pipe {
    bits_per_s: u64,
    queue_bytes: u64,
    free_at: u64,
}

impl Pipe {
    const fn new(bits_per_s: u64, queue_bytes: u64) -> Self {
        Self {
            bits_per_s,
            queue_bytes,
            free_at: 0,
        }
    }

    const fn ns(&self, bytes: u64) -> u64 {
        (bytes as u128 * 8_000_000_000 / self.bits_per_s as u128) as u64
    }

    /// Time in nanoseconds at which the last bit of a datagram that arrives now leaves; `None` when the
    /// queue is full.
    fn pass(&mut self, now_us: u64, bytes: u64) -> Option<u64> {
        if self.bits_per_s == 0 {
            return Some(now_us);
        }
        if self.free_at.saturating_sub(now_us) > self.ns(self.queue_bytes) {
            return None;
        }
        self.free_at = self.free_at.max(now_us) + self.ns(bytes);
        Some(self.free_at)
    }
}

#[derive(Debug)]
struct NodeLinks {
    delay_us: u64,
    up: Pipe,
    down: Pipe,
}

/// The network's state. Nodes are indices.
#[derive(Debug)]
pub struct Network {
    config: NetConfig,
    shared: Pipe,
    nodes: Vec<NodeLinks>,
    /// Pairs with conditions of their own, by (from, to).
    paths: BTreeMap<(usize, usize), LinkConditions>,
    /// Cut paths, by (from, to).
    cuts: BTreeSet<(usize, usize)>,
    random: RandomSource,
    /// Totals so far.
    pub counters: NetCounters,
}

/// Virtual times at which a datagram reaches the queue before the receiver's link: none, one or two.
pub type Arrivals = [Option<u64>; 2];

impl Network {
    /// A network of `nodes` without cuts.
    pub fn new(config: NetConfig, nodes: &[Attachment], random: RandomSource) -> Self {
        let nodes = nodes
            .iter()
            .map(|a| NodeLinks {
                delay_us: a.delay_us,
                up: Pipe::new(a.bits_per_s, a.queue_bytes),
                down: Pipe::new(a.bits_per_s, a.queue_bytes),
            })
            .collect();
        Self {
            // A radio has no queue of its own: the wait is at the senders, which bound it.
            shared: Pipe::new(config.shared_bits_per_s, u64::MAX >> 32),
            config,
            nodes,
            paths: BTreeMap::new(),
            cuts: BTreeSet::new(),
            random,
            counters: NetCounters::default(),
        }
    }

    /// Changes the conditions between all pairs.
    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        self.config.conditions = conditions;
        self.paths.clear();
    }

    /// Changes the conditions for datagrams from one node to another.
    pub fn set_path(&mut self, from: usize, to: usize, conditions: LinkConditions) {
        self.paths.insert((from, to), conditions);
    }

    /// Cuts the path from one node to another.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    /// Undoes a cut.
    pub fn heal(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    /// Undoes all cuts.
    pub fn heal_all(&mut self) {
        self.cuts.clear();
    }

    /// Sends a datagram of `len` bytes from a node; returns when the datagram arrives at the receiver's queue.
    pub fn send(&mut self, now_us: u64, from: usize, to: usize, len: usize) -> Arrivals {
        self.counters.sent += 1;
        self.counters.sent_bytes += len as u64;
        if self.cuts.contains(&(from, to)) {
            self.counters.cut += 1;
            return [None; 2];
        }
        let bytes = len as u64 + self.config.overhead_bytes;
        let left = self.nodes[from].up.pass(now_us * 1000, bytes);
        let Some(left) = left.and_then(|t| self.shared.pass(t, bytes)) else {
            self.counters.overflowed += 1;
            return [None; 2];
        };
        let left = left.div_ceil(1000) + self.nodes[from].delay_us + self.nodes[to].delay_us;
        let w = self.paths.get(&(from, to)).copied();
        let w = w.unwrap_or(self.config.conditions);
        let limit = self.config.datagram_bytes_max;
        if limit > 0 && len > limit {
            self.counters.too_long += 1;
            return [None; 2];
        }
        if self.random.chance(w.loss_ppm) {
            self.counters.lost += 1;
            return [None; 2];
        }
        let mut arrive = |c: &mut NetCounters| {
            let mut t = left + self.random.below(w.jitter_us + 1);
            if self.random.chance(w.reorder_ppm) {
                c.reordered += 1;
                t += self.random.below(w.reorder_us + 1);
            }
            Some(t)
        };
        let first = arrive(&mut self.counters);
        let mut second = None;
        if w.duplicate_ppm > 0 {
            let again = arrive(&mut self.counters);
            if self.random.chance(w.duplicate_ppm) {
                self.counters.duplicated += 1;
                second = again;
            }
        }
        [first, second]
    }

    /// Passes a datagram of `len` bytes from the queue through the receiver's link; returns the virtual time
    /// at which the receiver has the datagram, or `None` when the queue is full.
    pub fn deliver(&mut self, now_us: u64, to: usize, len: usize) -> Option<u64> {
        let bytes = len as u64 + self.config.overhead_bytes;
        let t = self.nodes[to].down.pass(now_us * 1000, bytes);
        if t.is_none() {
            self.counters.overflowed += 1;
        }
        t.map(|t| t.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(shared: u64, a: Attachment, conditions: LinkConditions) -> Network {
        let config = NetConfig {
            shared_bits_per_s: shared,
            overhead_bytes: 0,
            conditions,
            ..NetConfig::default()
        };
        Network::new(config, &[a; 3], RandomSource::new(1))
    }

    #[test]
    fn links_take_the_time_of_their_bits() {
        let a = Attachment {
            bits_per_s: 8_000_000,
            delay_us: 50,
            queue_bytes: 2_000,
        };
        let mut n = net(0, a, LinkConditions::default());
        // One byte per microsecond: 1000 up, 100 on the way.
        assert_eq!(n.send(0, 0, 1, 1000), [Some(1100), None]);
        assert_eq!(n.send(0, 0, 1, 1000), [Some(2100), None]);
        assert_eq!(n.send(0, 2, 1, 1000), [Some(1100), None]);
        // Two came at once; the second waits for the first.
        assert_eq!(n.deliver(1100, 1, 1000), Some(2100));
        assert_eq!(n.deliver(1100, 1, 1000), Some(3100));
        assert_eq!(n.deliver(1100, 1, 1000), Some(4100));
        assert_eq!(n.deliver(1100, 1, 1000), None);
        assert_eq!(n.counters.overflowed, 1);
    }

    #[test]
    fn a_shared_channel_serves_one_at_a_time() {
        let mut n = net(8_000_000, Attachment::default(), LinkConditions::default());
        assert_eq!(n.send(0, 0, 1, 1000), [Some(1200), None]);
        assert_eq!(n.send(0, 2, 1, 1000), [Some(2200), None]);
        assert_eq!(n.deliver(2200, 1, 1000), Some(2200));
    }

    #[test]
    fn weather_takes_its_share() {
        let w = LinkConditions {
            loss_ppm: 100_000,
            duplicate_ppm: 200_000,
            reorder_ppm: 300_000,
            reorder_us: 1000,
            jitter_us: 10,
        };
        let mut n = net(0, Attachment::default(), w);
        let (mut none, mut twice, mut late) = (0, 0, 0);
        for _ in 0..10_000 {
            match n.send(0, 0, 1, 100) {
                [None, _] => none += 1,
                [Some(t), again] => {
                    assert!((200..=1210).contains(&t));
                    late += u32::from(t > 210);
                    twice += u32::from(again.is_some());
                }
            }
        }
        assert!((900..1100).contains(&none), "{none}");
        assert!((1600..2000).contains(&twice), "{twice}");
        assert!((2450..2950).contains(&late), "{late}");
    }

    #[test]
    fn cuts_have_a_direction() {
        let mut n = net(0, Attachment::default(), LinkConditions::default());
        n.cut(0, 1);
        assert_eq!(n.send(0, 0, 1, 1), [None; 2]);
        assert_eq!(n.send(0, 1, 0, 1), [Some(200), None]);
        n.heal(0, 1);
        assert_eq!(n.send(0, 0, 1, 1), [Some(200), None]);
        assert_eq!(n.counters.cut, 1);
    }
}
