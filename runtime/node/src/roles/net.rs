//! Parts that the loops of edge and gateway share: the socket with its batches, and the clock.

use std::net::SocketAddr;

use super::floods::Floods;
use crate::{
    error::NodeError,
    trust::Trust,
    udp::{self, Inbox, Outbox, Socket},
    wait::Clock,
};
use tessera_plan::files::statistics;
use tessera_protocol::{Incarnation, Micros, To, Traffic, TransferStats};
use tessera_secure::{HEAD_BYTES, Links, Refusal, TAG_BYTES, Way};

/// Most batches taken from the socket in one turn of a loop, so that completions get theirs.
const TURN_BATCHES_MAX: usize = 4;

/// A node's connection to the other nodes: the socket, its batches and the node's clock. With keys, everything that
/// arrives and leaves goes through sessions.
#[derive(Debug)]
pub struct Net {
    socket: Socket,
    inbox: Inbox,
    outbox: Outbox,
    sealed: Option<Sealed>,
    /// The clock that times all of the node's events.
    pub clock: Clock,
}

/// A node's sessions, and the file that says with whom.
#[derive(Debug)]
struct Sealed {
    trust: Trust,
    links: Links,
    floods: Floods,
    /// Numbers of nodes that were removed and of which nobody has asked yet.
    removed: Vec<u16>,
}

/// Whether a datagram was of use to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was, or is limited by its kind.
    Useful,
    /// It was refused, or is data that nobody waits for.
    Useless,
}

impl Heard {
    /// What [`useless`] says, before and after.
    pub fn of(before: u64, after: u64) -> Self {
        if before == after {
            Self::Useful
        } else {
            Self::Useless
        }
    }
}

/// Datagrams that a machine refused, or that held data which nobody waited for.
pub fn useless(traffic: &Traffic, transfer: &TransferStats) -> u64 {
    traffic.rejected.total() + transfer.chunks_late + transfer.chunks_duplicate
}

/// The queue of outgoing datagrams while a machine is drained.
#[derive(Debug)]
pub struct Sending<'a> {
    socket: &'a mut Socket,
    outbox: &'a mut Outbox,
    links: Option<&'a mut Links>,
    now: Micros,
}

impl Sending<'_> {
    /// Queues a datagram for a node.
    pub fn send(&mut self, to: To, bytes: &[u8]) {
        let Some(links) = &mut self.links else {
            self.socket.send(self.outbox, to.addr, bytes);
            return;
        };
        let (way, now) = (way(to), self.now);
        let len = HEAD_BYTES + bytes.len() + TAG_BYTES;
        self.socket.send_with(self.outbox, len, |slot| {
            slot[HEAD_BYTES..][..bytes.len()].copy_from_slice(bytes);
            // What finds no session is lost for now, as on any way: machines repeat it.
            links.seal(now, way, slot).ok()
        });
    }
}

fn way(to: To) -> Way {
    Way {
        number: to.node.0,
        process: to.incarnation.map(|i| i.0),
        address: to.addr,
    }
}

impl Net {
    /// Binds to `at`. Addresses off loopback need keys.
    ///
    /// # Errors
    /// When the node must not or cannot bind to the address, or its keys cannot be used.
    pub fn bind(at: SocketAddr, trust: Option<Trust>) -> Result<Self, NodeError> {
        udp::check_bind(at, trust.is_some())?;
        let sealed = trust.map(|trust| {
            let links = trust.links()?;
            Ok::<_, NodeError>(Sealed {
                trust,
                links,
                floods: Floods::default(),
                removed: Vec::new(),
            })
        });
        let socket = Socket::bind(at).map_err(NodeError::io(format!("cannot listen on {at}")))?;
        Ok(Self {
            socket,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            sealed: sealed.transpose()?,
            clock: Clock::start(),
        })
    }

    /// The bound socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The numbers of the nodes that may bring frames; `None` for all, without keys.
    pub fn sources(&self) -> Option<Vec<u16>> {
        self.sealed.as_ref().map(|s| s.trust.sources())
    }

    /// True if the cluster has observers.
    pub fn is_observed(&self) -> bool {
        self.sealed.as_ref().is_some_and(|s| s.trust.is_observed())
    }

    /// The number of a node that has been removed from the cluster file since, each once.
    pub fn next_removed(&mut self) -> Option<u16> {
        self.sealed.as_mut()?.removed.pop()
    }

    /// True if datagrams are sealed.
    pub const fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// Receives the datagrams that have arrived, at most one turn's worth, and gives each datagram to `each` with
    /// the time and the queue for answers. With keys, `each` sees datagrams of invited nodes alone, each in its own name. It returns
    /// [`Heard::Useless`] for what was of no use, so that a sender of much of that can be shut out.
    pub fn receive(
        &mut self,
        mut each: impl FnMut(Micros, SocketAddr, &[u8], &mut Sending<'_>) -> Heard,
    ) {
        for _ in 0..TURN_BATCHES_MAX {
            let count = self.socket.receive(&mut self.inbox);
            let now = self.clock.now();
            for i in 0..count {
                let Some((from, bytes)) = self.inbox.get(i) else {
                    continue;
                };
                let mut links = self.sealed.as_mut().map(|s| &mut s.links);
                let (number, payload) = match &mut links {
                    None => (0, 0..bytes.len()),
                    Some(links) => match links.open(now, from, bytes) {
                        Some(opened) => opened,
                        None => continue,
                    },
                };
                let mut sending = Sending {
                    socket: &mut self.socket,
                    outbox: &mut self.outbox,
                    links,
                    now,
                };
                if each(now, from, &bytes[payload], &mut sending) == Heard::Useless
                    && let Some(links) = sending.links
                {
                    links.was_useless(now, number);
                }
            }
            self.flush();
            if !self.inbox.was_full() {
                return;
            }
        }
    }

    /// The queue for datagrams that do not answer a received one.
    pub fn sending(&mut self) -> Sending<'_> {
        Sending {
            socket: &mut self.socket,
            outbox: &mut self.outbox,
            links: self.sealed.as_mut().map(|s| &mut s.links),
            now: self.clock.now(),
        }
    }

    /// Sends all queued datagrams, and those of the sessions themselves.
    pub fn flush(&mut self) {
        if let Some(Sealed {
            trust,
            links,
            floods,
            removed,
        }) = &mut self.sealed
        {
            let now = self.clock.now();
            removed.extend(trust.follow(now, links));
            while let Some((to, bytes)) = links.poll(now) {
                self.socket.send(&mut self.outbox, to, bytes);
            }
            floods.follow(links, &self.socket);
        }
        self.socket.flush(&mut self.outbox);
    }

    /// When to call [`Net::flush`] at the latest, if nothing else happens.
    pub fn wake_at(&self) -> Micros {
        let sealed = self.sealed.as_ref();
        sealed.map_or(Micros::MAX, |s| {
            s.links.next_deadline().min(s.trust.look_at())
        })
    }

    /// Counters and buffer sizes of the socket.
    pub fn statistics(&self) -> statistics::Socket {
        statistics::Socket {
            counters: self.socket.counters,
            kernel_drops: (self.socket.drops()).map(|n| n.saturating_sub(self.kept_away())),
            receive_buffer: self.socket.receive_buffer_bytes(),
            send_buffer: self.socket.send_buffer_bytes(),
        }
    }

    /// Datagrams of nodes that are shut out which the kernel has kept away.
    fn kept_away(&self) -> u64 {
        let sealed = self.sealed.as_ref();
        sealed.map_or(0, |s| s.floods.kept_away(&self.socket))
    }

    /// Counters of the sessions, if there are any.
    pub fn session_statistics(&self) -> Option<statistics::Sessions> {
        let Sealed { links, floods, .. } = self.sealed.as_ref()?;
        let (c, own) = (links.counts(), links.link_counts());
        let refused = Refusal::ALL.map(|why| (why.name().to_owned(), c.refused.get(why)));
        Some(statistics::Sessions {
            sealed: c.sealed,
            opened: c.opened,
            established: c.sessions_established,
            initiations_sent: c.initiations_sent,
            initiations_answered: c.initiations_answered,
            given_up: c.handshakes_given_up,
            cookies_sent: c.cookies_sent,
            curve_operations: c.curve_operations,
            addresses_changed: c.addresses_changed,
            impostors: own.impostors,
            floods: own.floods,
            shut_out: own.shut_out,
            kept_away: floods.kept_away(&self.socket),
            shut_out_now: floods.names(),
            unsent: own.unsent,
            refused: refused.into_iter().collect(),
        })
    }
}

/// The number of this process: random, so that no clock has a say. It has 53 bits, which readers of records
/// that know floating point only can tell apart.
///
/// # Errors
/// When the system gives no random numbers.
pub fn incarnation() -> Result<Incarnation, NodeError> {
    Ok(Incarnation((random()? >> 11).max(1)))
}

/// A random number.
///
/// # Errors
/// When the system gives none.
pub fn random() -> Result<u64, NodeError> {
    getrandom::u64().map_err(|e| NodeError::io("cannot draw a random number")(e.into()))
}
