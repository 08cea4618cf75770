//! What happens in a world: one event after the other.

use std::net::SocketAddr;

use super::{
    check::{Failure, Violation},
    core::{Core, Event, Flight},
    edge_node::{EdgeNode, Stranger},
    fault::Fault,
    gateway_node::GatewayNode,
    seat::{Clock, Seat},
    world::{World, address},
};
use tessera_protocol::{EdgeInput, Epoch, GatewayInput, NodeId};

impl World {
    /// Lets one event happen.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Port(flight) => {
                if let Some(&node) = self.core.addresses.get(&flight.to) {
                    let now = self.core.queue.now();
                    let at = self.core.net.deliver(now, node, flight.bytes.len());
                    match at {
                        Some(at) if at <= now => self.deliver(flight)?,
                        Some(at) => self.core.queue.push(at, Event::Deliver(flight)),
                        None => {}
                    }
                }
                Ok(())
            }
            Event::Deliver(flight) => self.deliver(flight),
            Event::Tick { node, life } => self.tick(node, life),
            Event::JobEnd {
                node,
                life,
                job,
                lost,
            } => {
                if self.paused(node) {
                    let event = Event::JobEnd {
                        node,
                        life,
                        job,
                        lost,
                    };
                    self.held.push((node, event));
                    return Ok(());
                }
                match self.edge(node) {
                    (core, Some(e)) if e.seat.life == life => e.job_end(core, job, lost),
                    _ => Ok(()),
                }
            }
            Event::TailEnd {
                life,
                frame,
                failed,
            } => {
                if self.paused(0) {
                    let event = Event::TailEnd {
                        life,
                        frame,
                        failed,
                    };
                    self.held.push((0, event));
                    return Ok(());
                }
                match &mut self.gateway {
                    Some(g) if g.seat.life == life => g.tail_end(&mut self.core, frame, failed),
                    _ => Ok(()),
                }
            }
            Event::Offer { node, life } => match self.edge(node) {
                (core, Some(e)) if e.seat.life == life && e.seat.paused.is_none() => {
                    e.input(core, EdgeInput::Tick)
                }
                _ => Ok(()),
            },
            Event::Resume { node, life } => self.resume(node, life),
            Event::Fault(fault) => self.fault(fault),
            Event::Storm => self.storm(),
        }
    }

    fn edge(&mut self, node: usize) -> (&mut Core, Option<&mut EdgeNode>) {
        (&mut self.core, self.edges[node - 1].as_mut())
    }

    fn seat(&mut self, node: usize) -> Option<&mut Seat> {
        match node {
            0 => self.gateway.as_mut().map(|g| &mut g.seat),
            _ => self.edges[node - 1].as_mut().map(|e| &mut e.seat),
        }
    }

    fn paused(&mut self, node: usize) -> bool {
        self.seat(node).is_some_and(|s| s.paused.is_some())
    }

    pub(super) fn deliver(&mut self, flight: Flight) -> Result<(), Failure> {
        let Some(&node) = self.core.addresses.get(&flight.to) else {
            self.core.counters.unreachable += 1;
            return Ok(());
        };
        let Some(seat) = self.seat(node) else {
            return Ok(());
        };
        if seat.paused.is_some() {
            if !seat.keep((flight.from, flight.bytes)) {
                self.core.counters.socket_full += 1;
            }
            return Ok(());
        }
        self.datagram(node, flight.from, &flight.bytes)?;
        // Shells may call early.
        if self.core.draw.chance(10_000) {
            return self.tell_tick(node);
        }
        Ok(())
    }

    fn datagram(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) -> Result<(), Failure> {
        if node == 0 {
            return match &mut self.gateway {
                Some(g) => g.input(&mut self.core, GatewayInput::Datagram { from, bytes }),
                None => Ok(()),
            };
        }
        match self.edge(node) {
            (core, Some(e)) => e.input(core, EdgeInput::Datagram { from, bytes }),
            _ => Ok(()),
        }
    }

    fn tick(&mut self, node: usize, life: u32) -> Result<(), Failure> {
        let core = &mut self.core;
        let seat = match node {
            0 => self.gateway.as_mut().map(|g| &mut g.seat),
            _ => self.edges[node - 1].as_mut().map(|e| &mut e.seat),
        };
        let Some(seat) = seat.filter(|s| s.life == life) else {
            return Ok(());
        };
        if seat.paused.is_some() {
            seat.miss(core);
            return Ok(());
        }
        match seat.tick(core) {
            Ok(false) => Ok(()),
            Ok(true) => self.tell_tick(node),
            Err(()) => {
                let node = NodeId(node as u16);
                Err(core.fail(Violation::Spins { node }))
            }
        }
    }

    fn tell_tick(&mut self, node: usize) -> Result<(), Failure> {
        if node == 0 {
            return match &mut self.gateway {
                Some(g) => g.input(&mut self.core, GatewayInput::Tick),
                None => Ok(()),
            };
        }
        match self.edge(node) {
            (core, Some(e)) => e.input(core, EdgeInput::Tick),
            _ => Ok(()),
        }
    }

    fn resume(&mut self, node: usize, life: u32) -> Result<(), Failure> {
        let now = self.now();
        let Some(seat) = self.seat(node).filter(|s| s.life == life) else {
            return Ok(());
        };
        // A later pause goes on.
        if seat.paused.is_none_or(|until| until > now) {
            return Ok(());
        }
        seat.paused = None;
        for (from, bytes) in seat.kept() {
            self.datagram(node, from, &bytes)?;
        }
        let held = std::mem::take(&mut self.held);
        let (mine, rest) = held.into_iter().partition(|(n, _)| *n == node);
        self.held = rest;
        for (_, event) in mine {
            self.event(event)?;
        }
        self.tell_tick(node)
    }

    fn storm(&mut self) -> Result<(), Failure> {
        let every = self.core.storm.config.every;
        if every == 0 {
            return Ok(());
        }
        self.core.queue.push(self.now() + every, Event::Storm);
        let strangers = [address(9_999, 1)];
        let Some(flight) = self.core.storm.next(&strangers) else {
            return Ok(());
        };
        self.core.counters.storm += 1;
        self.deliver(flight)
    }

    fn fault(&mut self, fault: Fault) -> Result<(), Failure> {
        self.core.trace(|| format!("{fault:?}"));
        let n = self.addresses.len();
        match fault {
            Fault::Crash { node } => self.crash(node),
            Fault::Start { node, moved } => return self.start(node, moved),
            Fault::CrashWorker { node } => {
                if let (core, Some(e)) = self.edge(node) {
                    return e.crash_worker(core);
                }
            }
            Fault::Pause { node, us } => {
                let until = self.now() + us;
                if let Some(seat) = self.seat(node) {
                    seat.paused = seat.paused.max(Some(until));
                    let life = seat.life;
                    self.core.queue.push(until, Event::Resume { node, life });
                }
            }
            Fault::Cut { from, to } => self.core.net.cut(from, to),
            Fault::Heal { from, to } => self.core.net.heal(from, to),
            Fault::Isolate { node } => {
                for other in (0..n).filter(|&k| k != node) {
                    self.core.net.cut(node, other);
                    self.core.net.cut(other, node);
                }
            }
            Fault::HealAll => self.core.net.heal_all(),
            Fault::Weather(w) => self.core.net.set_weather(w),
        }
        Ok(())
    }

    fn crash(&mut self, node: usize) {
        let address = self.addresses[node];
        self.core.addresses.remove(&address);
        if node == 0 {
            self.gateway = None;
            return;
        }
        if let Some(e) = self.edges[node - 1].take() {
            let now = self.now();
            let config = &e.spec.config;
            self.core.ledger.died(now, config.id, config.epoch);
        }
    }

    fn start(&mut self, node: usize, moved: bool) -> Result<(), Failure> {
        let alive = match node {
            0 => self.gateway.is_some(),
            _ => self.edges[node - 1].is_some(),
        };
        if alive {
            return Ok(());
        }
        let life = self.lives[node];
        self.lives[node] += 1;
        let at = match node {
            0 => address(0, 0),
            _ if moved => address(node, life),
            _ => self.addresses[node],
        };
        self.addresses[node] = at;
        self.core.addresses.insert(at, node);
        let now = self.now();
        let clock = |ppm| Clock {
            start: now,
            // Clocks of different lives and nodes have nothing in common.
            offset: self.core.draw.clone().below(1 << 40),
            ppm,
        };
        // Wall-clock time of the start, more or less.
        let epoch = Epoch(1_700_000_000_000_000 + now + u64::from(life));
        if node == 0 {
            let mut spec = self.gateway_spec;
            spec.config.epoch = epoch;
            let seat = Seat::new(0, at, life, clock(spec.clock_ppm));
            self.gateway = Some(GatewayNode::new(spec, seat, &self.core));
        } else {
            let mut spec = self.edge_specs[node - 1];
            spec.config.id = NodeId(match spec.stranger {
                Some(Stranger::Twin { of }) => of as u16,
                _ => node as u16,
            });
            spec.config.epoch = epoch;
            spec.config.gateway = address(0, 0);
            let seat = Seat::new(node, at, life, clock(spec.clock_ppm));
            self.edges[node - 1] = Some(EdgeNode::new(spec, seat, &self.core));
        }
        self.core.draw.word();
        self.tell_tick(node)
    }
}
