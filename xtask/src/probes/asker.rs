//! The socket that probes are asked through: in sessions, as the cluster's operator, where the cluster file has keys.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tessera_plan::files::{
    cluster::ClusterFile,
    probe::{Answer, DATAGRAM_BYTES_MAX},
};
use tessera_secure::{Invited, Links, Sessions, Way, parse_public};

use crate::members::key_file;

/// A probe.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its number in the cluster, with keys.
    pub node: Option<u16>,
}

/// See the module.
pub struct Asker {
    socket: UdpSocket,
    links: Option<Links>,
    begun: Instant,
    buffer: [u8; 2 * DATAGRAM_BYTES_MAX],
}

impl Asker {
    /// Opens a socket. Keys lie in `folder`.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn new(who: &ClusterFile, folder: &Path, on_v6: bool) -> Result<Self> {
        let ip = match on_v6 {
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let links = who.operator.is_some().then(|| links(who, folder));
        Ok(Self {
            socket: UdpSocket::bind((ip, 0)).context("cannot open a socket")?,
            links: links.transpose()?,
            begun: Instant::now(),
            buffer: [0; 2 * DATAGRAM_BYTES_MAX],
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Sends a question. What is lost is asked again.
    pub fn send(&mut self, to: At, question: &[u8]) {
        let now = self.now();
        match (&mut self.links, to.node) {
            (Some(links), Some(number)) => {
                let way = Way {
                    number,
                    process: None,
                    address: to.addr,
                };
                if let Ok((at, datagram)) = links.sealed(now, way, question) {
                    let _ = self.socket.send_to(&datagram, at);
                }
            }
            _ => drop(self.socket.send_to(question, to.addr)),
        }
        self.pump();
    }

    /// The next answer, if one comes within a time; it may return earlier without one.
    pub fn receive(&mut self, within: Duration) -> Option<Answer> {
        self.pump();
        let due = self.links.as_ref().map_or(u64::MAX, Links::next_deadline);
        let due = Duration::from_micros(due.saturating_sub(self.now()));
        let within = within.min(due).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(within)).ok()?;
        let Ok((bytes, from)) = self.socket.recv_from(&mut self.buffer) else {
            // A refusal of an earlier datagram comes at once.
            std::thread::sleep(Duration::from_millis(1));
            return None;
        };
        let (now, datagram) = (self.now(), &mut self.buffer[..bytes]);
        let payload = match &mut self.links {
            None => 0..bytes,
            Some(links) => {
                let opened = links.open(now, from, datagram);
                self.pump();
                opened?.1
            }
        };
        serde_json::from_slice(&self.buffer[payload]).ok()
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

/// Sessions as the operator with the probes of all boards.
fn links(who: &ClusterFile, folder: &Path) -> Result<Links> {
    let key = key_file::read(&folder.join(key_file::OPERATOR)).context("the operator's key")?;
    let secret = key_file::read_secret(&folder.join(key_file::SECRET))?;
    let sessions = Sessions::new(key, secret, key_file::random()?, Links::config());
    let mut links = Links::new(sessions, None);
    let mut list = Vec::new();
    for node in who.nodes().iter().filter(|n| !n.is_second) {
        let Some(key) = node.key() else { continue };
        list.push(Invited {
            number: node.number,
            name: node.name(),
            public: parse_public(key).with_context(|| node.name())?,
        });
    }
    let changed = links.invite(&list);
    match changed.wrong.into_iter().next() {
        Some(wrong) => Err(wrong.into()),
        None => Ok(links),
    }
}
