//! The table of a node's peers by name, and the four calls of the layer: `seal`, `open`, `poll`, `next_deadline`.

use std::{collections::BTreeMap, net::SocketAddr, ops::Range};

use thiserror::Error;

use crate::{
    Micros,
    config::{Config, Limits},
    counts::{Counts, Refusal},
    handshake::{Local, read_initiation},
    keys::{ClusterSecret, PrivateKey, PublicKey},
    peer::{Peer, PeerConfig, SealError},
    shared::{Event, Output, PeerId, Shared, Waiting},
    wire::{self, HEAD_BYTES, Message, TAG_BYTES},
};

/// Most bytes of a node's name: a label of DNS.
const NAME_BYTES_MAX: usize = 63;

/// Why a peer was not added.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// The name is empty, too long, or has other characters.
    #[error("{name:?} is no node's name: 1 to 63 letters, digits, '-', '_' and '.' make one")]
    Name {
        /// The name.
        name: String,
    },
    /// A peer has this name.
    #[error("two nodes are called {name:?}; give one of them another name")]
    SameName {
        /// The name.
        name: String,
    },
    /// A peer has this key.
    #[error("{name:?} and {other:?} have the same public key; make a new key pair for one of them")]
    SameKey {
        /// The name of the new peer.
        name: String,
        /// The name of the peer that has the key.
        other: String,
    },
    /// The key is this node's own.
    #[error("{name:?} has this node's own key; list each node's own public key")]
    OwnKey {
        /// The name of the new peer.
        name: String,
    },
    /// The key is none: no secret can be shared with it.
    #[error("the public key of {name:?} is no key of a node; copy it again")]
    NoKey {
        /// The name of the new peer.
        name: String,
    },
    /// The table is full.
    #[error("{name:?} is one node too many: a table has at most {most} peers")]
    Full {
        /// The name of the new peer.
        name: String,
        /// The table's bound.
        most: usize,
    },
}

/// What came of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A payload of a peer.
    Payload {
        /// Who sent it.
        peer: PeerId,
        /// Where it lies in the buffer.
        range: Range<usize>,
        /// The number of the peer's process that it is of: another one after each start.
        boot: u64,
        /// True if that process was there before the present one.
        earlier: bool,
    },
    /// An empty datagram of a peer: it lives.
    Keepalive {
        /// Who sent it.
        peer: PeerId,
    },
    /// A message of a handshake, or a cookie. Call `poll`: there may be an answer.
    Handshake,
    /// Nothing that this node takes. Counted by reason.
    Refused(Refusal),
}

/// A node's sessions with all its peers.
pub struct Sessions {
    shared: Shared,
    peers: Vec<Option<Peer>>,
    by_name: BTreeMap<String, u16>,
    by_key: BTreeMap<PublicKey, u16>,
    /// Peers added so far.
    turns: u64,
    /// The datagram that `poll` gave last.
    out: Option<Waiting>,
}

impl Sessions {
    /// A table without peers.
    ///
    /// `seed` has 32 bytes of the system's randomness, others in each process: all ephemeral keys follow from it.
    pub fn new(private: PrivateKey, secret: ClusterSecret, seed: [u8; 32], config: Config) -> Self {
        Self {
            shared: Shared::new(Local::new(private, secret), seed, config),
            peers: Vec::new(),
            by_name: BTreeMap::new(),
            by_key: BTreeMap::new(),
            turns: 0,
            out: None,
        }
    }

    /// Adds a peer.
    ///
    /// # Errors
    /// If the table is full, or name or key are none or in use.
    pub fn add(&mut self, name: &str, config: PeerConfig) -> Result<PeerId, AddError> {
        let called = || name.to_owned();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
            return Err(AddError::Name { name: called() });
        }
        if self.by_name.contains_key(name) {
            return Err(AddError::SameName { name: called() });
        }
        if config.public == self.shared.local.public {
            return Err(AddError::OwnKey { name: called() });
        }
        if let Some(other) = self.by_key.get(&config.public).and_then(|&p| self.at(p)) {
            let other = other.name.clone();
            return Err(AddError::SameKey {
                name: called(),
                other,
            });
        }
        if !self.shared.local.private.can_share_with(&config.public) {
            return Err(AddError::NoKey { name: called() });
        }
        let most = self.shared.config.limits.peers.min(Limits::PEERS_MAX);
        let place = self.peers.iter().position(Option::is_none);
        let place = place.unwrap_or(self.peers.len());
        let number = u16::try_from(place).ok().filter(|_| place < most);
        let Some(number) = number else {
            return Err(AddError::Full {
                name: called(),
                most,
            });
        };
        if place == self.peers.len() {
            self.peers.push(None);
        }
        self.turns += 1;
        let id = PeerId {
            place: number,
            turn: self.turns,
        };
        self.peers[place] = Some(Peer::new(id, called(), &config, &mut self.shared));
        self.by_name.insert(called(), number);
        self.by_key.insert(config.public, number);
        Ok(id)
    }

    /// Removes a peer with all its keys, at once. False if there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let peer = self.by_name.remove(name);
        let peer = peer.and_then(|p| self.peers.get_mut(usize::from(p))?.take());
        if let Some(peer) = &peer {
            self.by_key.remove(&peer.public);
        }
        peer.is_some()
    }

    fn at(&self, place: u16) -> Option<&Peer> {
        self.peers.get(usize::from(place))?.as_ref()
    }

    fn get(&self, id: PeerId) -> Option<&Peer> {
        self.at(id.place).filter(|p| p.id == id)
    }

    fn get_mut(&mut self, id: PeerId) -> Option<(&mut Peer, &mut Shared)> {
        let peer = self.peers.get_mut(usize::from(id.place))?.as_mut();
        peer.filter(|p| p.id == id).map(|p| (p, &mut self.shared))
    }

    /// The peer of a name.
    pub fn peer(&self, name: &str) -> Option<PeerId> {
        self.by_name
            .get(name)
            .and_then(|&p| self.at(p))
            .map(|p| p.id)
    }

    /// The name of a peer.
    pub fn name(&self, peer: PeerId) -> Option<&str> {
        self.get(peer).map(|p| &*p.name)
    }

    /// Where a peer is, as far as is known.
    pub fn address(&self, peer: PeerId) -> Option<SocketAddr> {
        self.get(peer)?.address
    }

    /// Says where a peer is, for example after its name was resolved again. Its own authenticated datagrams change it, too.
    pub fn set_address(&mut self, peer: PeerId, address: SocketAddr) {
        if let Some((peer, _)) = self.get_mut(peer) {
            peer.address = Some(address);
        }
    }

    /// This node's own public key.
    pub const fn public(&self) -> PublicKey {
        self.shared.local.public
    }

    /// What has happened so far.
    pub const fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Time does not go backwards, whatever the caller says.
    fn advance(&mut self, now: Micros) {
        self.shared.now = self.shared.now.max(now);
    }

    /// True if datagrams for the peer can be sealed.
    pub fn is_open(&mut self, now: Micros, peer: PeerId) -> bool {
        self.advance(now);
        self.get(peer).is_some_and(|p| p.is_open(&self.shared))
    }

    /// Begins a session, unless there is one or one is on its way.
    ///
    /// # Errors
    /// If there is no such peer, or nobody knows where it is.
    pub fn connect(&mut self, now: Micros, peer: PeerId) -> Result<(), SealError> {
        self.advance(now);
        let (peer, shared) = self.get_mut(peer).ok_or(SealError::NoPeer)?;
        if peer.address.is_none() {
            return Err(SealError::NoAddress);
        }
        if !peer.is_open(shared) {
            peer.begin(shared);
        }
        shared.count_curve();
        Ok(())
    }

    /// Asks for new keys though there are some: the caller knows that the peer is another process now.
    pub fn renew(&mut self, now: Micros, peer: PeerId) {
        self.advance(now);
        if let Some((peer, shared)) = self.get_mut(peer) {
            peer.begin(shared);
            shared.count_curve();
        }
    }

    /// Opens nothing of the peer before this time. What is sent to it is sealed as usual.
    pub fn shut_out(&mut self, now: Micros, peer: PeerId, until: Micros) {
        self.advance(now);
        if let Some((peer, _)) = self.get_mut(peer) {
            peer.shut_out(until);
        }
    }

    /// True while a handshake with the peer is on its way.
    pub fn is_trying(&self, peer: PeerId) -> bool {
        self.get(peer).is_some_and(Peer::is_trying)
    }

    /// Seals a datagram for a peer in place and says where to send it. The payload lies behind [`HEAD_BYTES`] and before
    /// [`TAG_BYTES`] bytes of room. An empty payload is a keepalive.
    ///
    /// # Errors
    /// If there are no keys (then a handshake begins), no such peer, no address, or no room. The payload is as it was then.
    pub fn seal(
        &mut self,
        now: Micros,
        peer: PeerId,
        datagram: &mut [u8],
    ) -> Result<SocketAddr, SealError> {
        self.advance(now);
        let (peer, shared) = self.get_mut(peer).ok_or(SealError::NoPeer)?;
        let to = peer.seal(shared, datagram);
        shared.counts.sealed += u64::from(to.is_ok());
        shared.count_curve();
        to
    }

    /// Seals a datagram for a process of the peer that was there before ([`Opened::Payload`]), as [`Sessions::seal`] does for the present one.
    ///
    /// # Errors
    /// If there is no session with such a process, or no longer, or no room. The payload is as it was then, and no handshake begins.
    pub fn seal_earlier(
        &mut self,
        now: Micros,
        peer: PeerId,
        boot: u64,
        datagram: &mut [u8],
    ) -> Result<SocketAddr, SealError> {
        self.advance(now);
        let (peer, shared) = self.get_mut(peer).ok_or(SealError::NoPeer)?;
        let to = peer.seal_earlier(shared, boot, datagram);
        shared.counts.sealed += u64::from(to.is_some());
        to.ok_or(SealError::NoSession)
    }

    /// Opens a datagram in place. A refused datagram changes nothing but counters and the buffer.
    pub fn open(&mut self, now: Micros, from: SocketAddr, datagram: &mut [u8]) -> Opened {
        self.advance(now);
        let opened = self.take(from, datagram);
        self.shared.count_curve();
        opened.unwrap_or_else(|why| {
            self.shared.counts.refused.add(why);
            Opened::Refused(why)
        })
    }

    fn take(&mut self, from: SocketAddr, datagram: &mut [u8]) -> Result<Opened, Refusal> {
        match wire::parse(datagram)? {
            Message::Data { receiver, counter } => {
                let (peer, shared) = self.called(receiver).ok_or(Refusal::UnknownSession)?;
                // Before the tag is looked at, which is what opening costs. Whoever names the peer's place here can only be refused.
                if peer.is_shut_out(shared.now) {
                    return Err(Refusal::ShutOut);
                }
                let came = peer.open(shared, from, datagram, (receiver, counter))?;
                let peer = peer.id;
                if !came.payload {
                    shared.counts.keepalives_received += 1;
                    return Ok(Opened::Keepalive { peer });
                }
                shared.counts.opened += 1;
                let range = HEAD_BYTES..datagram.len() - TAG_BYTES;
                let (boot, earlier) = (came.boot, came.earlier);
                return Ok(Opened::Payload {
                    peer,
                    range,
                    boot,
                    earlier,
                });
            }
            Message::Initiation(message) => {
                self.check_mac1(message)?;
                self.shared.admit(from, wire::u32_at(message, 4), message)?;
                let ephemeral = self.shared.random.draw();
                let initiation = read_initiation(&self.shared.local, message, ephemeral)?;
                let place = self.by_key.get(&initiation.public).copied();
                let peer = place.and_then(|p| self.peers.get_mut(usize::from(p))?.as_mut());
                let peer = peer.ok_or(Refusal::UnknownPeer)?;
                peer.answer(&mut self.shared, from, initiation)?;
            }
            Message::Response(message) => {
                self.check_mac1(message)?;
                let index = wire::u32_at(message, 8);
                let (peer, shared) = self.called(index).ok_or(Refusal::UnknownHandshake)?;
                if !peer.waits_for(index) {
                    return Err(Refusal::UnknownHandshake);
                }
                shared.admit(from, wire::u32_at(message, 4), message)?;
                peer.conclude(shared, from, message)?;
            }
            Message::Cookie(message) => {
                let index = wire::u32_at(message, 4);
                let (peer, shared) = self.called(index).ok_or(Refusal::UnknownHandshake)?;
                peer.take_cookie(shared, index, message)?;
            }
        }
        Ok(Opened::Handshake)
    }

    fn check_mac1(&self, message: &[u8]) -> Result<(), Refusal> {
        let fits = self.shared.local.macs.fits(message);
        if fits { Ok(()) } else { Err(Refusal::BadMac1) }
    }

    /// The peer whose place is in `index`.
    fn called(&mut self, index: u32) -> Option<(&mut Peer, &mut Shared)> {
        let place = index as usize % Limits::PEERS_MAX;
        let peer = self.peers.get_mut(place)?.as_mut()?;
        Some((peer, &mut self.shared))
    }

    /// The next thing to do for the caller. Call it after every other call, until it says [`Output::WaitUntil`].
    pub fn poll(&mut self, now: Micros) -> Output<'_> {
        self.advance(now);
        if self.shared.due_us <= self.shared.now {
            let mut due = Micros::MAX;
            for peer in self.peers.iter_mut().flatten() {
                due = due.min(peer.tick(&mut self.shared));
            }
            // Behind now, whatever the times are: no call to `poll` is the last.
            self.shared.due_us = due.max(self.shared.now.saturating_add(1));
            self.shared.count_curve();
        }
        if let Some(event) = self.shared.events.pop_front() {
            return match event {
                Event::Established { peer, restarted } => Output::Established { peer, restarted },
                Event::GaveUp { peer } => Output::GaveUp { peer },
            };
        }
        self.out = self.shared.queue.pop_front();
        match &self.out {
            Some(waiting) => Output::Send {
                to: waiting.to,
                bytes: &waiting.bytes[..waiting.len],
            },
            None => Output::WaitUntil(self.shared.due_us),
        }
    }

    /// When to call `poll` at the latest; `None` if nothing is to be done before another call. Zero if something waits already.
    pub fn next_deadline(&self) -> Option<Micros> {
        let waits = !self.shared.queue.is_empty() || !self.shared.events.is_empty();
        let due = if waits { 0 } else { self.shared.due_us };
        (due < Micros::MAX).then_some(due)
    }
}
