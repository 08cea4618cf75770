//! A small UDP relay between loopback nodes that loses, doubles, delays and reorders datagrams.
//!
//! The relay works like a NAT for all nodes: every node's real address `a` has one public socket `P(a)`.
//! A datagram that arrives at `P(b)` from `a` leaves for `b` out of `P(a)`, so `b` sees `P(a)` as the sender
//! and answers there. The first datagram of an unknown node opens the node's public socket.
//!
//! ```text
//!   edge a ──> P(gateway) ═> faults ═> P(a) ──> gateway      the gateway knows a as P(a)
//!   edge b ──> P(a)       ═> faults ═> P(b) ──> edge a       and names it so to b
//! ```
//!
//! Nodes must take addresses from observed senders only. Other nodes would bypass the relay to a node that
//! names its own socket in a payload.
//!
//! Numbers of nodes, of datagrams under way and of datagrams per turn are bounded.

mod fate;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt},
};

pub use fate::Faults;

use crate::random::RandomSource;

/// Most nodes that a relay serves.
const NODES_MAX: usize = 256;
/// Most datagrams under way.
const UNDERWAY_MAX: usize = 16_384;
/// Most datagrams that the relay takes from one socket in one turn.
const TURN_MAX: usize = 64;
/// Longest wait of the thread, which then looks for new sockets and for the relay's end.
const NAP: Duration = Duration::from_millis(10);

/// Counters of a relay's datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came in.
    pub received: u64,
    /// Datagrams that went out, including duplicates.
    pub forwarded: u64,
    /// Bytes that went out.
    pub forwarded_bytes: u64,
    /// Datagrams lost on purpose.
    pub lost: u64,
    /// Lost since they were longer than [`Faults::bytes_max`].
    pub too_long: u64,
    /// Datagrams doubled on purpose.
    pub duplicated: u64,
    /// Datagrams held back on purpose, so that later datagrams overtake them.
    pub held: u64,
    /// Datagrams dropped because sender or receiver is cut off.
    pub cut: u64,
    /// Datagrams dropped because too many were under way, or because the sender is one node too many.
    pub overflowed: u64,
    /// Datagrams that the system refused to send.
    pub unsent: u64,
}

/// A running relay. Dropping the value ends the relay.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Table {
    ports: Vec<Port>,
    cut: BTreeSet<SocketAddr>,
    faults: Faults,
    counters: Counters,
}

/// A node's public socket.
#[derive(Clone, Debug)]
struct Port {
    real: SocketAddr,
    public: SocketAddr,
    socket: Arc<UdpSocket>,
}

/// A datagram under way; ordered by time, then by arrival.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Underway {
    due: Instant,
    number: u64,
    /// Index of the sender's port, whose socket sends the datagram.
    from: usize,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Relay {
    /// Starts a relay; `seed` decides which datagrams suffer.
    ///
    /// # Errors
    /// When the system cannot start the relay's thread.
    pub fn start(faults: Faults, seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            table: Mutex::new(Table {
                ports: Vec::new(),
                cut: BTreeSet::new(),
                faults,
                counters: Counters::default(),
            }),
            ended: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || Pump::new(seed).run(&its))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The address under which other nodes reach the node that listens at `real`.
    ///
    /// # Errors
    /// When the system binds no socket, or there are too many nodes.
    pub fn public(&self, real: SocketAddr) -> io::Result<SocketAddr> {
        let mut table = self.shared.table();
        let port = table.port(real)?;
        Ok(table.ports[port].public)
    }

    /// Real addresses of the nodes seen or named so far, in that order.
    pub fn nodes(&self) -> Vec<SocketAddr> {
        self.shared.table().ports.iter().map(|p| p.real).collect()
    }

    /// Changes the faults; datagrams under way keep their fate.
    pub fn set(&self, faults: Faults) {
        self.shared.table().faults = faults;
    }

    /// Cuts off the node at `real` if `off` is true; otherwise connects the node again.
    pub fn cut(&self, real: SocketAddr, off: bool) {
        let mut table = self.shared.table();
        if off {
            table.cut.insert(real);
        } else {
            table.cut.remove(&real);
        }
    }

    /// Counters of all datagrams so far.
    pub fn counters(&self) -> Counters {
        self.shared.table().counters
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Index of the port of the node at `real`; opens one for a new node.
    fn port(&mut self, real: SocketAddr) -> io::Result<usize> {
        if let Some(known) = self.ports.iter().position(|p| p.real == real) {
            return Ok(known);
        }
        if self.ports.iter().any(|p| p.public == real) {
            return Err(io::Error::other("a relay does not relay to itself"));
        }
        if self.ports.len() == NODES_MAX {
            return Err(io::Error::other("too many nodes for one relay"));
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        // The largest buffer that the system gives, so that datagrams get lost only on purpose.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &(4 << 20));
        self.ports.push(Port {
            real,
            public: socket.local_addr()?,
            socket: Arc::new(socket),
        });
        Ok(self.ports.len() - 1)
    }
}

/// The thread's own state.
struct Pump {
    random: RandomSource,
    underway: BinaryHeap<Reverse<Underway>>,
    number: u64,
    buffer: Vec<u8>,
}

impl Pump {
    fn new(seed: u64) -> Self {
        Self {
            random: RandomSource::new(seed),
            underway: BinaryHeap::new(),
            number: 0,
            buffer: vec![0; 1 << 16],
        }
    }

    fn run(&mut self, shared: &Shared) {
        while !shared.ended.load(Ordering::Relaxed) {
            let ports = shared.table().ports.clone();
            self.wait(&ports);
            for port in &ports {
                self.take(shared, port);
            }
            self.send_due(shared, Instant::now());
        }
    }

    /// Sleeps until a datagram arrives, one is due, or a nap is over.
    fn wait(&self, ports: &[Port]) {
        let due = self.underway.peek().map_or(NAP, |Reverse(u)| {
            u.due.saturating_duration_since(Instant::now()).min(NAP)
        });
        // Rounded up: rounding down would turn the last millisecond into a busy loop.
        let timeout = u16::try_from(due.as_micros().div_ceil(1000)).unwrap_or(1);
        let mut fds: Vec<PollFd<'_>> = ports
            .iter()
            .map(|p| PollFd::new(p.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        // An interrupted or failed wait only means an early look.
        if poll(&mut fds, PollTimeout::from(timeout)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes the datagrams that have arrived at `port`, the public socket of the receiver.
    fn take(&mut self, shared: &Shared, port: &Port) {
        for _ in 0..TURN_MAX {
            let (len, sender) = match port.socket.recv_from(&mut self.buffer) {
                Ok(arrived) => arrived,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let mut table = shared.table();
            table.counters.received += 1;
            let Ok(from) = table.port(sender) else {
                table.counters.overflowed += 1;
                continue;
            };
            if table.cut.contains(&sender) || table.cut.contains(&port.real) {
                table.counters.cut += 1;
                continue;
            }
            if table.faults.bytes_max.is_some_and(|most| len > most) {
                table.counters.too_long += 1;
                continue;
            }
            let now = Instant::now();
            let fate = table.faults.draw(&mut self.random);
            table.counters.lost += u64::from(fate.copies.is_empty());
            table.counters.duplicated += u64::from(fate.copies.len() > 1);
            table.counters.held += u64::from(fate.held);
            for delay in fate.copies {
                if self.underway.len() == UNDERWAY_MAX {
                    table.counters.overflowed += 1;
                    continue;
                }
                self.number += 1;
                self.underway.push(Reverse(Underway {
                    due: now + delay,
                    number: self.number,
                    from,
                    to: port.real,
                    bytes: self.buffer[..len].to_vec(),
                }));
            }
        }
    }

    fn send_due(&mut self, shared: &Shared, now: Instant) {
        while self.underway.peek().is_some_and(|Reverse(u)| u.due <= now) {
            let Some(Reverse(u)) = self.underway.pop() else {
                return;
            };
            let mut table = shared.table();
            match table.ports[u.from].socket.send_to(&u.bytes, u.to) {
                Ok(len) => {
                    table.counters.forwarded += 1;
                    table.counters.forwarded_bytes += len as u64;
                }
                Err(_) => table.counters.unsent += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests;
