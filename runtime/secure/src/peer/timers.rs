//! A peer's timers.

use super::Peer;
use crate::{
    Micros,
    shared::{Event, Shared},
    transport::Session,
};

impl Peer {
    /// Does what is due, and says when the next is.
    pub(crate) fn tick(&mut self, shared: &mut Shared) -> Micros {
        let (now, times) = (shared.now, shared.config.times);
        let over = |s: &Session| s.age_us(now) >= times.reject_after_us;
        self.current.take_if(|s| over(s));
        self.previous.retain(|s| !over(s));
        self.earlier.forget(over);
        self.unconfirmed
            .retain(|u| u.session.age_us(now) < times.unconfirmed_us);
        if let Some(attempt) = self.attempt.as_ref().filter(|a| a.next_us <= now) {
            if attempt.give_up_us <= now {
                self.attempt = None;
                shared.counts.handshakes_given_up += 1;
                shared.tell(Event::GaveUp { peer: self.id });
            } else {
                self.send_initiation(shared);
            }
        }
        let due = |timer: &mut Option<Micros>| timer.take_if(|at| *at <= now).is_some();
        if due(&mut self.keepalive_due) {
            self.send_keepalive(shared);
        }
        // Where both sides began at once, the peer may never send under these keys; and after a while it has forgotten them.
        let waits = |s: &Session| !s.heard && s.age_us(now) < times.unconfirmed_us;
        if due(&mut self.confirm_due) && self.current.as_ref().is_some_and(waits) {
            self.send_keepalive(shared);
            self.confirm_due = Some(now.saturating_add(times.retry_us));
        }
        if due(&mut self.silence_due) {
            self.begin(shared);
        }
        if due(&mut self.persistent_due) {
            if !self.send_keepalive(shared) {
                self.begin(shared);
            }
            self.touch(shared);
        }
        self.next_due(shared)
    }

    fn next_due(&self, shared: &Shared) -> Micros {
        let times = shared.config.times;
        let ends = |s: &Session, after: Micros| s.facts.born_us.saturating_add(after);
        let sessions = self
            .current
            .iter()
            .chain(&self.previous)
            .chain(self.earlier.sessions());
        let sessions = sessions.map(|s| ends(s, times.reject_after_us));
        let waiting = self
            .unconfirmed
            .iter()
            .map(|u| ends(&u.session, times.unconfirmed_us));
        let attempt = self.attempt.iter().map(|a| a.next_us);
        let timers = [
            self.keepalive_due,
            self.silence_due,
            self.persistent_due,
            self.confirm_due,
        ];
        let all = sessions
            .chain(waiting)
            .chain(attempt)
            .chain(timers.into_iter().flatten());
        all.min().unwrap_or(Micros::MAX)
    }
}
