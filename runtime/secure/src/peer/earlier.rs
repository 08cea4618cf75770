//! The processes of a peer that were there before the present one.
//!
//! Mostly they have ended. But two boards may have one key: somebody copied a board's card. Each handshake of one would end the other's
//! session, for ever, and nobody could tell either of them why. So the latest sessions with the processes before are kept until they are too
//! old: what arrives under them is taken, and what is meant for such a process is sealed with its session. They are not renewed, and move no address but
//! their own.

use std::net::SocketAddr;

use crate::{Micros, config::Limits, transport::Session};

/// The latest session with a process that was there before.
struct Earlier {
    session: Session,
    /// Where its latest datagram came from.
    address: SocketAddr,
}

/// See the module. The process that was there last comes last.
#[derive(Default)]
pub(crate) struct EarlierProcesses(Vec<Earlier>);

impl EarlierProcesses {
    /// Keeps the session of the process that was there until now.
    pub(crate) fn keep(&mut self, session: Session, address: SocketAddr) {
        if self.0.len() >= Limits::EARLIER_MAX {
            self.0.remove(0);
        }
        self.0.push(Earlier { session, address });
    }

    /// Takes out the session of a process that is there again.
    pub(crate) fn take(&mut self, boot: u64) -> Option<Session> {
        let at = self.0.iter().position(|e| e.session.facts.boot == boot)?;
        Some(self.0.remove(at).session)
    }

    /// The place of the session that this node calls `index`.
    pub(crate) fn find(&self, index: u32) -> Option<usize> {
        self.0.iter().position(|e| e.session.facts.index == index)
    }

    /// The session at a place.
    pub(crate) fn at(&mut self, place: usize) -> Option<&mut Session> {
        self.0.get_mut(place).map(|e| &mut e.session)
    }

    /// Notes where the newest datagram of the session at a place came from.
    pub(crate) fn moved(&mut self, place: usize, from: SocketAddr) {
        if let Some(earlier) = self.0.get_mut(place) {
            earlier.address = from;
        }
    }

    /// Seals a datagram for the process of a boot and says where to send it; `None` without a session that may still be used.
    pub(crate) fn seal(
        &mut self,
        boot: u64,
        now: Micros,
        reject_after_us: Micros,
        limits: Limits,
        datagram: &mut [u8],
    ) -> Option<SocketAddr> {
        let earlier = (self.0.iter_mut()).find(|e| e.session.facts.boot == boot)?;
        let fresh = earlier.session.age_us(now) < reject_after_us;
        let sealed = fresh && earlier.session.seal(datagram, limits.reject_after_messages);
        sealed.then_some(earlier.address)
    }

    /// Forgets sessions that are too old.
    pub(crate) fn forget(&mut self, over: impl Fn(&Session) -> bool) {
        self.0.retain(|e| !over(&e.session));
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.0.iter().map(|e| &e.session)
    }
}
