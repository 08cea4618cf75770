//! A session: the keys, counters and replay window that two nodes have together.

use ring::aead::{Aad, LessSafeKey, Tag};

use crate::{
    Micros,
    counts::Refusal,
    handshake::Keys,
    noise::{aead_key, nonce},
    window::Window,
    wire::{HEAD_BYTES, TAG_BYTES, data_head},
};

/// What a session is besides its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// What the peer calls this session.
    pub index: u32,
    /// What this node calls the session towards the peer.
    pub remote: u32,
    /// When the keys were made.
    pub born_us: Micros,
    /// True if this node sent the initiation.
    pub initiated: bool,
    /// The peer's boot.
    pub boot: u64,
}

/// A session.
pub(crate) struct Session {
    send: LessSafeKey,
    receive: LessSafeKey,
    /// The counter of the next datagram: 64 bits on every target.
    counter: u64,
    window: Window,
    pub facts: Facts,
    /// True once a datagram was received under these keys.
    pub heard: bool,
}

impl Session {
    /// `None` never happens: keys have 32 bytes.
    pub(crate) fn new(keys: &Keys, facts: Facts) -> Option<Self> {
        Some(Self {
            send: aead_key(&keys.send)?,
            receive: aead_key(&keys.receive)?,
            counter: 0,
            window: Window::default(),
            facts,
            heard: false,
        })
    }

    pub(crate) const fn age_us(&self, now: Micros) -> Micros {
        now.saturating_sub(self.facts.born_us)
    }

    /// The counter of the next datagram.
    pub(crate) const fn counter(&self) -> u64 {
        self.counter
    }

    /// Seals a datagram in place: head, payload, room for the tag. False if it is too short, or the counter is used up.
    pub(crate) fn seal(&mut self, datagram: &mut [u8], counter_end: u64) -> bool {
        let Some((head, rest)) = datagram.split_first_chunk_mut::<HEAD_BYTES>() else {
            return false;
        };
        let Some((payload, tag)) = rest.split_last_chunk_mut::<TAG_BYTES>() else {
            return false;
        };
        if self.counter >= counter_end.min(Window::COUNTER_END) {
            return false;
        }
        *head = data_head(self.facts.remote, self.counter);
        let nonce = nonce(self.counter);
        // Whatever comes of it, a counter is used once.
        self.counter += 1;
        match self
            .send
            .seal_in_place_separate_tag(nonce, Aad::from(*head), payload)
        {
            Ok(sealed) => {
                tag.copy_from_slice(sealed.as_ref());
                true
            }
            Err(_) => false,
        }
    }

    /// Opens a datagram in place. True if no datagram with a greater counter came before. After an error the payload's bytes are lost.
    pub(crate) fn open(&mut self, datagram: &mut [u8], counter: u64) -> Result<bool, Refusal> {
        if counter >= Window::COUNTER_END {
            return Err(Refusal::ExpiredSession);
        }
        let (head, rest) = datagram
            .split_first_chunk_mut::<HEAD_BYTES>()
            .ok_or(Refusal::Malformed)?;
        let (payload, tag) = rest
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(Refusal::Malformed)?;
        self.receive
            .open_in_place_separate_tag(
                nonce(counter),
                Aad::from(*head),
                Tag::from(*tag),
                payload,
                0..,
            )
            .map_err(|_| Refusal::BadTag)?;
        // Behind the tag: a stranger's counters must not move the window.
        let newest = self.window.take(counter).ok_or(Refusal::ReplayedData)?;
        self.heard = true;
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn pair() -> (Session, Session) {
        let (x, y) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let facts = |index, remote| Facts {
            index,
            remote,
            born_us: 0,
            initiated: true,
            boot: 0,
        };
        let a = Keys {
            send: x.clone(),
            receive: y.clone(),
        };
        let b = Keys {
            send: y,
            receive: x,
        };
        (
            Session::new(&a, facts(5, 6)).unwrap(),
            Session::new(&b, facts(6, 5)).unwrap(),
        )
    }

    fn datagram(payload: &[u8]) -> Vec<u8> {
        [&[0; HEAD_BYTES], payload, &[0; TAG_BYTES]].concat()
    }

    #[test]
    fn what_is_sealed_opens_once() {
        let (mut a, mut b) = pair();
        for len in [0, 1, 15, 16, 17, 1400, 65_475] {
            let payload: Vec<u8> = (0..len).map(|k| k as u8).collect();
            let mut bytes = datagram(&payload);
            assert!(a.seal(&mut bytes, u64::MAX));
            let sealed = bytes.clone();
            let counter = a.counter() - 1;
            assert_eq!(b.open(&mut bytes, counter), Ok(true));
            assert_eq!(bytes[HEAD_BYTES..bytes.len() - TAG_BYTES], payload);
            assert_eq!(
                b.open(&mut sealed.clone(), counter),
                Err(Refusal::ReplayedData)
            );
            assert_eq!(
                a.open(&mut sealed.clone(), counter),
                Err(Refusal::BadTag),
                "a reflection"
            );
            assert_eq!(
                b.open(&mut sealed.clone(), counter + 1),
                Err(Refusal::BadTag)
            );
        }
    }

    /// A wrong tag moves no window, so a stranger's great counter shuts nobody out.
    #[test]
    fn the_window_is_behind_the_tag() {
        let (mut a, mut b) = pair();
        let mut forged = datagram(b"x");
        forged[..HEAD_BYTES].copy_from_slice(&data_head(6, 1 << 60));
        assert_eq!(b.open(&mut forged, 1 << 60), Err(Refusal::BadTag));
        let mut bytes = datagram(b"x");
        assert!(a.seal(&mut bytes, u64::MAX));
        assert_eq!(b.open(&mut bytes, 0), Ok(true));
    }

    /// Counters beyond 2^32 are other counters, on targets with words of 32 bits too.
    #[test]
    fn counters_have_64_bits() {
        let (mut a, mut b) = pair();
        for counter in [0, 1 << 32, (1 << 32) + 1, 5 << 32, Window::COUNTER_END - 1] {
            a.counter = counter;
            let mut bytes = datagram(b"data");
            assert!(a.seal(&mut bytes, u64::MAX));
            assert_eq!(bytes[8..16], counter.to_le_bytes());
            assert_eq!(b.open(&mut bytes, counter), Ok(true), "{counter}");
        }
        assert!(!a.seal(&mut datagram(b"data"), u64::MAX), "used up");
        assert_eq!(
            b.open(&mut datagram(b"data"), Window::COUNTER_END),
            Err(Refusal::ExpiredSession)
        );
        a.counter = 7;
        assert!(!a.seal(&mut datagram(b"data"), 7));
        assert!(!a.seal(&mut [0; HEAD_BYTES + TAG_BYTES - 1], u64::MAX));
    }
}
