//! Our nodes over real sockets, one thread each.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    sync::atomic::Ordering,
};

use anyhow::Result;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use tessera_node::udp::{Inbox, Outbox, Socket};

use crate::{
    cell::Cell,
    found::{Found, NodeFound},
    load::Load,
    node::{Node, Wire},
    now::{Clock, thread_cpu_us},
    relay::Relay,
    stage::{self, NodeEnd, Stage},
};

struct SocketWire<'a> {
    socket: &'a mut Socket,
    outbox: &'a mut Outbox,
}

impl Wire for SocketWire<'_> {
    fn send(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Option<SocketAddr>) {
        self.socket.send_with(self.outbox, len, write);
    }
}

/// Most batches taken from the socket in one turn, as in a node.
const TURN_BATCHES_MAX: usize = 4;

fn thread(mut node: Node, mut socket: Socket, stage: &Stage, clock: Clock) -> NodeEnd {
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let (mut was_ready, mut has_begun, mut was_done) = (false, false, false);
    let (mut cpu, mut sent) = (thread_cpu_us(), 0);
    {
        let (socket, outbox) = (&mut socket, &mut outbox);
        node.greet(clock.now_us(), &mut SocketWire { socket, outbox });
    }
    while !stage.over.load(Ordering::Acquire) {
        if !was_ready && node.is_ready() {
            was_ready = true;
            stage.ready.fetch_add(1, Ordering::AcqRel);
        }
        if !has_begun && stage.begun.load(Ordering::Acquire) {
            has_begun = true;
            cpu = thread_cpu_us();
            sent = socket.counters.bytes_sent;
            node.fetch(clock.now_us());
        }
        let now = clock.now_us();
        let mut wire = SocketWire {
            socket: &mut socket,
            outbox: &mut outbox,
        };
        node.drain(now, &mut wire);
        node.pump(now, &mut wire);
        socket.flush(&mut outbox);
        if has_begun && !was_done && node.is_done() && !node.took_us.is_empty() {
            was_done = true;
            stage.done.fetch_add(1, Ordering::AcqRel);
        }
        let nap = if has_begun { 20_000 } else { 500 };
        let wait_us = node.next().saturating_sub(clock.now_us()).min(nap);
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait only means an early look.
        let _ = ppoll(
            &mut fds,
            Some(TimeSpec::new(0, 1000 * wait_us as i64)),
            None,
        );
        for _ in 0..TURN_BATCHES_MAX {
            let count = socket.receive(&mut inbox);
            let now = clock.now_us();
            for k in 0..count {
                let Some((from, bytes)) = inbox.get(k) else {
                    continue;
                };
                let mut wire = SocketWire {
                    socket: &mut socket,
                    outbox: &mut outbox,
                };
                node.receive(now, from, bytes, &mut wire);
            }
            socket.flush(&mut outbox);
            if !inbox.was_full() {
                break;
            }
        }
    }
    let cpu_us = thread_cpu_us() - cpu;
    let last = node.last_us;
    let found = NodeFound {
        cpu_us,
        sent_bytes: socket.counters.bytes_sent - sent,
        ..node.found()?
    };
    Ok((found, last))
}

/// Runs a cell with our nodes.
///
/// # Errors
/// When sockets or threads cannot be had, nodes do not reach each other, or a box has wrong bytes.
pub fn run(cell: &Cell, load: &Load, seed: u64, seconds_max: u64) -> Result<Found> {
    let sockets: Vec<Socket> = (0..load.nodes)
        .map(|_| Ok(Socket::bind((Ipv4Addr::LOCALHOST, 0).into())?))
        .collect::<Result<_>>()?;
    let real: Vec<SocketAddr> = sockets.iter().map(Socket::local).collect();
    let relay = (!cell.is_loopback())
        .then(|| Relay::start(cell, real.clone(), seed))
        .transpose()?;
    let addresses = relay.as_ref().map_or(&real, |r| &r.public);
    let nodes = (sockets.into_iter().enumerate())
        .map(|(k, socket)| {
            let node = Node::new(load, k, socket.transfer(), addresses);
            move |stage: &Stage, clock| thread(node, socket, stage, clock)
        })
        .collect();
    stage::play(cell, "tessera", load, relay.as_ref(), seconds_max, nodes)
}
