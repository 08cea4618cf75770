//! A node's place in the world: address, clock, timer, socket.

use std::{collections::VecDeque, net::SocketAddr, rc::Rc};

use super::{
    core::{Core, Event},
    violation::Failure,
};
use tessera_protocol::{Incarnation, To};
use tessera_secure::{
    ClusterSecret, HEAD_BYTES, Invited, Links, PrivateKey, Sessions, TAG_BYTES, Way,
};

/// A clock with its own start time and rate, both different from those of virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Virtual time at which the clock starts, in microseconds.
    pub start: u64,
    /// Time that the clock shows at its start, in microseconds.
    pub offset: u64,
    /// Parts per million by which the clock runs fast.
    pub ppm: i32,
}

impl Clock {
    const fn rate(self) -> u128 {
        (1_000_000 + self.ppm as i128) as u128
    }

    /// The time that the clock shows at virtual time `t`.
    pub const fn local(self, t: u64) -> u64 {
        let d = t.saturating_sub(self.start) as u128;
        self.offset + (d * self.rate() / 1_000_000) as u64
    }

    /// First virtual time at which the clock shows `local` or later.
    pub const fn global(self, local: u64) -> u64 {
        let d = local.saturating_sub(self.offset) as u128;
        let t = (d * 1_000_000).div_ceil(self.rate());
        if t > u64::MAX as u128 / 2 {
            return u64::MAX / 2;
        }
        self.start + t as u64
    }
}

/// Address of a node; `port` distinguishes starts at different addresses.
pub(super) fn address(node: usize, port: u32) -> SocketAddr {
    let [_, _, hi, lo] = (node as u32).to_be_bytes();
    SocketAddr::from(([10, 0, hi, lo], 7000 + port as u16))
}

/// The private key of a node, which all of its processes have.
fn private(node: usize) -> PrivateKey {
    let mut bytes = [3; 32];
    // Not at the beginning, of which three bits do not count.
    bytes[8..16].copy_from_slice(&(node as u64).to_le_bytes());
    PrivateKey::from_random(bytes)
}

/// A datagram with its sender.
pub(super) type Arrived = (SocketAddr, Rc<[u8]>);

/// A node's place in the world.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The node's index, which equals the node's id; 0 is the gateway.
    pub index: usize,
    pub address: SocketAddr,
    /// Counts the node's processes from 0.
    pub incarnation: Incarnation,
    pub clock: Clock,
    /// The node's sessions, in a world that has them.
    links: Option<Links>,
    /// Virtual time until which the node stands still.
    pub paused: Option<u64>,
    /// Datagrams that arrived while the node stood still.
    socket: VecDeque<Arrived>,
    socket_bytes: usize,
    /// Virtual time that the machine waits for, in microseconds.
    wake_us: u64,
    /// Virtual time of the pending timer event.
    timer: Option<u64>,
    spins: u32,
    spun_at: u64,
}

impl Endpoint {
    /// Bytes a socket buffer holds while nobody reads it, counting the kernel's overhead.
    const SOCKET_BYTES_MAX: usize = 208 * 1024;
    /// The kernel's overhead per datagram.
    const SOCKET_OVERHEAD: usize = 512;
    /// Ticks in a row at one virtual time from which the machine counts as spinning.
    const TICKS_MAX: u32 = 64;

    pub const fn new(
        index: usize,
        address: SocketAddr,
        incarnation: Incarnation,
        clock: Clock,
    ) -> Self {
        Self {
            index,
            address,
            incarnation,
            clock,
            links: None,
            paused: None,
            socket: VecDeque::new(),
            socket_bytes: 0,
            wake_us: u64::MAX,
            timer: None,
            spins: 0,
            spun_at: 0,
        }
    }

    /// Gives the node the keys of the node `key`, and sessions with the nodes `others`. The `seed` is another one for each process.
    pub fn seal(&mut self, key: usize, seed: u64, others: impl Iterator<Item = usize>) {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let secret = ClusterSecret::from_random([7; 32]);
        let sessions = Sessions::new(private(key), secret, bytes, Links::config());
        let mut links = Links::new(sessions, Some(tessera_protocol::wire::sender));
        let others = others.filter(|&k| k != key).map(|k| Invited {
            number: k as u16,
            name: format!("node-{k}"),
            public: private(k).public(),
        });
        links.invite(&others.collect::<Vec<_>>());
        self.links = Some(links);
    }

    fn now(&self, core: &Core) -> u64 {
        self.clock.local(core.queue.now_us())
    }

    /// Sends a machine's datagram, sealed in a world with sessions. Returns the bytes that leave.
    pub fn send(&mut self, core: &mut Core, to: To, bytes: &[u8]) -> Result<usize, Failure> {
        let now_us = self.now(core);
        let Some(links) = &mut self.links else {
            core.send(self.index, self.address, to.addr, bytes)?;
            return Ok(bytes.len());
        };
        let way = Way {
            number: to.node.0,
            process: to.incarnation.map(|i| i.0),
            address: to.addr,
        };
        let mut datagram = [&[0; HEAD_BYTES], bytes, &[0; TAG_BYTES]].concat();
        if let Ok(at) = links.seal(now_us, way, &mut datagram) {
            core.send(self.index, self.address, at, &datagram)?;
        }
        self.pump(core)?;
        Ok(datagram.len())
    }

    /// Opens a datagram: the payload for the machine, if there is one.
    pub fn open(
        &mut self,
        core: &mut Core,
        from: SocketAddr,
        bytes: &Rc<[u8]>,
    ) -> Result<Option<Rc<[u8]>>, Failure> {
        let now_us = self.now(core);
        let Some(links) = &mut self.links else {
            return Ok(Some(Rc::clone(bytes)));
        };
        let mut datagram = bytes.to_vec();
        let opened = links.open(now_us, from, &mut datagram);
        self.pump(core)?;
        Ok(opened.map(|(_, payload)| datagram[payload].into()))
    }

    /// Sends what the sessions have to say.
    pub fn pump(&mut self, core: &mut Core) -> Result<(), Failure> {
        let now_us = self.now(core);
        if let Some(links) = &mut self.links {
            while let Some((to, bytes)) = links.poll(now_us) {
                core.send(self.index, self.address, to, bytes)?;
            }
        }
        Ok(())
    }

    /// Sets the timer to the local time that the machine waits for, or the sessions if that is earlier.
    pub fn wait(&mut self, core: &mut Core, local: u64) {
        let sessions = self.links.as_ref().map_or(u64::MAX, Links::next_deadline);
        let local = local.min(sessions);
        self.wake_us = self.clock.global(local).max(core.queue.now_us());
        self.arm(core);
    }

    fn arm(&mut self, core: &mut Core) {
        if self.timer.is_none_or(|t| self.wake_us < t) && self.wake_us < u64::MAX / 2 {
            self.timer = Some(self.wake_us);
            let (node, incarnation) = (self.index, self.incarnation);
            core.queue
                .push(self.wake_us, Event::Tick { node, incarnation });
        }
    }

    /// Handles a timer event of a paused node: the machine receives its tick when the node resumes,
    /// and sets the timer again.
    pub fn miss(&mut self, core: &Core) {
        if self.timer == Some(core.queue.now_us()) {
            self.timer = None;
        }
    }

    /// Handles a timer event; returns whether the machine receives a tick. `Err` when the machine spins.
    pub fn tick(&mut self, core: &mut Core) -> Result<bool, ()> {
        let now_us = core.queue.now_us();
        if self.timer != Some(now_us) {
            return Ok(false);
        }
        self.timer = None;
        if self.wake_us > now_us {
            self.arm(core);
            return Ok(false);
        }
        self.spins = if self.spun_at == now_us {
            self.spins + 1
        } else {
            0
        };
        self.spun_at = now_us;
        if self.spins > Self::TICKS_MAX {
            Err(())
        } else {
            Ok(true)
        }
    }

    /// Keeps a datagram for a paused node; `false` when the node's socket buffer is full.
    pub fn keep(&mut self, arrived: Arrived) -> bool {
        let bytes = arrived.1.len() + Self::SOCKET_OVERHEAD;
        if self.socket_bytes + bytes > Self::SOCKET_BYTES_MAX {
            return false;
        }
        self.socket_bytes += bytes;
        self.socket.push_back(arrived);
        true
    }

    /// Takes the datagrams that arrived while the node stood still.
    pub fn kept(&mut self) -> VecDeque<Arrived> {
        self.socket_bytes = 0;
        std::mem::take(&mut self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn clocks_invert() {
        for ppm in [-300, 0, 70] {
            let c = Clock {
                start: 1_000,
                offset: 77_777,
                ppm,
            };
            for t in (1_000..50_000_000).step_by(99_991) {
                let local = c.local(t);
                let back = c.global(local);
                assert!(back <= t && c.local(back) >= local, "{t} {ppm}");
                assert!(back == 1_000 || c.local(back - 1) < local, "{t} {ppm}");
            }
            assert!(c.global(u64::MAX) >= u64::MAX / 2);
        }
    }
}
