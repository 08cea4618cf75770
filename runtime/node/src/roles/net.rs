//! Parts that the loops of edge and gateway share: the socket with its batches, and the clock.

use std::net::SocketAddr;

use crate::{
    console::{self, Patience},
    error::NodeError,
    udp::{self, Inbox, Outbox, Socket},
    wait::Clock,
};
use tessera_plan::files::statistics;
use tessera_protocol::{Incarnation, Micros};

/// Most batches taken from the socket in one turn of a loop, so that completions get theirs.
const TURN_BATCHES_MAX: usize = 4;

/// A node's connection to the other nodes: the socket, its batches and the node's clock.
#[derive(Debug)]
pub struct Net {
    socket: Socket,
    inbox: Inbox,
    outbox: Outbox,
    /// The clock that times all of the node's events.
    pub clock: Clock,
}

/// The queue of outgoing datagrams while a machine is drained.
#[derive(Debug)]
pub struct Sending<'a> {
    socket: &'a mut Socket,
    outbox: &'a mut Outbox,
}

impl Sending<'_> {
    /// Queues a datagram for the address `to`.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send(self.outbox, to, bytes);
    }
}

impl Net {
    /// Binds to `at`. Addresses off loopback need `insecure_lan`, and give a warning.
    ///
    /// # Errors
    /// When the node must not or cannot bind to the address.
    pub fn bind(at: SocketAddr, insecure_lan: bool) -> Result<Self, NodeError> {
        let exposed = udp::check_bind(at, insecure_lan)?;
        let socket = Socket::bind(at).map_err(NodeError::io(format!("cannot listen on {at}")))?;
        if exposed {
            // Whatever is to be said otherwise.
            let warning = format!(
                "WARNING: listening on {} without authentication: everybody who reaches this address can feed frames to this node, read its data and end its run (--insecure-lan)\n",
                socket.local()
            );
            console::err(&warning, Patience::Brief);
        }
        Ok(Self {
            socket,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            clock: Clock::start(),
        })
    }

    /// The bound socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Receives the datagrams that have arrived, at most one turn's worth, and gives each datagram to `each` with
    /// the time and the queue for answers.
    pub fn receive(&mut self, mut each: impl FnMut(Micros, SocketAddr, &[u8], &mut Sending<'_>)) {
        for _ in 0..TURN_BATCHES_MAX {
            let count = self.socket.receive(&mut self.inbox);
            let now = self.clock.now();
            for i in 0..count {
                let Some((from, bytes)) = self.inbox.get(i) else {
                    continue;
                };
                let mut sending = Sending {
                    socket: &mut self.socket,
                    outbox: &mut self.outbox,
                };
                each(now, from, bytes, &mut sending);
            }
            self.socket.flush(&mut self.outbox);
            if count < udp::BATCH {
                return;
            }
        }
    }

    /// The queue for datagrams that do not answer a received one.
    pub fn sending(&mut self) -> Sending<'_> {
        Sending {
            socket: &mut self.socket,
            outbox: &mut self.outbox,
        }
    }

    /// Sends all queued datagrams.
    pub fn flush(&mut self) {
        self.socket.flush(&mut self.outbox);
    }

    /// Counters and buffer sizes of the socket.
    pub fn statistics(&self) -> statistics::Socket {
        statistics::Socket {
            counters: self.socket.counters,
            kernel_drops: self.socket.drops(),
            receive_buffer: self.socket.receive_buffer_bytes(),
            send_buffer: self.socket.send_buffer_bytes(),
        }
    }
}

/// The number of this process: random, so that no clock has a say. It has 53 bits, which readers of records
/// that know floating point only can tell apart.
///
/// # Errors
/// When the system gives no random numbers.
pub fn incarnation() -> Result<Incarnation, NodeError> {
    let word =
        getrandom::u64().map_err(|e| NodeError::io("cannot draw a random number")(e.into()))?;
    Ok(Incarnation((word >> 11).max(1)))
}
