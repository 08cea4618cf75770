//! Where the gateway is. A host name is looked up at the start, and anew whenever the gateway has not been heard for a
//! while: it may have got another address, or a name has several of which only some lead there.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    time::{Duration, Instant},
};

use crate::{error::NodeError, udp::GatewayName, wait::Waker};
use tessera_protocol::Micros;

/// Silence after which a name is looked up anew, and the pause before the next time.
const SILENCE_US: Micros = 5_000_000;
/// Pause between two lookups of a name that nobody knows: the network may still be starting.
const UNKNOWN: Duration = Duration::from_secs(2);
/// Between two lines about such a name.
const STILL_UNKNOWN: Duration = Duration::from_secs(30);

/// Gives the addresses of a name; may take seconds.
type Resolve = fn(&GatewayName) -> std::io::Result<Vec<SocketAddr>>;
/// What a lookup gave.
type Found = std::io::Result<Vec<SocketAddr>>;

/// The gateway's address, as far as this node knows the address.
#[derive(Debug)]
pub struct GatewayAddress {
    name: GatewayName,
    resolve: Resolve,
    at: SocketAddr,
    heard_at: Micros,
    looked_up_at: Micros,
    lookup: Option<Receiver<Found>>,
}

impl GatewayAddress {
    /// Finds the gateway; waits for a name that nobody knows yet, as long as it takes.
    pub fn find(name: &GatewayName, listen: Option<SocketAddr>) -> Self {
        let resolve = GatewayName::addresses;
        let mut complain_at = Instant::now();
        loop {
            let why = match resolve(name).map(|list| first(&list, listen)) {
                Ok(Some(at)) => {
                    return Self {
                        name: name.clone(),
                        resolve,
                        at,
                        heard_at: 0,
                        looked_up_at: 0,
                        lookup: None,
                    };
                }
                Ok(None) => "it has no address that can be reached from --listen".to_string(),
                Err(e) => e.to_string(),
            };
            if Instant::now() >= complain_at {
                complain_at = Instant::now() + STILL_UNKNOWN;
                tracing::warn!("cannot find the gateway {name}: {why}; trying again");
            }
            std::thread::sleep(UNKNOWN);
        }
    }

    /// The address in use.
    pub const fn at(&self) -> SocketAddr {
        self.at
    }

    /// Notes that a datagram arrived from `from`.
    pub fn heard(&mut self, now: Micros, from: SocketAddr) {
        if from.port() == self.at.port() && from.ip().to_canonical() == self.at.ip().to_canonical()
        {
            self.heard_at = now;
        }
    }

    /// The time at which [`GatewayAddress::moved`] should be called next.
    pub fn look_at(&self) -> Micros {
        if self.name.is_looked_up() && self.lookup.is_none() {
            let since = self.heard_at.max(self.looked_up_at);
            since.saturating_add(SILENCE_US)
        } else {
            // The waker tells of a lookup's end.
            Micros::MAX
        }
    }

    /// The gateway's new address, if it has one that `allowed` permits: call it in every turn of the loop.
    pub fn moved(
        &mut self,
        now: Micros,
        waker: &Waker,
        allowed: impl Fn(SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        if now >= self.look_at() {
            self.looked_up_at = now;
            // Without a thread it is tried again later.
            self.lookup = look_up(&self.name, self.resolve, waker).ok();
        }
        let found = match self.lookup.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Vec::new(),
            // A name that is not known for a moment still leads where it did.
            Ok(found) => found.unwrap_or_default(),
        };
        self.lookup = None;
        if self.heard_at > self.looked_up_at {
            return None;
        }
        let other = next(&found, self.at, allowed)?;
        self.at = other;
        Some(other)
    }
}

/// Looks a name up on a thread of its own, which is not waited for at the end.
fn look_up(
    name: &GatewayName,
    resolve: Resolve,
    waker: &Waker,
) -> Result<Receiver<Found>, NodeError> {
    let (tell, found) = sync_channel(1);
    let (name, waker) = (name.clone(), waker.clone());
    std::thread::Builder::new()
        .name("resolver".into())
        .spawn(move || {
            let _ = tell.send(resolve(&name));
            waker.wake();
        })
        .map_err(NodeError::io("cannot start a thread"))?;
    Ok(found)
}

/// The address to begin with: one of the family of `listen`, else of IPv4, which gateways mostly listen on.
fn first(list: &[SocketAddr], listen: Option<SocketAddr>) -> Option<SocketAddr> {
    let family = |v4: bool| list.iter().copied().find(|a| a.is_ipv4() == v4);
    match listen {
        Some(listen) => family(listen.is_ipv4()),
        None => family(true).or_else(|| family(false)),
    }
}

/// The address behind `at` in the list, round and round; `None` when there is no other that may be used.
fn next(
    list: &[SocketAddr],
    at: SocketAddr,
    allowed: impl Fn(SocketAddr) -> bool,
) -> Option<SocketAddr> {
    let begin = list.iter().position(|a| *a == at).map_or(0, |i| i + 1);
    let turn = list.iter().cycle().skip(begin).take(list.len());
    turn.copied()
        .find(|a| *a != at && a.is_ipv4() == at.is_ipv4() && allowed(*a))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::wait;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn list(words: &[&str]) -> Vec<SocketAddr> {
        words.iter().map(|w| at(w)).collect()
    }

    /// A gateway that has moved, with an address of the other family.
    fn moved(_: &GatewayName) -> Found {
        Ok(list(&["[::1]:7", "127.0.0.2:7", "127.0.0.3:7"]))
    }

    fn unknown(_: &GatewayName) -> Found {
        Err(std::io::Error::other("nobody knows"))
    }

    fn gateway(name: &str, resolve: Resolve) -> GatewayAddress {
        GatewayAddress {
            name: name.parse().unwrap(),
            resolve,
            at: at("127.0.0.1:7"),
            heard_at: 0,
            looked_up_at: 0,
            lookup: None,
        }
    }

    /// Asks until a lookup has ended.
    fn ask(g: &mut GatewayAddress, now: Micros, waker: &Waker) -> Option<SocketAddr> {
        loop {
            let moved = g.moved(now, waker, |_| true);
            if g.lookup.is_none() {
                return moved;
            }
            wait::wait([waker.as_fd()], Micros::MAX).unwrap();
            waker.clear();
        }
    }

    #[test]
    fn a_silent_gateway_is_looked_up_anew() {
        let waker = Waker::new().unwrap();
        let mut g = gateway("pi.local:7", moved);
        assert_eq!(g.moved(SILENCE_US - 1, &waker, |_| true), None);
        g.heard(SILENCE_US, at("127.0.0.9:7"));
        assert_eq!(g.look_at(), SILENCE_US, "somebody else");
        g.heard(SILENCE_US, at("[::ffff:127.0.0.1]:7"));
        assert_eq!(g.look_at(), 2 * SILENCE_US);
        // Addresses in turn, of the family that the socket has.
        for (turn, expected) in (2..).zip(["127.0.0.2:7", "127.0.0.3:7", "127.0.0.2:7"]) {
            let now = turn * 2 * SILENCE_US;
            assert_eq!(ask(&mut g, now, &waker), Some(at(expected)));
            assert_eq!(g.at(), at(expected));
            assert_eq!(
                g.moved(now + 2, &waker, |_| true),
                None,
                "not at once again"
            );
        }
    }

    #[test]
    fn what_speaks_or_is_unknown_stays_where_it_is() {
        let waker = Waker::new().unwrap();
        let mut g = gateway("pi.local:7", unknown);
        assert_eq!(ask(&mut g, SILENCE_US, &waker), None);
        let mut g = gateway("pi.local:7", moved);
        assert_eq!(g.moved(SILENCE_US, &waker, |_| false), None);
        g.heard(SILENCE_US + 1, g.at());
        assert_eq!(ask(&mut g, SILENCE_US + 2, &waker), None);
        let g = gateway("127.0.0.1:7", moved);
        assert_eq!(g.look_at(), Micros::MAX, "an address is no name");
    }

    #[test]
    fn addresses_to_begin_with() {
        let both = list(&["[::1]:7", "127.0.0.1:7"]);
        assert_eq!(first(&both, None), Some(at("127.0.0.1:7")));
        assert_eq!(first(&both, Some(at("[::]:0"))), Some(at("[::1]:7")));
        assert_eq!(first(&both[..1], None), Some(at("[::1]:7")));
        assert_eq!(first(&both[..1], Some(at("0.0.0.0:0"))), None);
        assert_eq!(next(&both, at("127.0.0.1:7"), |_| true), None);
        assert_eq!(
            next(&list(&["127.0.0.2:7"]), at("127.0.0.1:7"), |_| false),
            None
        );
    }
}
