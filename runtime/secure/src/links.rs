//! Sessions with the nodes of a cluster by their numbers: what stands between a node's state machine and its socket.
//!
//! A state machine speaks to a number, and says where it last heard of that node and which process it means ([`Way`]). This
//! layer knows better where a node is, once the node has proved itself; it knows worse when the node has restarted
//! elsewhere since, of which others tell the machine. So:
//!
//! - While a session works, its own address counts.
//! - Without a session, or when the machine means another process than the one that this layer has heard, the machine's
//!   address counts, and a handshake begins there.
//! - Two boards with one key are two processes of one peer: each is answered under its own session, so that the machine can tell them so.
//!
//! What arrives must name its sender's number in the payload, and that number must be the peer's: a node speaks for itself
//! alone.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    ops::Range,
};

use crate::{
    AddError, Config, Counts, HEAD_BYTES, Micros, Opened, Output, PeerConfig, PeerId, PublicKey,
    SealError, Sessions, TAG_BYTES,
    config::Limits,
    flood::{Meter, Verdict},
    shut::{ShutOut, ShutOuts},
};

/// A node that may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The node's number in the cluster.
    pub number: u16,
    /// The node's name, for people.
    pub name: String,
    /// The node's public key.
    pub public: PublicKey,
}

/// Where a datagram is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The receiver's number.
    pub number: u16,
    /// The receiver's process, as far as the sender knows it.
    pub process: Option<u64>,
    /// Where that process was last heard of.
    pub address: SocketAddr,
}

/// The number and the process that a payload says it is from (0 if it does not say the process), and how heavy it is, as in [`crate::RATES`]. Where payloads do not say it, [`Links::new`] takes `None`, and
/// the peer of the session alone tells.
pub type SenderOf = fn(&[u8]) -> Option<(u16, u64, u8)>;

/// Weights of what has none of its own.
const LIGHT: u8 = 1;
const HEAVY: u8 = 2;

/// How long a process that was there before is answered under its own session after its latest payload, in microseconds: nodes at
/// rest speak twice a second. The first is for a process that has not spoken since the present one is there, and has likely ended.
const BEFORE_US: [Micros; 2] = [700_000, 2_000_000];

/// What this layer counts besides [`Counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Payloads of an invited node in another node's name, or in none.
    pub impostors: u64,
    /// Payloads of an invited node beyond [`crate::RATES`].
    pub floods: u64,
    /// How often an invited node was shut out for a while.
    pub shut_out: u64,
    /// Datagrams that waited for a session and gave way to later ones, or whose receiver is not invited.
    pub unsent: u64,
}

/// A node and what is known of it.
struct Link {
    peer: PeerId,
    name: String,
    public: PublicKey,
    /// The process of the last payload under the present keys.
    heard: Option<Process>,
    /// Processes that were there before, and until when each is answered under its own session.
    before: Vec<(Process, Micros)>,
    /// What it has sent lately.
    meter: Meter,
    /// The latest payload that waits for a session; empty if none does.
    held: Vec<u8>,
}

/// A process of a node that has spoken.
#[derive(Clone, Copy)]
struct Process {
    /// The number that it gives itself.
    number: u64,
    /// The number that its sessions have.
    boot: u64,
    /// When it spoke last.
    at_us: Micros,
}

/// A node's sessions with all invited nodes.
pub struct Links {
    sessions: Sessions,
    links: BTreeMap<u16, Link>,
    numbers: BTreeMap<PeerId, u16>,
    sender_of: Option<SenderOf>,
    counts: LinkCounts,
    /// Nodes whose waiting payload can leave.
    ready: VecDeque<u16>,
    out: Vec<u8>,
    /// Nodes that are shut out.
    shut: ShutOuts,
}

/// How the nodes that may take part have changed: their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Nodes that may take part from now on.
    pub added: Vec<String>,
    /// Nodes that may not take part any more, or have another key.
    pub removed: Vec<String>,
    /// Their numbers.
    pub removed_numbers: Vec<u16>,
    /// Entries that could not be added.
    pub wrong: Vec<AddError>,
}

impl Link {
    /// Notes a payload of a process.
    fn came(&mut self, process: Process, earlier: bool) {
        if earlier {
            self.keep(process, BEFORE_US[1]);
        } else if let Some(before) = self.heard.replace(process)
            && before.boot != process.boot
        {
            self.keep(before, BEFORE_US[0]);
        }
    }

    /// Remembers a process that is not the present one.
    fn keep(&mut self, process: Process, for_us: Micros) {
        self.before.retain(|(b, _)| b.boot != process.boot);
        // The present one may be among them: it was told of as restarted before it spoke.
        if self.before.len() > Limits::EARLIER_MAX {
            self.before.remove(0);
        }
        let until_us = process.at_us.saturating_add(for_us);
        self.before.push((process, until_us));
    }
}

impl Links {
    /// Links without anybody invited. `sender_of` reads who a payload says it is from.
    pub fn new(sessions: Sessions, sender_of: Option<SenderOf>) -> Self {
        Self {
            sessions,
            links: BTreeMap::new(),
            numbers: BTreeMap::new(),
            sender_of,
            counts: LinkCounts::default(),
            ready: VecDeque::new(),
            out: Vec::new(),
            shut: ShutOuts::default(),
        }
    }

    /// The settings of nodes' sessions.
    pub fn config() -> Config {
        Config {
            times: crate::Times::NODES,
            ..Config::default()
        }
    }

    /// Makes exactly these nodes take part. Nodes that are no longer in the list, or with another key, lose their sessions
    /// at once; the others keep theirs.
    pub fn invite(&mut self, list: &[Invited]) -> Changed {
        let mut changed = Changed::default();
        let stays = |number: u16, link: &Link| {
            (list.iter())
                .any(|i| (i.number, &i.name, i.public) == (number, &link.name, link.public))
        };
        let gone: Vec<u16> = (self.links.iter())
            .filter(|(number, link)| !stays(**number, link))
            .map(|(&number, _)| number)
            .collect();
        for number in gone {
            if let Some(link) = self.links.remove(&number) {
                self.numbers.remove(&link.peer);
                self.shut.remove(number);
                self.sessions.remove(&link.name);
                changed.removed.push(link.name);
                changed.removed_numbers.push(number);
            }
        }
        for i in list {
            if self.links.contains_key(&i.number) {
                continue;
            }
            match self.sessions.add(&i.name, PeerConfig::new(i.public)) {
                Ok(peer) => {
                    let link = Link {
                        peer,
                        name: i.name.clone(),
                        public: i.public,
                        heard: None,
                        before: Vec::new(),
                        meter: Meter::new(),
                        held: Vec::new(),
                    };
                    self.links.insert(i.number, link);
                    self.numbers.insert(peer, i.number);
                    changed.added.push(i.name.clone());
                }
                Err(e) => changed.wrong.push(e),
            }
        }
        changed
    }

    /// Seals a datagram in place: the payload lies behind [`HEAD_BYTES`] and before [`TAG_BYTES`] bytes of room. Returns where
    /// to send it. Without a session a handshake begins, and a copy of the payload waits for its end; a later one takes its
    /// place.
    ///
    /// # Errors
    /// When the datagram cannot leave now.
    pub fn seal(
        &mut self,
        now: Micros,
        way: Way,
        datagram: &mut [u8],
    ) -> Result<SocketAddr, SealError> {
        let Some(link) = self.links.get_mut(&way.number) else {
            self.counts.unsent += 1;
            return Err(SealError::NoPeer);
        };
        let heard = link.heard.map(|h| h.number);
        let before = link.before.iter().find(|(b, until_us)| {
            Some(b.number) == way.process && heard != way.process && now < *until_us
        });
        if let Some((b, _)) = before
            && let Ok(at) = (self.sessions).seal_earlier(now, link.peer, b.boot, datagram)
        {
            return Ok(at);
        }
        let is_open = self.sessions.is_open(now, link.peer);
        let other = way.process.is_some() && heard.is_some() && way.process != heard;
        let moves = !is_open || other || self.sessions.is_trying(link.peer);
        if moves && self.sessions.address(link.peer) != Some(way.address) {
            self.sessions.set_address(link.peer, way.address);
        }
        if is_open && other {
            self.sessions.renew(now, link.peer);
        }
        let sealed = self.sessions.seal(now, link.peer, datagram);
        if sealed == Err(SealError::NoSession) {
            let payload = datagram
                .get(HEAD_BYTES..datagram.len().saturating_sub(TAG_BYTES))
                .unwrap_or_default();
            self.counts.unsent += u64::from(!link.held.is_empty());
            link.held.clear();
            link.held.extend_from_slice(payload);
        }
        sealed
    }

    /// A payload sealed in a datagram of its own, and where to send it: what [`Links::seal`] does, for those who send seldom.
    ///
    /// # Errors
    /// When the datagram cannot leave now.
    pub fn sealed(
        &mut self,
        now: Micros,
        way: Way,
        payload: &[u8],
    ) -> Result<(SocketAddr, Vec<u8>), SealError> {
        let mut datagram = [&[0; HEAD_BYTES], payload, &[0; TAG_BYTES]].concat();
        let at = self.seal(now, way, &mut datagram)?;
        Ok((at, datagram))
    }

    /// Opens a datagram in place: the sender's number and where the payload lies, if it has one for the caller.
    pub fn open(
        &mut self,
        now: Micros,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> Option<(u16, Range<usize>)> {
        let (peer, range, boot, earlier) = match self.sessions.open(now, from, datagram) {
            Opened::Payload {
                peer,
                range,
                boot,
                earlier,
            } => (peer, range, boot, earlier),
            Opened::Keepalive { peer } => {
                // It costs as much as anything else.
                let number = *self.numbers.get(&peer)?;
                self.takes(now, number, HEAVY);
                return None;
            }
            Opened::Handshake | Opened::Refused(_) => return None,
        };
        let number = *self.numbers.get(&peer)?;
        let Some(sender_of) = self.sender_of else {
            return Some((number, range));
        };
        let said = sender_of(datagram.get(range.clone())?);
        let Some((_, process, weight)) = said.filter(|(n, ..)| *n == number) else {
            self.counts.impostors += 1;
            self.takes(now, number, HEAVY);
            return None;
        };
        let link = self.links.get_mut(&number)?;
        if process != 0 {
            let process = Process {
                number: process,
                boot,
                at_us: now,
            };
            link.came(process, earlier);
        }
        self.takes(now, number, weight).then_some((number, range))
    }

    /// Whether one more payload of a node is taken. One that is not may be the last for a while.
    fn takes(&mut self, now: Micros, number: u16, weight: u8) -> bool {
        let Some(link) = self.links.get_mut(&number) else {
            return false;
        };
        let verdict = link.meter.note(now, weight);
        self.counts.floods += u64::from(verdict != Verdict::Taken);
        if let Verdict::ShutOut(for_us) = verdict {
            let until_us = now.saturating_add(for_us);
            self.counts.shut_out += 1;
            self.sessions.shut_out(now, link.peer, until_us);
            self.shut.add(ShutOut {
                number,
                name: link.name.clone(),
                place: link.peer.place,
                for_us,
                until_us,
            });
        }
        verdict == Verdict::Taken
    }

    /// The payload that was opened last for a node was of no use: data that nobody has asked for, which has no weight of its own.
    pub fn was_useless(&mut self, now: Micros, number: u16) {
        self.takes(now, number, LIGHT);
    }

    /// The nodes that are shut out, since they sent far too much.
    pub const fn shut_out(&self) -> &ShutOuts {
        &self.shut
    }

    /// The next datagram to send, and where. Call it after every other call until it has none.
    pub fn poll(&mut self, now: Micros) -> Option<(SocketAddr, &[u8])> {
        self.shut.look(now);
        // Ends: each turn takes an event or a waiting payload.
        loop {
            if let Some(number) = self.ready.pop_front() {
                if let Some(to) = self.release(now, number) {
                    return Some((to, &self.out));
                }
                continue;
            }
            match self.sessions.poll(now) {
                Output::Send { to, bytes } => {
                    self.out.clear();
                    self.out.extend_from_slice(bytes);
                    return Some((to, &self.out));
                }
                Output::Established { peer, restarted } => {
                    let number = self.numbers.get(&peer).copied();
                    let link = number.and_then(|n| self.links.get_mut(&n));
                    if let (Some(number), Some(link)) = (number, link) {
                        if restarted {
                            let before = link.heard.take();
                            before.into_iter().for_each(|b| link.keep(b, BEFORE_US[0]));
                        }
                        if !link.held.is_empty() {
                            self.ready.push_back(number);
                        }
                    }
                }
                Output::GaveUp { .. } => {}
                Output::WaitUntil(_) => return None,
            }
        }
    }

    /// Seals the payload that waits for a node.
    fn release(&mut self, now: Micros, number: u16) -> Option<SocketAddr> {
        let link = self.links.get_mut(&number)?;
        self.out.clear();
        self.out.resize(HEAD_BYTES, 0);
        self.out.append(&mut link.held);
        self.out.resize(self.out.len() + TAG_BYTES, 0);
        self.sessions.seal(now, link.peer, &mut self.out).ok()
    }

    /// When to call [`Links::poll`] at the latest; [`Micros::MAX`] if nothing is to be done before another call.
    pub fn next_deadline(&self) -> Micros {
        if !self.ready.is_empty() {
            return 0;
        }
        let sessions = self.sessions.next_deadline().unwrap_or(Micros::MAX);
        sessions.min(self.shut.next_end())
    }

    /// The name of a node.
    pub fn name(&self, number: u16) -> Option<&str> {
        self.links.get(&number).map(|l| &*l.name)
    }

    /// What the sessions did and refused.
    pub const fn counts(&self) -> &Counts {
        self.sessions.counts()
    }

    /// What this layer counts itself.
    pub const fn link_counts(&self) -> LinkCounts {
        self.counts
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.links.values().map(|l| &l.name).collect();
        f.debug_struct("Links").field("nodes", &names).finish()
    }
}
