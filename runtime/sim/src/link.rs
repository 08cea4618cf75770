//! The network between nodes: bandwidth, delay and faults.
//!
//! ```text
//!   node ─ uplink ─┬─ (shared channel) ─ delay, conditions ─┬─ port queue ─ downlink ─ node
//!                  └─ its own queue                      └─ drops what does not fit
//! ```
//!
//! Every node is connected to a switch by a link of its own, equally fast in both directions; all nodes may
//! share one radio channel besides. A node may instead be on a channel that it shares with some others
//! ([`Attachment::channel`]). A lost datagram has still used the channel.

use std::collections::{BTreeMap, BTreeSet};

use super::random::RandomSource;

/// The link between a node and the middle of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Bits per second in each direction; 0 for no limit.
    pub bits_per_s: u64,
    /// The channel that the link is a part of: it carries one datagram of all of its nodes at a time, for as long as the
    /// slower of sender and receiver needs. `None` for a link of the node's own.
    pub channel: Option<u8>,
    /// Bits per second that the node can send and that it can receive, whatever its link carries; 0 for no limit.
    pub handled_bits_per_s: u64,
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
            channel: None,
            handled_bits_per_s: 0,
            delay_us: 100,
            queue_bytes: 256 * 1024,
        }
    }
}

impl Attachment {
    /// Bits per second of what the node shares with no other; 0 for no limit.
    fn own_bits_per_s(&self) -> u64 {
        let wire = self.channel.is_none().then_some(self.bits_per_s);
        let limits = wire.into_iter().chain([self.handled_bits_per_s]);
        limits.filter(|bits| *bits > 0).min().unwrap_or(0)
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
    /// Bytes that may wait before that channel; the network drops datagrams beyond them. 0 for no limit: the wait is at the
    /// senders, which bound it.
    pub shared_queue_bytes: u64,
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
    /// Bytes that were given to links, with headers, before any loss.
    pub carried_bytes: u64,
    /// Datagrams between nodes of one board, which use no link.
    pub local: u64,
    /// Their payload bytes.
    pub local_bytes: u64,
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
        self.carried_bytes += o.carried_bytes;
        self.local += o.local;
        self.local_bytes += o.local_bytes;
        self.lost += o.lost;
        self.too_long += o.too_long;
        self.duplicated += o.duplicated;
        self.reordered += o.reordered;
        self.cut += o.cut;
        self.overflowed += o.overflowed;
    }
}

/// Virtual time of a datagram between nodes of one board, in microseconds. Assumed, not measured.
const LOCAL_US: u64 = 50;

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
        ns(bytes, self.bits_per_s)
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

/// Nanoseconds of so many bytes; 0 without a limit.
const fn ns(bytes: u64, bits_per_s: u64) -> u64 {
    if bits_per_s == 0 {
        return 0;
    }
    (bytes as u128 * 8_000_000_000 / bits_per_s as u128) as u64
}

#[derive(Debug)]
struct NodeLinks {
    bits_per_s: u64,
    channel: Option<u8>,
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
    /// The links of each node: nodes of one board share them.
    links: Vec<usize>,
    /// Virtual time in nanoseconds at which each channel is free.
    channels: BTreeMap<u8, u64>,
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
        let links = (0..nodes.len()).collect();
        let nodes: Vec<NodeLinks> = nodes
            .iter()
            .map(|a| NodeLinks {
                bits_per_s: a.bits_per_s,
                channel: a.channel,
                delay_us: a.delay_us,
                up: Pipe::new(a.own_bits_per_s(), a.queue_bytes),
                down: Pipe::new(a.own_bits_per_s(), a.queue_bytes),
            })
            .collect();
        let shared_queue_bytes = match config.shared_queue_bytes {
            0 => u64::MAX >> 32,
            bytes => bytes,
        };
        Self {
            shared: Pipe::new(config.shared_bits_per_s, shared_queue_bytes),
            config,
            nodes,
            links,
            channels: BTreeMap::new(),
            paths: BTreeMap::new(),
            cuts: BTreeSet::new(),
            random,
            counters: NetCounters::default(),
        }
    }

    /// Puts a node on another node's board: they reach each other without the network, and share the other's links.
    pub fn join(&mut self, node: usize, other: usize) {
        self.links[node] = self.links[other];
    }

    /// Whether two nodes are on one board.
    pub fn is_local(&self, from: usize, to: usize) -> bool {
        self.links[from] == self.links[to]
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
        if self.is_local(from, to) {
            self.counters.local += 1;
            self.counters.local_bytes += len as u64;
            return [Some(now_us + LOCAL_US), None];
        }
        let bytes = len as u64 + self.config.overhead_bytes;
        self.counters.carried_bytes += bytes;
        let [a, b] = [self.links[from], self.links[to]];
        let left = self.nodes[a].up.pass(now_us * 1000, bytes);
        let left = match self.nodes[a].channel {
            Some(channel) => left.map(|t| self.on_air(t, channel, a, b, bytes)),
            None => left,
        };
        let Some(left) = left.and_then(|t| self.shared.pass(t, bytes)) else {
            self.counters.overflowed += 1;
            return [None; 2];
        };
        let left = left.div_ceil(1000) + self.nodes[a].delay_us + self.nodes[b].delay_us;
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

    /// Time in nanoseconds at which a channel has carried a datagram that is ready now. Nodes of a channel listen before
    /// they send, so nothing is lost; the wait is at the senders, which bound it.
    fn on_air(&mut self, now_ns: u64, channel: u8, from: usize, to: usize, bytes: u64) -> u64 {
        let of = |node: usize| {
            let on = self.nodes[node].channel == Some(channel);
            on.then(|| ns(bytes, self.nodes[node].bits_per_s))
        };
        let took = of(from).max(of(to)).unwrap_or(0);
        let free_at = self.channels.entry(channel).or_insert(0);
        *free_at = now_ns.max(*free_at) + took;
        *free_at
    }

    /// Passes a datagram of `len` bytes from the queue through the receiver's link; returns the virtual time
    /// at which the receiver has the datagram, or `None` when the queue is full. `from` is the sender, if a node sent it.
    pub fn deliver(
        &mut self,
        now_us: u64,
        from: Option<usize>,
        to: usize,
        len: usize,
    ) -> Option<u64> {
        if from.is_some_and(|from| self.is_local(from, to)) {
            return Some(now_us);
        }
        let bytes = len as u64 + self.config.overhead_bytes;
        let to = self.links[to];
        let came_by = from.and_then(|f| self.nodes[self.links[f]].channel);
        let here = match self.nodes[to].channel {
            Some(channel) if came_by != Some(channel) => {
                self.on_air(now_us * 1000, channel, to, to, bytes)
            }
            _ => now_us * 1000,
        };
        let t = self.nodes[to].down.pass(here, bytes);
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
            ..Attachment::default()
        };
        let mut n = net(0, a, LinkConditions::default());
        // One byte per microsecond: 1000 up, 100 on the way.
        assert_eq!(n.send(0, 0, 1, 1000), [Some(1100), None]);
        assert_eq!(n.send(0, 0, 1, 1000), [Some(2100), None]);
        assert_eq!(n.send(0, 2, 1, 1000), [Some(1100), None]);
        // Two came at once; the second waits for the first.
        for expected in [Some(2100), Some(3100), Some(4100), None] {
            assert_eq!(n.deliver(1100, Some(0), 1, 1000), expected);
        }
        assert_eq!(n.counters.overflowed, 1);
    }

    #[test]
    fn a_shared_channel_serves_one_at_a_time() {
        let mut n = net(8_000_000, Attachment::default(), LinkConditions::default());
        assert_eq!(n.send(0, 0, 1, 1000), [Some(1200), None]);
        assert_eq!(n.send(0, 2, 1, 1000), [Some(2200), None]);
        assert_eq!(n.deliver(2200, Some(0), 1, 1000), Some(2200));
    }

    /// Nodes 0 and 1 on a channel, 1 half as fast; node 2 on a wire of its own.
    fn mixed() -> Network {
        let node = |bits_per_s, channel| Attachment {
            bits_per_s,
            channel,
            delay_us: 0,
            ..Attachment::default()
        };
        let nodes = [
            node(8_000_000, Some(3)),
            node(4_000_000, Some(3)),
            node(80_000_000, None),
        ];
        Network::new(NetConfig::default(), &nodes, RandomSource::new(1))
    }

    #[test]
    fn a_channel_is_busy_for_as_long_as_the_slower_node_needs() {
        let mut n = mixed();
        assert_eq!(n.send(0, 0, 1, 1000), [Some(2000), None]);
        assert_eq!(n.deliver(2000, Some(0), 1, 1000), Some(2000));
        // From the wire to the channel: 100 us, and 1000 us when the channel is free.
        assert_eq!(n.send(0, 2, 0, 1000), [Some(100), None]);
        assert_eq!(n.deliver(100, Some(2), 0, 1000), Some(3000));
        // From the channel to the wire.
        assert_eq!(n.send(0, 0, 2, 1000), [Some(4000), None]);
        assert_eq!(n.deliver(4000, Some(0), 2, 1000), Some(4100));
    }

    #[test]
    fn nodes_of_one_board_use_no_link() {
        let mut n = mixed();
        n.join(1, 2);
        assert_eq!(n.send(0, 1, 2, 1000), [Some(LOCAL_US), None]);
        assert_eq!(n.deliver(LOCAL_US, Some(1), 2, 1000), Some(LOCAL_US));
        // To others, the board's wire is the way.
        assert_eq!(n.send(0, 1, 0, 1000), [Some(100), None]);
        assert_eq!((n.counters.local, n.counters.carried_bytes), (1, 1000));
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
