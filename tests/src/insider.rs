//! An invited node that does as it likes: a test with a board's key and a socket.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tessera_protocol::{
    Incarnation, NodeId, ProgramInfo, Ticket,
    wire::{self, Envelope, Heartbeat, Message, NodeField, PeerAddress, parse},
};
use tessera_secure::{Links, Way};

/// See the module.
#[derive(Debug)]
pub struct Insider {
    socket: UdpSocket,
    links: Links,
    begun: Instant,
    /// What it says it is.
    pub me: Envelope,
    info: ProgramInfo,
    gateway: SocketAddr,
    seq: u32,
    ticket: Ticket,
    /// The gateway's process, once heard.
    pub gateway_life: Option<Incarnation>,
    /// Nodes that the gateway's answers have told of.
    pub heard_of: Vec<PeerAddress>,
    /// Kinds of all that has arrived.
    pub got: Vec<(u16, wire::MessageKind)>,
    /// Where its payloads go instead of to the node that they are for: then they cost what they cost it, and nobody else anything.
    pub aside: Option<SocketAddr>,
}

impl Insider {
    /// A node with the number `id` and these sessions, of the program `info`.
    ///
    /// # Errors
    /// When there is no socket.
    pub fn new(id: u16, links: Links, info: ProgramInfo, gateway: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(10)))?;
        Ok(Self {
            socket,
            links,
            begun: Instant::now(),
            me: Envelope {
                from: NodeId(id),
                incarnation: Incarnation(0x00ab_cdef),
                to_incarnation: None,
                plan: wire::plan_prefix(&info),
            },
            info,
            gateway,
            seq: 0,
            ticket: Ticket::default(),
            gateway_life: None,
            heard_of: Vec::new(),
            got: Vec::new(),
            aside: None,
        })
    }

    /// From now on it looks for what has arrived and does not wait, so that it is as busy without answers as with them.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn never_wait(&self) -> Result<()> {
        Ok(self.socket.set_nonblocking(true)?)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Sends a message to a node, sealed. `as_who` is what it says it is.
    pub fn say(&mut self, to: Way, as_who: Envelope, message: &Message<'_>) {
        let mut payload = Vec::new();
        message.encode(as_who, &mut payload);
        self.send(to, &payload);
    }

    /// Sends bytes to a node, sealed.
    pub fn send(&mut self, to: Way, payload: &[u8]) {
        let now = self.now();
        if let Ok((at, datagram)) = self.links.sealed(now, to, payload) {
            let _ = self.socket.send_to(&datagram, self.aside.unwrap_or(at));
        }
        self.pump();
    }

    fn pump(&mut self) {
        let now = self.now();
        while let Some((to, bytes)) = self.links.poll(now) {
            let _ = self.socket.send_to(bytes, to);
        }
    }

    /// The way to the gateway.
    pub fn gateway(&self) -> Way {
        Way {
            number: 0,
            process: None,
            address: self.gateway,
        }
    }

    /// Takes what arrives within a time.
    pub fn listen(&mut self, within: Duration) {
        let end = Instant::now() + within;
        let mut buffer = [0; 2048];
        while Instant::now() < end {
            self.pump();
            let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) else {
                continue;
            };
            let (now, datagram) = (self.now(), &mut buffer[..bytes]);
            let Some((number, payload)) = self.links.open(now, from, datagram) else {
                continue;
            };
            let Ok((envelope, message)) = parse(&buffer[payload], &self.info) else {
                continue;
            };
            self.got.push((number, message.kind()));
            match message {
                Message::State(s) => {
                    self.gateway_life = Some(envelope.incarnation);
                    self.ticket = s.ticket;
                    self.heard_of.extend(s.nodes.iter().map(|n| n.node));
                }
                Message::Victim { victim, .. } => self.heard_of.extend(victim),
                _ => {}
            }
        }
    }

    /// A heartbeat, as an edge without frames sends it; it asks about the nodes `ask`.
    pub fn beat(&mut self, ask: &[u16]) {
        self.seq += 1;
        let ask: Vec<NodeField> = ask.iter().map(|n| NodeId(*n).into()).collect();
        let heartbeat = Heartbeat {
            ask: &ask,
            ..self.heartbeat()
        };
        let me = Envelope {
            to_incarnation: self.gateway_life,
            ..self.me
        };
        let to = self.gateway();
        self.say(to, me, &Message::Heartbeat(heartbeat));
    }

    /// The next heartbeat, without frames.
    pub fn heartbeat(&self) -> Heartbeat<'static> {
        Heartbeat {
            seq: self.seq,
            ticket: self.ticket,
            has_work: false,
            no_more: false,
            floor: tessera_protocol::FrameNumber(0),
            next: tessera_protocol::FrameNumber(0),
            plan_hash: self.info.plan_hash,
            model_digest: self.info.model_digest,
            frames: &[],
            ask: &[],
        }
    }

    /// Registers with the gateway, and learns of node `about`.
    ///
    /// # Errors
    /// When the gateway does not tell.
    pub fn join(&mut self, about: u16) -> Result<PeerAddress> {
        for _ in 0..100 {
            self.beat(&[about]);
            self.listen(Duration::from_millis(50));
            let lives = |n: &&PeerAddress| n.id().0 == about && n.incarnation().0 != 0;
            if let Some(found) = self.heard_of.iter().rev().find(lives) {
                return Ok(*found);
            }
        }
        None.context("the gateway does not tell of the node")
    }
}
