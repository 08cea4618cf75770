//! A socket that asks and answers one thing after the other: that of probes, and of boards that join. With keys, what it hears
//! and says travels in sessions: a probe then answers the operator and boards that `cluster.toml` lists, and nobody else.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::{
    error::NodeError,
    trust::Trust,
    udp::{self, DATAGRAM_BYTES_MAX},
};
use tessera_secure::{HEAD_BYTES, Links, TAG_BYTES, Way};

/// Senders that are remembered, and for how long.
const HEARD_MAX: usize = 24;
const HEARD_WITHIN: Duration = Duration::from_secs(4);

/// Whoever is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Other {
    /// Its address.
    pub addr: SocketAddr,
    /// Its number, with keys.
    pub node: Option<u16>,
}

impl Other {
    /// True if both are the same one: by their keys, or else by their addresses.
    pub fn is(self, other: Self) -> bool {
        match (self.node, other.node) {
            (Some(a), Some(b)) => a == b,
            _ => self.addr == other.addr,
        }
    }
}

/// The socket, and the buffers for what arrives and leaves.
#[derive(Debug)]
pub struct Line {
    socket: UdpSocket,
    links: Option<Links>,
    begun: Instant,
    buffer: [u8; 2048],
    out: Vec<u8>,
    heard: VecDeque<(SocketAddr, Instant)>,
}

impl Line {
    /// Binds to `at`, for a node with the keys `trust`.
    ///
    /// # Errors
    /// When the node must not or cannot listen there, or its keys cannot be used.
    pub fn bind(at: SocketAddr, trust: Option<Trust>) -> Result<Self, NodeError> {
        udp::check_bind(at, trust.is_some())?;
        let links = trust.map(|t| t.probe_links()).transpose()?;
        Self::with(at, links)
    }

    /// Binds to `at`, and speaks through `links`.
    ///
    /// # Errors
    /// When the node cannot listen there.
    pub fn with(at: SocketAddr, links: Option<Links>) -> Result<Self, NodeError> {
        let socket =
            UdpSocket::bind(at).map_err(NodeError::io(format!("cannot listen on {at}")))?;
        Ok(Self {
            socket,
            links,
            begun: Instant::now(),
            buffer: [0; 2048],
            out: Vec::new(),
            heard: VecDeque::new(),
        })
    }

    /// Addresses from which a datagram came in the last seconds, whatever was in it.
    pub fn heard(&self) -> Vec<SocketAddr> {
        let all = self.heard.iter();
        let recent = all.filter(|(_, at)| at.elapsed() < HEARD_WITHIN);
        recent.map(|(addr, _)| *addr).collect()
    }

    fn note(&mut self, from: SocketAddr) {
        let now = Instant::now();
        match self.heard.back_mut() {
            Some((last, at)) if *last == from => *at = now,
            _ => {
                self.heard.retain(|(a, _)| *a != from);
                self.heard.push_back((from, now));
                if self.heard.len() > HEARD_MAX {
                    self.heard.pop_front();
                }
            }
        }
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local(&self) -> Result<SocketAddr, NodeError> {
        self.socket
            .local_addr()
            .map_err(NodeError::io("no address"))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The next datagram that `read` understands, of those that arrive within a time; `None` if there is none. Others are
    /// ignored.
    pub fn receive<T>(
        &mut self,
        within: Duration,
        read: fn(&[u8]) -> Option<T>,
    ) -> Option<(T, Other, usize)> {
        self.pump();
        let due = self.links.as_ref().map_or(u64::MAX, Links::next_deadline);
        let due = Duration::from_micros(due.saturating_sub(self.now()));
        // A time of zero would mean to wait for ever.
        let within = within.min(due).max(Duration::from_micros(100));
        self.socket.set_read_timeout(Some(within)).ok()?;
        let (bytes, addr) = self.socket.recv_from(&mut self.buffer).ok()?;
        self.note(addr);
        let (now, datagram) = (self.now(), &mut self.buffer[..bytes]);
        let (node, payload) = match &mut self.links {
            None => (None, 0..bytes),
            Some(links) => {
                let opened = links.open(now, addr, datagram);
                self.pump();
                let (node, payload) = opened?;
                (Some(node), payload)
            }
        };
        let bytes = payload.len();
        Some((read(&self.buffer[payload])?, Other { addr, node }, bytes))
    }

    /// Sends what is lost without harm: it is asked for again.
    pub fn send(&mut self, to: Other, what: &impl serde::Serialize) {
        if let Ok(bytes) = serde_json::to_vec(what) {
            let _ = self.send_bytes(to, &bytes);
        }
    }

    /// Sends a datagram; returns its bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn send_bytes(&mut self, to: Other, bytes: &[u8]) -> io::Result<usize> {
        let now = self.now();
        let Some(links) = &mut self.links else {
            return self.socket.send_to(bytes, to.addr);
        };
        let number = to
            .node
            .ok_or_else(|| io::Error::other("whose key this is was not said"))?;
        let way = Way {
            number,
            process: None,
            address: to.addr,
        };
        let len = HEAD_BYTES + bytes.len() + TAG_BYTES;
        if len > DATAGRAM_BYTES_MAX {
            return Err(io::Error::other("too long"));
        }
        self.out.clear();
        self.out.resize(HEAD_BYTES, 0);
        self.out.extend_from_slice(bytes);
        self.out.resize(len, 0);
        let sealed = links.seal(now, way, &mut self.out);
        if let Ok(at) = sealed {
            self.socket.send_to(&self.out, at)?;
        }
        self.pump();
        Ok(bytes.len())
    }

    /// Sends what the sessions have to say.
    fn pump(&mut self) {
        let now = self.now();
        if let Some(links) = &mut self.links {
            while let Some((to, bytes)) = links.poll(now) {
                let _ = self.socket.send_to(bytes, to);
            }
        }
    }
}
