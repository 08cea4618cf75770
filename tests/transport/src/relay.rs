//! The simulator's network between real sockets.
//!
//! As the relay of the tests, this one works like a NAT: node `k` has a public socket `P(k)`, what arrives there from
//! node `j` leaves for `k` out of `P(j)`. When, and whether, is what [`Network`] says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use tessera_node::udp::{Inbox, Outbox, Socket};
use tessera_sim::{Queue, RandomSource, link::Network};

use crate::{cell::Cell, now::Clock};

/// Most datagrams under way.
const UNDERWAY_MAX: usize = 1 << 16;

/// A running relay; it ends when it is dropped.
pub struct Relay {
    /// Where other nodes reach each node.
    pub public: Vec<SocketAddr>,
    faults: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A datagram on its way to a node.
struct Underway {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
    /// False while it has still to pass the receiver's link.
    is_through: bool,
}

struct Pump {
    nodes: Vec<SocketAddr>,
    ports: Vec<(Socket, Outbox)>,
    network: Network,
    queue: Queue<Underway>,
    free: Vec<Vec<u8>>,
    clock: Clock,
}

impl Relay {
    /// A relay for the nodes at these addresses. Without faults until [`Relay::begin`].
    ///
    /// # Errors
    /// When the system gives no sockets or no thread.
    pub fn start(cell: &Cell, nodes: Vec<SocketAddr>, seed: u64) -> Result<Self> {
        let ports: Vec<(Socket, Outbox)> = (0..nodes.len())
            .map(|_| {
                Ok((
                    Socket::bind((Ipv4Addr::LOCALHOST, 0).into())?,
                    Outbox::default(),
                ))
            })
            .collect::<Result<_>>()?;
        let public = ports.iter().map(|(s, _)| s.local()).collect();
        let random = RandomSource::new(seed);
        let network = Network::new(cell.net(), &cell.attachments(nodes.len()), random);
        let mut pump = Pump {
            nodes,
            ports,
            network,
            queue: Queue::default(),
            free: Vec::new(),
            clock: Clock::start(),
        };
        let (faults, ended) = (Arc::default(), Arc::<AtomicBool>::default());
        let conditions = cell.conditions();
        let (its_faults, its_end) = (Arc::<AtomicBool>::clone(&faults), Arc::clone(&ended));
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || {
                let mut has_faults = false;
                let mut inbox = Inbox::default();
                while !its_end.load(Ordering::Relaxed) {
                    if !has_faults && its_faults.load(Ordering::Relaxed) {
                        has_faults = true;
                        pump.network.set_conditions(conditions);
                    }
                    pump.turn(&mut inbox);
                }
            })?;
        Ok(Self {
            public,
            faults,
            ended,
            thread: Some(thread),
        })
    }

    /// Lets the faults begin.
    pub fn begin(&self) {
        self.faults.store(true, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Pump {
    fn turn(&mut self, inbox: &mut Inbox) {
        let now = self.clock.now_us();
        let wait_us =
            (self.queue.next_us()).map_or(10_000, |at| at.saturating_sub(now).min(10_000));
        if wait_us > 0 {
            let fds = self
                .ports
                .iter()
                .map(|(s, _)| PollFd::new(s.as_fd(), PollFlags::POLLIN));
            let mut fds: Vec<PollFd<'_>> = fds.collect();
            // An interrupted wait only means an early look.
            let _ = ppoll(
                &mut fds,
                Some(TimeSpec::new(0, 1000 * wait_us as i64)),
                None,
            );
        }
        for to in 0..self.ports.len() {
            // What comes later waits in the socket, as before a slow adapter.
            for _ in 0..4 {
                self.take(to, inbox);
                if !inbox.was_full() {
                    break;
                }
            }
        }
        self.send_due();
    }

    fn take(&mut self, to: usize, inbox: &mut Inbox) {
        let count = self.ports[to].0.receive(inbox);
        let now = self.clock.now_us();
        for k in 0..count {
            let Some((sender, bytes)) = inbox.get(k) else {
                continue;
            };
            let Some(from) = self.nodes.iter().position(|n| *n == sender) else {
                continue;
            };
            for at in self
                .network
                .send(now, from, to, bytes.len())
                .into_iter()
                .flatten()
            {
                if self.queue.len() < UNDERWAY_MAX {
                    let mut copy = self.free.pop().unwrap_or_default();
                    copy.clear();
                    copy.extend_from_slice(bytes);
                    let underway = Underway {
                        from,
                        to,
                        bytes: copy,
                        is_through: false,
                    };
                    self.queue.push(at, underway);
                }
            }
        }
    }

    fn send_due(&mut self) {
        let now = self.clock.now_us();
        while let Some(mut u) = self.queue.pop(now) {
            if !u.is_through {
                let at = self.queue.now_us();
                let through = self.network.deliver(at, Some(u.from), u.to, u.bytes.len());
                let Some(through) = through else {
                    self.free.push(u.bytes);
                    continue;
                };
                if through > now {
                    u.is_through = true;
                    self.queue.push(through, u);
                    continue;
                }
            }
            let (socket, outbox) = &mut self.ports[u.from];
            socket.send(outbox, self.nodes[u.to], &u.bytes);
            self.free.push(u.bytes);
        }
        for (socket, outbox) in &mut self.ports {
            if !outbox.is_empty() {
                socket.flush(outbox);
            }
        }
    }
}
