//! What both roles' loops share: the socket with its batches, the clock, and where they may bind.

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

/// A node's way to the others.
#[derive(Debug)]
pub struct Net {
    socket: Socket,
    inbox: Inbox,
    outbox: Outbox,
    /// The node's time.
    pub clock: Clock,
}

/// Where datagrams go while a machine is drained.
#[derive(Debug)]
pub struct Sending<'a> {
    socket: &'a mut Socket,
    outbox: &'a mut Outbox,
}

impl Sending<'_> {
    /// Queues a datagram.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send(self.outbox, to, bytes);
    }
}

impl Net {
    /// Binds to `at`; off loopback only with `insecure_lan`, and then says so.
    ///
    /// # Errors
    /// When the address must not or cannot be bound.
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

    /// The socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes what has arrived, at most a turn's worth, and gives each datagram to `each` with the
    /// time and the way to answer.
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

    /// The way to send, for what did not arrive as a datagram.
    pub fn sending(&mut self) -> Sending<'_> {
        Sending {
            socket: &mut self.socket,
            outbox: &mut self.outbox,
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        self.socket.flush(&mut self.outbox);
    }

    /// What the socket has done.
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
