//! A peer: its sessions, the handshake on its way, its timers.

mod earlier;
mod timers;

use std::net::SocketAddr;

use thiserror::Error;

use earlier::EarlierProcesses;

use crate::{
    Micros,
    config::Limits,
    cookie::{Jar, MacKeys},
    counts::Refusal,
    handshake::{self, Initiation, Pending},
    keys::PublicKey,
    rate::Bucket,
    shared::{Event, PeerId, Shared},
    stamp::{Boots, Stamp},
    transport::{Facts, Session},
    wire::{COOKIE_BYTES, HEAD_BYTES, RESPONSE_BYTES, TAG_BYTES},
};

/// What a table is told of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// The peer's public key.
    pub public: PublicKey,
    /// Where the peer is; `None` if it is the peer that begins.
    pub address: Option<SocketAddr>,
    /// How often to send something when there is nothing to send, and to begin a session when there is none: 25 s keep a NAT open. `None`: never.
    pub persistent_us: Option<Micros>,
}

impl PeerConfig {
    /// A peer that begins sessions by itself, or gets its address later.
    pub const fn new(public: PublicKey) -> Self {
        Self {
            public,
            address: None,
            persistent_us: None,
        }
    }
}

/// Why a datagram was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The table has no such peer, or no longer.
    #[error("no such peer in the table of sessions")]
    NoPeer,
    /// Nobody has said where the peer is, and the peer has not come yet.
    #[error("the peer's address is not known; it has to begin, or `cluster.toml` has to name it")]
    NoAddress,
    /// There are no keys yet. A handshake has been begun; [`crate::Output::Established`] follows.
    #[error("no session with the peer yet")]
    NoSession,
    /// The buffer has no room for head and tag.
    #[error("a buffer of {found} bytes has no room for {} bytes of head and tag", HEAD_BYTES + TAG_BYTES)]
    Short {
        /// Bytes of the buffer.
        found: usize,
    },
}

/// A handshake that this node has begun.
struct Attempt {
    pending: Option<Pending>,
    next_us: Micros,
    give_up_us: Micros,
    /// A cookie has made this attempt quicker once.
    hurried: bool,
}

/// A session that waits for its first data.
struct Unconfirmed {
    session: Session,
    stamp: Stamp,
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Current,
    Previous(usize),
    Unconfirmed(usize),
    Earlier(usize),
}

/// What came of data that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// True if there is a payload.
    pub payload: bool,
    /// The boot of the process that it is of.
    pub boot: u64,
    /// True if that process was there before the present one.
    pub earlier: bool,
}

/// See the module.
pub(crate) struct Peer {
    pub id: PeerId,
    pub name: String,
    pub public: PublicKey,
    pub address: Option<SocketAddr>,
    persistent_us: Option<Micros>,
    /// Keys of messages to the peer.
    macs: MacKeys,
    jar: Jar,
    boots: Boots,
    current: Option<Session>,
    /// Earlier sessions, the latest last: datagrams under their keys may still be on their way.
    previous: Vec<Session>,
    unconfirmed: Vec<Unconfirmed>,
    /// Sessions with the processes of this peer that were there before.
    earlier: EarlierProcesses,
    /// Where the latest datagram of the current session came from.
    heard_at: Option<SocketAddr>,
    attempt: Option<Attempt>,
    initiated_us: Option<Micros>,
    /// How many more initiations are answered: of the confirmed boot, and of others, so that recordings of these do not shut that out.
    answered: [Bucket; 2],
    keepalive_due: Option<Micros>,
    silence_due: Option<Micros>,
    persistent_due: Option<Micros>,
    /// When the first datagram under new keys is sent again, so that the peer can use them.
    confirm_due: Option<Micros>,
    /// Nothing of this peer is opened before this time.
    shut_until: Micros,
}

impl Peer {
    pub(crate) fn new(id: PeerId, name: String, config: &PeerConfig, shared: &mut Shared) -> Self {
        let macs = MacKeys::new(&shared.local.secret, &config.public);
        let times = shared.config.times;
        let persistent_due = config.persistent_us.map(|_| shared.now);
        shared.wake_at(persistent_due.unwrap_or(Micros::MAX));
        Self {
            id,
            name,
            public: config.public,
            address: config.address,
            // A pause of nothing would keep `poll` busy for ever.
            persistent_us: config.persistent_us.map(|p| p.max(1_000)),
            macs,
            jar: Jar::default(),
            boots: Boots::default(),
            current: None,
            previous: Vec::new(),
            unconfirmed: Vec::new(),
            earlier: EarlierProcesses::default(),
            heard_at: None,
            attempt: None,
            initiated_us: None,
            answered: [Bucket::full(
                shared.now,
                times.initiation_gap_us,
                shared.config.limits.initiation_burst,
            ); 2],
            keepalive_due: None,
            silence_due: None,
            persistent_due,
            confirm_due: None,
            shut_until: 0,
        }
    }

    /// True while nothing of this peer is opened.
    pub(crate) const fn is_shut_out(&self, now: Micros) -> bool {
        now < self.shut_until
    }

    /// Opens nothing of this peer before this time.
    pub(crate) const fn shut_out(&mut self, until: Micros) {
        self.shut_until = until;
        // Its silence says nothing then.
        self.silence_due = None;
    }

    /// True if datagrams can be sealed.
    pub(crate) fn is_open(&self, shared: &Shared) -> bool {
        let reject = shared.config.times.reject_after_us;
        self.current
            .as_ref()
            .is_some_and(|s| s.age_us(shared.now) < reject)
    }

    fn find(&self, index: u32) -> Option<Place> {
        let is = |s: &Session| s.facts.index == index;
        if self.current.as_ref().is_some_and(is) {
            return Some(Place::Current);
        }
        if let Some(at) = self.previous.iter().position(is) {
            return Some(Place::Previous(at));
        }
        let at = self.unconfirmed.iter().position(|u| is(&u.session));
        at.map(Place::Unconfirmed)
            .or_else(|| self.earlier.find(index).map(Place::Earlier))
    }

    /// True while a handshake that this node has begun is on its way.
    pub(crate) const fn is_trying(&self) -> bool {
        self.attempt.is_some()
    }

    /// A new number that the peer is to call this node by; it names the peer's place, too.
    fn new_index(&self, shared: &mut Shared) -> u32 {
        let mut index = 0;
        // A second draw is rare, a fourth unheard of; two sessions with one number would be harmless: their keys differ.
        for _ in 0..4 {
            index = (shared.random.word() as u32) << Limits::PEERS_MAX.ilog2()
                | u32::from(self.id.place);
            let pending = self.attempt.as_ref().and_then(|a| a.pending.as_ref());
            if self.find(index).is_none() && pending.is_none_or(|p| p.index != index) {
                break;
            }
        }
        index
    }

    /// Begins a handshake, unless one is on its way or the peer's address is not known.
    pub(crate) fn begin(&mut self, shared: &mut Shared) {
        if self.attempt.is_some() || self.address.is_none() {
            return;
        }
        let times = shared.config.times;
        let earliest = self
            .initiated_us
            .map_or(0, |at| at.saturating_add(times.retry_us));
        let next_us = earliest.max(shared.now);
        self.attempt = Some(Attempt {
            pending: None,
            next_us,
            give_up_us: next_us.saturating_add(times.give_up_us),
            hurried: false,
        });
        shared.wake_at(next_us);
        if next_us <= shared.now {
            self.send_initiation(shared);
        }
    }

    fn send_initiation(&mut self, shared: &mut Shared) {
        let index = self.new_index(shared);
        let (Some(attempt), Some(to)) = (&mut self.attempt, self.address) else {
            return;
        };
        let times = shared.config.times;
        attempt.next_us = shared
            .now
            .saturating_add(times.retry_us)
            .saturating_add(shared.jitter());
        shared.wake_at(attempt.next_us);
        self.initiated_us = Some(shared.now);
        let (stamp, ephemeral) = (shared.next_stamp(), shared.random.draw());
        let made = handshake::initiate(&shared.local, &self.public, ephemeral, stamp, index);
        if let Some((pending, mut message)) = made {
            self.macs
                .sign(&mut message, &mut self.jar, shared.now, times.cookie_us);
            attempt.pending = Some(pending);
            shared.counts.initiations_sent += 1;
            shared.send(to, &message);
        }
    }

    /// Answers an initiation of this peer. The new session waits for its first data.
    pub(crate) fn answer(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        initiation: Initiation,
    ) -> Result<(), Refusal> {
        let (stamp, times) = (initiation.stamp, shared.config.times);
        let waiting = self
            .unconfirmed
            .iter()
            .position(|u| u.stamp.boot == stamp.boot);
        if waiting.is_some_and(|k| stamp.count <= self.unconfirmed[k].stamp.count) {
            return Err(Refusal::ReplayedInitiation);
        }
        self.boots.accept(stamp)?;
        let answered = &mut self.answered[usize::from(!self.boots.is_now(stamp.boot))];
        let (gap, burst) = (
            times.initiation_gap_us,
            shared.config.limits.initiation_burst,
        );
        if !answered.pay(shared.now, gap, burst) {
            return Err(Refusal::PeerTooFast);
        }
        let index = self.new_index(shared);
        let remote = initiation.sender;
        let (mut message, keys) = handshake::respond(initiation, shared.boot(), index)?;
        let facts = Facts {
            index,
            remote,
            born_us: shared.now,
            initiated: false,
            boot: stamp.boot,
        };
        let session = Session::new(&keys, facts).ok_or(Refusal::BadHandshake)?;
        if let Some(k) = waiting {
            self.unconfirmed.remove(k);
        } else if self.unconfirmed.len() >= Limits::UNCONFIRMED_MAX {
            self.unconfirmed.remove(0);
        }
        self.unconfirmed.push(Unconfirmed { session, stamp });
        shared.wake_at(shared.now.saturating_add(times.unconfirmed_us));
        self.macs
            .sign(&mut message, &mut self.jar, shared.now, times.cookie_us);
        shared.counts.initiations_answered += 1;
        shared.send(from, &message);
        Ok(())
    }

    /// True if this node's handshake waits for a response to `index`.
    pub(crate) fn waits_for(&self, index: u32) -> bool {
        let pending = self.attempt.as_ref().and_then(|a| a.pending.as_ref());
        pending.is_some_and(|p| p.index == index)
    }

    /// The response to this node's initiation. The new session is in use from now on.
    pub(crate) fn conclude(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        message: &[u8; RESPONSE_BYTES],
    ) -> Result<(), Refusal> {
        let pending = self.attempt.as_mut().and_then(|a| a.pending.as_mut());
        let pending = pending.ok_or(Refusal::UnknownHandshake)?;
        let response = handshake::read_response(pending, message)?;
        let facts = Facts {
            index: pending.index,
            remote: response.sender,
            born_us: shared.now,
            initiated: true,
            boot: response.boot,
        };
        let session = Session::new(&response.keys, facts).ok_or(Refusal::BadHandshake)?;
        self.attempt = None;
        // The peer has answered since the initiation was sent, so what it sent before as another process is of one that has ended.
        let asked_us = self.initiated_us.unwrap_or(0);
        self.unconfirmed
            .retain(|u| u.stamp.boot == response.boot || u.session.facts.born_us >= asked_us);
        let stamp = Stamp {
            boot: response.boot,
            count: 0,
        };
        self.establish(shared, session, stamp);
        self.move_to(shared, from);
        // The peer may send once it has heard the new keys.
        self.send_keepalive(shared);
        Ok(())
    }

    /// Both sides have this session's keys: it becomes the current one.
    fn establish(&mut self, shared: &mut Shared, session: Session, stamp: Stamp) {
        let restarted = self.boots.confirm(stamp);
        if restarted {
            // The process before has ended, or it is another board with the same key.
            let address = self.heard_at.take().or(self.address);
            self.previous.clear();
            self.previous.extend(self.earlier.take(stamp.boot));
            if let Some((before, address)) = self.current.take().zip(address) {
                self.earlier.keep(before, address);
            }
        }
        let opened = !self.is_open(shared);
        let times = shared.config.times;
        self.confirm_due = session
            .facts
            .initiated
            .then(|| shared.now.saturating_add(times.retry_us));
        shared.wake_at(self.confirm_due.unwrap_or(Micros::MAX));
        shared.wake_at(shared.now.saturating_add(times.reject_after_us));
        if let Some(before) = self.current.replace(session) {
            self.keep(before);
        }
        self.silence_due = None;
        shared.counts.sessions_established += 1;
        if opened || restarted {
            shared.tell(Event::Established {
                peer: self.id,
                restarted,
            });
        }
    }

    /// The first data of a session that waited for it. True if the session is the current one now.
    fn confirm(&mut self, shared: &mut Shared, at: usize) -> bool {
        let Unconfirmed { session, stamp } = self.unconfirmed.remove(at);
        // What is not of this boot is of an earlier one.
        self.unconfirmed.retain(|u| u.stamp.boot == stamp.boot);
        self.attempt = None;
        // Both sides began at once, and this node's handshake was done first: each side goes on with the session that it began, so that each renews its own.
        let retry = shared.config.times.retry_us;
        let crossing = self.current.as_ref().is_some_and(|c| {
            c.facts.initiated && c.facts.boot == stamp.boot && c.age_us(shared.now) < retry
        });
        if crossing {
            self.boots.confirm(stamp);
            self.keep(session);
            shared.counts.sessions_established += 1;
            return false;
        }
        self.establish(shared, session, stamp);
        // Tells the peer that it was heard.
        self.send_keepalive(shared);
        true
    }

    /// Keeps a session that is no longer sealed with.
    fn keep(&mut self, session: Session) {
        if self.previous.len() >= Limits::PREVIOUS_MAX {
            self.previous.remove(0);
        }
        self.previous.push(session);
    }

    fn move_to(&mut self, shared: &mut Shared, from: SocketAddr) {
        self.heard_at = Some(from);
        if self.address != Some(from) {
            self.address = Some(from);
            shared.counts.addresses_changed += 1;
        }
    }

    /// A cookie for the latest handshake message to the peer.
    pub(crate) fn take_cookie(
        &mut self,
        shared: &mut Shared,
        index: u32,
        datagram: &[u8; COOKIE_BYTES],
    ) -> Result<(), Refusal> {
        if !self.waits_for(index) && self.find(index).is_none() {
            return Err(Refusal::UnknownHandshake);
        }
        if !self.jar.take(datagram, &self.macs, shared.now) {
            return Err(Refusal::BadCookie);
        }
        shared.counts.cookies_received += 1;
        let soon = shared.now.saturating_add(shared.jitter());
        if let Some(attempt) = self
            .attempt
            .as_mut()
            .filter(|a| !a.hurried && a.next_us > soon)
        {
            (attempt.hurried, attempt.next_us) = (true, soon);
            shared.wake_at(soon);
        }
        Ok(())
    }

    /// Seals a datagram and says where to send it.
    pub(crate) fn seal(
        &mut self,
        shared: &mut Shared,
        datagram: &mut [u8],
    ) -> Result<SocketAddr, SealError> {
        if datagram.len() < HEAD_BYTES + TAG_BYTES {
            return Err(SealError::Short {
                found: datagram.len(),
            });
        }
        let to = self.address.ok_or(SealError::NoAddress)?;
        let (now, times, limits) = (shared.now, shared.config.times, shared.config.limits);
        let sealed = match &mut self.current {
            Some(s) if s.age_us(now) < times.reject_after_us => {
                s.seal(datagram, limits.reject_after_messages)
            }
            _ => false,
        };
        let Some(session) = self.current.as_ref().filter(|_| sealed) else {
            self.begin(shared);
            return Err(SealError::NoSession);
        };
        let age = session.age_us(now);
        let worn = age >= times.rekey_after_us || session.counter() >= limits.rekey_after_messages;
        let renew = (session.facts.initiated && worn) || age >= times.last_rekey_us();
        self.keepalive_due = None;
        self.touch(shared);
        let waits = self.silence_due.is_none() && !self.is_shut_out(now);
        if datagram.len() > HEAD_BYTES + TAG_BYTES && waits {
            let due = now
                .saturating_add(times.silence_us())
                .saturating_add(shared.jitter());
            self.silence_due = Some(due);
            shared.wake_at(due);
        }
        if renew {
            self.begin(shared);
        }
        Ok(to)
    }

    /// Something was sent or received.
    fn touch(&mut self, shared: &mut Shared) {
        self.persistent_due = self.persistent_us.map(|p| shared.now.saturating_add(p));
        shared.wake_at(self.persistent_due.unwrap_or(Micros::MAX));
    }

    fn send_keepalive(&mut self, shared: &mut Shared) -> bool {
        let mut datagram = [0; HEAD_BYTES + TAG_BYTES];
        let Ok(to) = self.seal(shared, &mut datagram) else {
            return false;
        };
        shared.counts.keepalives_sent += 1;
        shared.send(to, &datagram);
        true
    }

    /// Seals a datagram for the process of an earlier boot, and says where to send it.
    pub(crate) fn seal_earlier(
        &mut self,
        shared: &Shared,
        boot: u64,
        datagram: &mut [u8],
    ) -> Option<SocketAddr> {
        if datagram.len() < HEAD_BYTES + TAG_BYTES {
            return None;
        }
        let (times, limits) = (shared.config.times, shared.config.limits);
        let reject_us = times.reject_after_us;
        (self.earlier).seal(boot, shared.now, reject_us, limits, datagram)
    }

    /// Opens data for this node's session `index`.
    pub(crate) fn open(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        datagram: &mut [u8],
        (index, counter): (u32, u64),
    ) -> Result<Came, Refusal> {
        let place = self.find(index).ok_or(Refusal::UnknownSession)?;
        let session = match place {
            Place::Current => self.current.as_mut(),
            Place::Previous(k) => self.previous.get_mut(k),
            Place::Unconfirmed(k) => self.unconfirmed.get_mut(k).map(|u| &mut u.session),
            Place::Earlier(k) => self.earlier.at(k),
        };
        let session = session.ok_or(Refusal::UnknownSession)?;
        let (now, times) = (shared.now, shared.config.times);
        let age = session.age_us(now);
        if age >= times.reject_after_us {
            return Err(Refusal::ExpiredSession);
        }
        let newest = session.open(datagram, counter)?;
        let renew = session.facts.initiated && age >= times.last_rekey_us();
        let payload = datagram.len() > HEAD_BYTES + TAG_BYTES;
        let boot = session.facts.boot;
        if let Place::Earlier(k) = place {
            if newest {
                self.earlier.moved(k, from);
            }
            let earlier = true;
            return Ok(Came {
                payload,
                boot,
                earlier,
            });
        }
        let current = match place {
            Place::Current => true,
            Place::Previous(_) | Place::Earlier(_) => false,
            Place::Unconfirmed(k) => self.confirm(shared, k),
        };
        if current {
            self.confirm_due = None;
            // A datagram that was overtaken may come from where the peer was before.
            if newest {
                self.move_to(shared, from);
            }
        }
        self.silence_due = None;
        self.touch(shared);
        if renew {
            self.begin(shared);
        }
        if payload && self.keepalive_due.is_none() {
            let due = now.saturating_add(times.keepalive_us);
            self.keepalive_due = Some(due);
            shared.wake_at(due);
        }
        let earlier = false;
        Ok(Came {
            payload,
            boot,
            earlier,
        })
    }
}
