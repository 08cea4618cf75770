//! The same fetches by QUIC, as `quinn` does it: a stream per object, or unreliable datagrams with a stream that says what is
//! missing. One thread per node, as ours have.

use std::{
    cell::{Cell as Mutable, RefCell},
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use nix::sys::socket::{setsockopt, sockopt};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig,
    TokioRuntime,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{crypto::ring, pki_types::PrivatePkcs8KeyDer};
use tokio::{sync::Notify, task::LocalSet};

use crate::{
    cell::Cell,
    found::{Found, NodeFound},
    load::Load,
    now::{Clock, thread_cpu_us},
    relay::Relay,
    stage::{self, NodeEnd, Stage},
};

/// How objects travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A stream per object.
    Streams,
    /// Datagrams, and a stream for what is missing.
    Datagrams,
}

impl Way {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Streams => "quinn, streams",
            Self::Datagrams => "quinn, datagrams",
        }
    }
}

/// Buffers of sockets, as our nodes ask for.
const BUFFER_BYTES: usize = 1 << 20;
/// Number of fetch and number of chunk before each datagram's payload.
const HEAD_BYTES: usize = 8;
/// What a datagram surely holds beside its head: QUIC takes a path's MTU back when datagrams get lost.
const CHUNK_BYTES: usize = 1150;

struct Keys {
    server: ServerConfig,
    client: ClientConfig,
}

/// Certificates and ciphers. Data is sealed by ChaCha20-Poly1305, as ours is; QUIC asks for AES in its first packets.
fn keys() -> Result<Keys> {
    let own = rcgen::generate_simple_self_signed(["node".to_owned()])?;
    let cert = own.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut provider = ring::default_provider();
    let first = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    let provider = Arc::new(provider);
    let initial = first
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .context("no suite for first packets")?;
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key.into())?;
    let server = QuicServerConfig::with_initial(Arc::new(server), initial)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert)?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = QuicClientConfig::with_initial(Arc::new(client), initial)?;
    Ok(Keys {
        server: ServerConfig::with_crypto(Arc::new(server)),
        client: ClientConfig::new(Arc::new(client)),
    })
}

/// What a thread's tasks share.
struct Node {
    load: Load,
    index: usize,
    way: Way,
    /// The bytes that every object of this node consists of.
    content: Bytes,
    slots: RefCell<BTreeMap<u32, Incoming>>,
    connections: RefCell<Vec<Connection>>,
    clock: Clock,
    took_us: RefCell<Vec<u64>>,
    last_us: Mutable<u64>,
}

/// A box that arrives by datagrams.
struct Incoming {
    bytes: Vec<u8>,
    has: Vec<bool>,
    left: usize,
    complete: Rc<Notify>,
}

fn socket() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
    setsockopt(&socket, sockopt::SndBuf, &BUFFER_BYTES)?;
    Ok(socket)
}

impl Node {
    async fn serve(self: Rc<Self>, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            let node = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                let Ok(connection) = incoming.await else {
                    return;
                };
                node.connections.borrow_mut().push(connection.clone());
                while let Ok((send, recv)) = connection.accept_bi().await {
                    let (node, connection) = (Rc::clone(&node), connection.clone());
                    // A failed answer is a fetch that does not end.
                    tokio::task::spawn_local(async move {
                        let _ = node.answer(&connection, send, recv).await;
                    });
                }
            });
        }
    }

    async fn answer(
        &self,
        connection: &Connection,
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Result<()> {
        let mut tag = [0; 4];
        recv.read_exact(&mut tag).await?;
        let tag = u32::from_le_bytes(tag);
        let fetch = self
            .load
            .fetches
            .get(tag as usize)
            .context("no such fetch")?;
        let bytes = self.content.slice(..fetch.bytes);
        if self.way == Way::Streams {
            send.write_chunk(bytes).await?;
            send.finish()?;
            return Ok(());
        }
        let size = CHUNK_BYTES;
        let mut wanted: Vec<u32> = (0..bytes.len().div_ceil(size) as u32).collect();
        loop {
            for chunk in &wanted {
                let from = *chunk as usize * size;
                let part = &bytes[from..(from + size).min(bytes.len())];
                let mut datagram = BytesMut::with_capacity(HEAD_BYTES + part.len());
                datagram.put_u32_le(tag);
                datagram.put_u32_le(*chunk);
                datagram.put_slice(part);
                connection.send_datagram_wait(datagram.freeze()).await?;
            }
            // A round is over; the receiver says what is missing.
            send.write_all(&[1]).await?;
            let mut count = [0; 4];
            recv.read_exact(&mut count).await?;
            let mut list = vec![0; 4 * u32::from_le_bytes(count) as usize];
            recv.read_exact(&mut list).await?;
            let (words, _) = list.as_chunks::<4>();
            wanted = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
            if wanted.is_empty() {
                send.finish()?;
                return Ok(());
            }
        }
    }

    /// Places datagrams as they arrive.
    async fn place(self: Rc<Self>, connection: Connection) {
        while let Ok(datagram) = connection.read_datagram().await {
            let (Some(tag), Some(chunk)) = (word(&datagram, 0), word(&datagram, 4)) else {
                continue;
            };
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(&tag) else {
                continue;
            };
            let chunk = chunk as usize;
            if slot.has.get(chunk) != Some(&false) {
                continue;
            }
            let payload = &datagram[HEAD_BYTES..];
            let from = chunk * CHUNK_BYTES;
            slot.bytes[from..from + payload.len()].copy_from_slice(payload);
            slot.has[chunk] = true;
            slot.left -= 1;
            if slot.left == 0 {
                slot.complete.notify_one();
            }
        }
    }

    /// Fetches one box.
    async fn fetch(&self, connection: &Connection, tag: u32) -> Result<()> {
        let bytes = self.load.fetches[tag as usize].bytes;
        let (mut send, mut recv) = connection.open_bi().await?;
        if self.way == Way::Streams {
            send.write_all(&tag.to_le_bytes()).await?;
            send.finish()?;
            let mut slot = vec![0; bytes];
            let mut at = 0;
            while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
                slot[at..at + chunk.bytes.len()].copy_from_slice(&chunk.bytes);
                at += chunk.bytes.len();
            }
            ensure!(at == bytes, "{at} of {bytes} bytes");
            return Ok(());
        }
        let complete = Rc::new(Notify::new());
        let count = bytes.div_ceil(CHUNK_BYTES);
        let incoming = Incoming {
            bytes: vec![0; bytes],
            has: vec![false; count],
            left: count,
            complete: Rc::clone(&complete),
        };
        self.slots.borrow_mut().insert(tag, incoming);
        send.write_all(&tag.to_le_bytes()).await?;
        loop {
            recv.read_exact(&mut [0]).await?;
            // The last datagrams may be behind the word that all are sent.
            let patience = connection.rtt() / 8 + Duration::from_millis(1);
            let _ = tokio::time::timeout(patience, complete.notified()).await;
            let missing: Vec<u32> = (self.slots.borrow().get(&tag))
                .map(|s| {
                    (0u32..)
                        .zip(&s.has)
                        .filter(|(_, has)| !**has)
                        .map(|(k, _)| k)
                        .collect()
                })
                .unwrap_or_default();
            let mut list = (missing.len() as u32).to_le_bytes().to_vec();
            list.extend(missing.iter().flat_map(|k| k.to_le_bytes()));
            send.write_all(&list).await?;
            if missing.is_empty() {
                self.slots.borrow_mut().remove(&tag);
                send.finish()?;
                return Ok(());
            }
        }
    }

    /// One of the lanes in which boxes are fetched one after another.
    async fn lane(
        self: Rc<Self>,
        waiting: Rc<RefCell<VecDeque<u32>>>,
        to: Rc<BTreeMap<usize, Connection>>,
    ) -> Result<()> {
        loop {
            let next = waiting.borrow_mut().pop_front();
            let Some(tag) = next else {
                return Ok(());
            };
            let holder = self.load.fetches[tag as usize].holder;
            let began = self.clock.now_us();
            self.fetch(&to[&holder], tag).await?;
            let now = self.clock.now_us();
            self.took_us.borrow_mut().push(now - began);
            self.last_us.set(now);
        }
    }

    async fn run(
        self: Rc<Self>,
        endpoint: Endpoint,
        addresses: Vec<SocketAddr>,
        stage: &Stage,
    ) -> NodeEnd {
        tokio::task::spawn_local(Rc::clone(&self).serve(endpoint.clone()));
        let mut to = BTreeMap::new();
        for holder in self.load.holders_of(self.index) {
            let connection = endpoint.connect(addresses[holder], "node")?.await?;
            self.connections.borrow_mut().push(connection.clone());
            tokio::task::spawn_local(Rc::clone(&self).place(connection.clone()));
            // Time to find the path's MTU.
            tokio::time::sleep(4 * connection.rtt() + Duration::from_millis(20)).await;
            to.insert(holder, connection);
        }
        let nap = |ms| tokio::time::sleep(Duration::from_millis(ms));
        stage.ready.fetch_add(1, Ordering::AcqRel);
        while !stage.begun.load(Ordering::Acquire) {
            if stage.over.load(Ordering::Acquire) {
                return Err(anyhow!("the run did not begin"));
            }
            nap(1).await;
        }
        let (cpu, before) = (thread_cpu_us(), self.sent());
        let waiting: VecDeque<u32> = self.load.fetches_of(self.index).into();
        let fetches = !waiting.is_empty();
        let (waiting, to) = (Rc::new(RefCell::new(waiting)), Rc::new(to));
        let lanes: Vec<_> = (0..self.load.parallel)
            .map(|_| {
                let lane = Rc::clone(&self).lane(Rc::clone(&waiting), Rc::clone(&to));
                tokio::task::spawn_local(lane)
            })
            .collect();
        let all = async {
            for lane in lanes {
                lane.await??;
            }
            if fetches {
                stage.done.fetch_add(1, Ordering::AcqRel);
            }
            anyhow::Ok(())
        };
        let over = async {
            while !stage.over.load(Ordering::Acquire) {
                nap(20).await;
            }
        };
        let mut all = std::pin::pin!(all);
        let mut over = std::pin::pin!(over);
        tokio::select! {
            result = &mut all => {
                result?;
                over.await;
            }
            () = &mut over => {}
        }
        let after = self.sent();
        let found = NodeFound {
            took_us: self.took_us.borrow().clone(),
            cpu_us: thread_cpu_us() - cpu,
            sent_bytes: after - before,
            transfer: None,
        };
        Ok((found, self.last_us.get()))
    }

    /// Bytes that left so far.
    fn sent(&self) -> u64 {
        let all = self.connections.borrow();
        all.iter().map(|c| c.stats().udp_tx.bytes).sum()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(word))
}

/// Runs a cell with QUIC.
///
/// # Errors
/// When sockets or threads cannot be had, or nodes do not reach each other.
pub fn run(cell: &Cell, load: &Load, way: Way, seed: u64, seconds_max: u64) -> Result<Found> {
    let keys = keys()?;
    let sockets: Vec<UdpSocket> = (0..load.nodes).map(|_| socket()).collect::<Result<_>>()?;
    let real: Vec<SocketAddr> = (sockets.iter())
        .map(|s| Ok(s.local_addr()?))
        .collect::<Result<_>>()?;
    let relay = (!cell.is_loopback())
        .then(|| Relay::start(cell, real.clone(), seed))
        .transpose()?;
    let addresses = relay.as_ref().map_or(&real, |r| &r.public);
    let largest = load.fetches.iter().map(|f| f.bytes).max().unwrap_or(0);
    let content: Bytes = (0..largest)
        .map(|k| (k * 7 >> 3) as u8)
        .collect::<Vec<u8>>()
        .into();
    let nodes = (sockets.into_iter().enumerate())
        .map(|(index, socket)| {
            let (keys, content) = (&keys, content.clone());
            move |stage: &Stage, clock: Clock| -> NodeEnd {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let node = Node {
                    load: load.clone(),
                    index,
                    way,
                    content,
                    slots: RefCell::default(),
                    connections: RefCell::default(),
                    clock,
                    took_us: RefCell::default(),
                    last_us: Mutable::new(0),
                };
                let local = LocalSet::new();
                local.block_on(&runtime, async move {
                    let mut endpoint = Endpoint::new(
                        EndpointConfig::default(),
                        Some(keys.server.clone()),
                        socket,
                        Arc::new(TokioRuntime),
                    )?;
                    endpoint.set_default_client_config(keys.client.clone());
                    Rc::new(node).run(endpoint, addresses.clone(), stage).await
                })
            }
        })
        .collect();
    stage::play(cell, way.name(), load, relay.as_ref(), seconds_max, nodes)
}
