//! An invited board that does harm, in a thread of its own: the true state machine with a board's key, over a socket. It takes
//! tasks, keeps to the protocol, and hands over noise, or nothing.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tessera_protocol::{
    Edge, EdgeConfig, EdgeInput, EdgeOutput, Incarnation, NodeId, ProgramInfo,
    store::Store,
    wire::{MAGIC, MessageKind},
};
use tessera_secure::{HEAD_BYTES, Links, TAG_BYTES, Way};
use tessera_sim::WatchedStore;

use crate::turning::Turning;

/// What a faulty board does with tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says at once that they are finished, and has noise.
    Noise,
    /// It takes as many as it gets, says that it works at them, and never ends.
    Never,
    /// It takes as many as it gets and is not heard of again until it asks for more.
    Silent,
}

/// See the module. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultyEdge {
    /// Tasks that it was given.
    pub tasks: Arc<AtomicU64>,
    _thread: Turning,
}

impl FaultyEdge {
    /// The node `id` of a cluster, with its sessions.
    ///
    /// # Errors
    /// When there is no socket.
    pub fn start(
        id: u16,
        fault: Fault,
        links: Links,
        info: ProgramInfo,
        gateway: SocketAddr,
    ) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let tasks = Arc::<AtomicU64>::default();
        // It never lacks room for a task that it does not compute.
        let workers = if fault == Fault::Noise { 1 } else { 512 };
        let config = EdgeConfig {
            frames_max: 0,
            ..EdgeConfig::new(NodeId(id), Incarnation(0x00c0_ffee), gateway, workers)
                .placed(info.placement)
        };
        let mut node = Node {
            socket,
            links,
            begun: Instant::now(),
            machine: Edge::new(config, Arc::new(info)),
            store: WatchedStore::unbounded(),
            tasks: Arc::clone(&tasks),
            fault,
        };
        Ok(Self {
            tasks,
            _thread: Turning::start(move || node.turn()),
        })
    }
}

struct Node {
    socket: UdpSocket,
    links: Links,
    begun: Instant,
    machine: Edge,
    store: WatchedStore,
    tasks: Arc<AtomicU64>,
    fault: Fault,
}

impl Node {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn turn(&mut self) {
        let mut buffer = [0; 2048];
        if let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
            let (now, datagram) = (self.now(), &mut buffer[..bytes]);
            if let Some((_, payload)) = self.links.open(now, from, datagram) {
                let bytes = &buffer[payload];
                let input = EdgeInput::Datagram { from, bytes };
                self.machine.handle(now, input, &mut self.store);
            }
        }
        let now = self.now();
        self.machine.handle(now, EdgeInput::Tick, &mut self.store);
        self.drain();
        let now = self.now();
        while let Some((to, bytes)) = self.links.poll(now) {
            let _ = self.socket.send_to(bytes, to);
        }
    }

    fn drain(&mut self) {
        loop {
            let now = self.now();
            let job = match self.machine.poll(now, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    let renews = bytes.starts_with(&MAGIC)
                        && bytes.get(5) == Some(&(MessageKind::Renew as u8));
                    if renews && self.fault == Fault::Silent {
                        continue;
                    }
                    let mut datagram = [&[0; HEAD_BYTES], bytes, &[0; TAG_BYTES]].concat();
                    let way = Way {
                        number: to.node.0,
                        process: to.incarnation.map(|i| i.0),
                        address: to.addr,
                    };
                    if let Ok(at) = self.links.seal(now, way, &mut datagram) {
                        let _ = self.socket.send_to(&datagram, at);
                    }
                    continue;
                }
                EdgeOutput::Run(job) => job,
                EdgeOutput::WaitUntil(_) => return,
                _ => continue,
            };
            let n = self.tasks.fetch_add(1, Ordering::Relaxed);
            if self.fault != Fault::Noise {
                continue;
            }
            for slot in job.outputs {
                for (k, byte) in self.store.bytes_mut(slot).iter_mut().enumerate() {
                    *byte = (k as u64).wrapping_mul(n + 3).to_le_bytes()[0] & 0x3f;
                }
            }
            let input = EdgeInput::Done { job: job.id };
            self.machine.handle(now, input, &mut self.store);
        }
    }
}
