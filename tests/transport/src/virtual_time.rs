//! Our nodes in virtual time, over the simulator's network.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tessera_protocol::TransferConfig;
use tessera_sim::{Queue, RandomSource, link::Network};

use crate::{
    cell::Cell,
    found::Found,
    load::Load,
    node::{Node, Wire},
};

enum Event {
    /// A datagram reaches the queue before its receiver's link.
    Queued {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// A datagram reaches its receiver.
    Arrived {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// A node's timer.
    Tick(usize),
}

struct World {
    nodes: Vec<Node>,
    addresses: Vec<SocketAddr>,
    /// The earliest timer that stands in the queue, for each node.
    timers: Vec<u64>,
    network: Network,
    queue: Queue<Event>,
    sent_bytes: Vec<u64>,
}

#[derive(Default)]
struct Sent(Vec<(SocketAddr, Vec<u8>)>);

impl Wire for Sent {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Option<SocketAddr>) {
        let mut bytes = vec![0; len];
        if let Some(to) = write(&mut bytes) {
            self.0.push((to, bytes));
        }
    }
}

impl World {
    /// Lets a node send what it wants, and sets its timer.
    fn settle(&mut self, node: usize, mut sent: Sent) {
        let now = self.queue.now_us();
        self.nodes[node].drain(now, &mut sent);
        self.nodes[node].pump(now, &mut sent);
        for (to, bytes) in sent.0 {
            let Some(to) = self.addresses.iter().position(|a| *a == to) else {
                continue;
            };
            self.sent_bytes[node] += bytes.len() as u64;
            for at in self
                .network
                .send(now, node, to, bytes.len())
                .into_iter()
                .flatten()
            {
                let bytes = bytes.clone();
                self.queue.push(
                    at,
                    Event::Queued {
                        from: node,
                        to,
                        bytes,
                    },
                );
            }
        }
        let next = self.nodes[node].next();
        if next < self.timers[node] {
            self.timers[node] = next.max(now);
            self.queue.push(next, Event::Tick(node));
        }
    }

    /// Runs until `done`; false when the time is over.
    fn run(&mut self, until_us: u64, done: impl Fn(&[Node]) -> bool) -> bool {
        while !done(&self.nodes) {
            let Some(event) = self.queue.pop(until_us) else {
                return false;
            };
            let now = self.queue.now_us();
            match event {
                Event::Queued { from, to, bytes } => {
                    if let Some(at) = self.network.deliver(now, Some(from), to, bytes.len()) {
                        self.queue.push(at, Event::Arrived { from, to, bytes });
                    }
                }
                Event::Arrived {
                    from,
                    to,
                    mut bytes,
                } => {
                    let mut sent = Sent::default();
                    let from = self.addresses[from];
                    self.nodes[to].receive(now, from, &mut bytes, &mut sent);
                    self.settle(to, sent);
                }
                Event::Tick(node) => {
                    self.timers[node] = u64::MAX;
                    self.settle(node, Sent::default());
                }
            }
        }
        true
    }
}

/// Runs a cell in virtual time.
///
/// # Errors
/// When nodes do not reach each other, or a box has wrong bytes.
pub fn run(
    cell: &Cell,
    load: &Load,
    config: TransferConfig,
    seed: u64,
    seconds_max: u64,
) -> Result<Found> {
    let at = |k: usize| SocketAddr::from(([10, 0, 0, k as u8], 7000));
    let addresses: Vec<SocketAddr> = (0..load.nodes).map(at).collect();
    let attachments = cell.attachments(load.nodes);
    let mut world = World {
        nodes: (0..load.nodes)
            .map(|k| Node::new(load, k, config, &addresses))
            .collect(),
        addresses,
        timers: vec![u64::MAX; load.nodes],
        network: Network::new(cell.net(), &attachments, RandomSource::new(seed)),
        queue: Queue::default(),
        sent_bytes: vec![0; load.nodes],
    };
    for node in 0..load.nodes {
        let mut sent = Sent::default();
        world.nodes[node].greet(0, &mut sent);
        world.settle(node, sent);
    }
    let is_ready = world.run(30_000_000, |nodes| nodes.iter().all(Node::is_ready));
    ensure!(is_ready, "nodes do not reach each other");
    world.network.set_conditions(cell.conditions());
    world.sent_bytes.fill(0);
    let began = world.queue.now_us();
    for node in 0..load.nodes {
        world.nodes[node].fetch(began);
        world.settle(node, Sent::default());
    }
    let is_whole = world.run(began + 1_000_000 * seconds_max, |nodes| {
        nodes.iter().all(Node::is_done)
    });
    let over = world.queue.now_us();
    let last = world.nodes.iter().map(|n| n.last_us).max().unwrap_or(0);
    let seconds = 1e-6 * (if is_whole { last } else { over } - began) as f64;
    let mut nodes = Vec::new();
    for (node, sent_bytes) in world.nodes.iter().zip(&world.sent_bytes) {
        let mut found = node.found()?;
        found.sent_bytes = *sent_bytes;
        nodes.push(found);
    }
    let whole: usize = nodes.iter().map(|n| n.took_us.len()).sum();
    let wanted = load.fetches.len();
    let payload = load.bytes() * whole / wanted.max(1);
    Ok(Found::new(
        cell,
        "simulated",
        wanted,
        payload,
        seconds,
        &nodes,
        false,
    ))
}
