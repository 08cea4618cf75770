//! Processes the events of a world, one after the other.

use std::{net::SocketAddr, rc::Rc};

use super::{
    core::{Core, Event},
    datagram::Datagram,
    edge_node::EdgeNode,
    edge_spec::Stranger,
    endpoint::{Clock, Endpoint, address},
    fault::Fault,
    gateway_node::GatewayNode,
    violation::{Failure, Violation},
    world::World,
};
use tessera_protocol::{EdgeInput, GatewayInput, Incarnation, NodeId};

impl World {
    /// Processes one event.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Port(datagram) => {
                if let Some(&node) = self.core.addresses.get(&datagram.to) {
                    let now_us = self.core.queue.now_us();
                    let from = self.core.addresses.get(&datagram.from).copied();
                    let bytes = datagram.bytes.len();
                    let at_us = self.core.net.deliver(now_us, from, node, bytes);
                    match at_us {
                        Some(at_us) if at_us <= now_us => self.deliver(datagram)?,
                        Some(at_us) => self.core.queue.push(at_us, Event::Deliver(datagram)),
                        None => {}
                    }
                }
                Ok(())
            }
            Event::Deliver(datagram) => self.deliver(datagram),
            Event::Tick { node, incarnation } => self.tick(node, incarnation),
            Event::JobEnd {
                node,
                incarnation,
                job,
                lost,
            } => {
                if self.paused(node) || self.frozen(node) {
                    let event = Event::JobEnd {
                        node,
                        incarnation,
                        job,
                        lost,
                    };
                    self.held.push((node, event));
                    return Ok(());
                }
                match self.edge(node) {
                    (core, Some(e)) if e.endpoint.incarnation == incarnation => {
                        e.job_end(core, job, lost)
                    }
                    _ => Ok(()),
                }
            }
            Event::TailEnd {
                incarnation,
                frame,
                failed,
            } => {
                if self.paused(0) {
                    let event = Event::TailEnd {
                        incarnation,
                        frame,
                        failed,
                    };
                    self.held.push((0, event));
                    return Ok(());
                }
                match &mut self.gateway {
                    Some(g) if g.endpoint.incarnation == incarnation => {
                        g.tail_end(&mut self.core, frame, failed)
                    }
                    _ => Ok(()),
                }
            }
            Event::Offer { node, incarnation } => match self.edge(node) {
                (core, Some(e))
                    if e.endpoint.incarnation == incarnation && e.endpoint.paused.is_none() =>
                {
                    e.input(core, EdgeInput::Tick)
                }
                _ => Ok(()),
            },
            Event::Resume { node, incarnation } => self.resume(node, incarnation),
            Event::Fault(fault) => self.fault(fault),
            Event::Hostile => self.hostile(),
        }
    }

    fn edge(&mut self, node: usize) -> (&mut Core, Option<&mut EdgeNode>) {
        (&mut self.core, self.edges[node - 1].as_mut())
    }

    fn endpoint(&mut self, node: usize) -> Option<&mut Endpoint> {
        match node {
            0 => self.gateway.as_mut().map(|g| &mut g.endpoint),
            _ => self.edges[node - 1].as_mut().map(|e| &mut e.endpoint),
        }
    }

    fn paused(&mut self, node: usize) -> bool {
        self.endpoint(node).is_some_and(|s| s.paused.is_some())
    }

    pub(super) fn deliver(&mut self, datagram: Datagram) -> Result<(), Failure> {
        let Some(&node) = self.core.addresses.get(&datagram.to) else {
            self.core.counters.unreachable += 1;
            return Ok(());
        };
        let Some(endpoint) = self.endpoint(node) else {
            return Ok(());
        };
        if endpoint.paused.is_some() {
            if !endpoint.keep((datagram.from, datagram.bytes)) {
                self.core.counters.socket_full += 1;
            }
            return Ok(());
        }
        self.opened(node, datagram.from, &datagram.bytes)?;
        // Shells may call early.
        if self.core.random.chance(10_000) {
            return self.tell_tick(node);
        }
        Ok(())
    }

    /// Gives the machine what a datagram holds for it. A message of sessions alone may set their timers.
    fn opened(&mut self, node: usize, from: SocketAddr, bytes: &Rc<[u8]>) -> Result<(), Failure> {
        let endpoint = match node {
            0 => self.gateway.as_mut().map(|g| &mut g.endpoint),
            _ => self.edges[node - 1].as_mut().map(|e| &mut e.endpoint),
        };
        let Some(endpoint) = endpoint else {
            return Ok(());
        };
        match endpoint.open(&mut self.core, from, bytes)? {
            Some(payload) => self.datagram(node, from, &payload),
            None => self.tell_tick(node),
        }
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

    fn tick(&mut self, node: usize, incarnation: Incarnation) -> Result<(), Failure> {
        let core = &mut self.core;
        let endpoint = match node {
            0 => self.gateway.as_mut().map(|g| &mut g.endpoint),
            _ => self.edges[node - 1].as_mut().map(|e| &mut e.endpoint),
        };
        let Some(endpoint) = endpoint.filter(|s| s.incarnation == incarnation) else {
            return Ok(());
        };
        if endpoint.paused.is_some() {
            endpoint.miss(core);
            return Ok(());
        }
        match endpoint.tick(core) {
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

    fn resume(&mut self, node: usize, incarnation: Incarnation) -> Result<(), Failure> {
        let now_us = self.now_us();
        let Some(endpoint) = self.endpoint(node).filter(|s| s.incarnation == incarnation) else {
            return Ok(());
        };
        // A later pause goes on.
        if endpoint.paused.is_none_or(|until_us| until_us > now_us) {
            return Ok(());
        }
        endpoint.paused = None;
        for (from, bytes) in endpoint.kept() {
            self.opened(node, from, &bytes)?;
        }
        self.release(node)?;
        self.tell_tick(node)
    }

    /// Processes the job and tail ends that were held back while the node stood still.
    fn release(&mut self, node: usize) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        let (mine, rest) = held.into_iter().partition(|(n, _)| *n == node);
        self.held = rest;
        for (_, event) in mine {
            self.event(event)?;
        }
        Ok(())
    }

    fn frozen(&self, node: usize) -> bool {
        let edge = node.checked_sub(1).and_then(|k| self.edges[k].as_ref());
        edge.is_some_and(|e| e.frozen)
    }

    fn freeze(&mut self, node: usize, frozen: bool) -> Result<(), Failure> {
        if let (_, Some(e)) = self.edge(node) {
            e.frozen = frozen;
        }
        if frozen { Ok(()) } else { self.release(node) }
    }

    fn hostile(&mut self) -> Result<(), Failure> {
        let interval_us = self.core.hostile.config.interval_us;
        if interval_us == 0 {
            return Ok(());
        }
        self.core
            .queue
            .push(self.now_us() + interval_us, Event::Hostile);
        let strangers = [address(9_999, 1)];
        let Some(datagram) = self.core.hostile.next(&strangers) else {
            return Ok(());
        };
        self.core.counters.hostile += 1;
        self.deliver(datagram)
    }

    fn fault(&mut self, fault: Fault) -> Result<(), Failure> {
        self.core.trace(|| format!("{fault:?}"));
        let n = self.addresses.len();
        match fault {
            Fault::Crash { node } => self.crash(node),
            Fault::Leave { node } => {
                self.leave(node)?;
                self.crash(node);
            }
            Fault::Start { node, moved } => return self.start(node, moved),
            Fault::CrashWorker { node } => {
                if let (core, Some(e)) = self.edge(node) {
                    return e.crash_worker(core);
                }
            }
            Fault::Freeze { node } => return self.freeze(node, true),
            Fault::Thaw { node } => return self.freeze(node, false),
            Fault::Pause { node, us } => {
                let until_us = self.now_us() + us;
                if let Some(endpoint) = self.endpoint(node) {
                    endpoint.paused = endpoint.paused.max(Some(until_us));
                    let incarnation = endpoint.incarnation;
                    self.core
                        .queue
                        .push(until_us, Event::Resume { node, incarnation });
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
            Fault::Conditions(w) => self.core.net.set_conditions(w),
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
            let now_us = self.now_us();
            let config = &e.spec.config;
            self.core.ledger.died(now_us, config.id, config.incarnation);
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
        let starts = self.starts[node];
        self.starts[node] += 1;
        let at = match node {
            0 => address(0, 0),
            _ if moved => address(node, starts),
            _ => self.addresses[node],
        };
        self.addresses[node] = at;
        self.core.addresses.insert(at, node);
        let now_us = self.now_us();
        // A random number, as a process draws it: later ones may be smaller.
        let incarnation = Incarnation(self.core.random.word() | 1);
        let clock = |ppm| Clock {
            start: now_us,
            // Clocks of different incarnations and nodes have nothing in common.
            offset: self.core.random.clone().below(1 << 40),
            ppm,
        };
        if node == 0 {
            let mut spec = self.gateway_spec;
            spec.config.incarnation = incarnation;
            let mut endpoint = Endpoint::new(0, at, incarnation, clock(spec.clock_ppm));
            if self.core.sealed {
                endpoint.seal(0, incarnation.0, 0..self.addresses.len());
            }
            self.gateway = Some(GatewayNode::new(spec, endpoint, &self.core));
        } else {
            let mut spec = self.edge_specs[node - 1];
            spec.config.id = NodeId(match spec.stranger {
                Some(Stranger::Twin { of }) => of as u16,
                _ => node as u16,
            });
            spec.config.incarnation = incarnation;
            spec.config.gateway = address(0, 0);
            let mut endpoint = Endpoint::new(node, at, incarnation, clock(spec.clock_ppm));
            if self.core.sealed {
                // Somebody copied the card of the board whose twin it is, with its key.
                let key = usize::from(spec.config.id.0);
                endpoint.seal(key, incarnation.0, 0..self.addresses.len());
            }
            self.edges[node - 1] = Some(EdgeNode::new(spec, endpoint, &self.core));
        }
        self.core.random.word();
        self.tell_tick(node)
    }
}
