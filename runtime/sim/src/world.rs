//! A cluster in virtual time: one gateway, its edges, the network between them.

use std::{net::SocketAddr, sync::Arc};

use super::{
    core::{Core, Counters, Event, JobSpan},
    datagram::Datagram,
    edge_node::EdgeNode,
    edge_spec::EdgeSpec,
    endpoint::address,
    fault::{Fault, ScheduledFault},
    gateway_node::{GatewayNode, GatewaySpec},
    hostile::{HostileConfig, HostileTraffic},
    ledger::Ledger,
    link::{NetConfig, NetCounters, Network},
    oracle::Oracle,
    queue::Queue,
    random::RandomSource,
    transfers::{Transfer, Transfers},
    violation::{Failure, Violation},
};
use tessera_protocol::{
    Condition, Drained, EdgeInput, EdgeStats, GatewayInput, GatewayStats, Incarnation, NodeId,
    Notice, ProgramInfo, TaskId, gateway::ConditionView,
};

/// The configuration of a world.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Seed of every random choice in the world.
    pub seed: u64,
    /// The program that the cluster computes.
    pub info: Arc<ProgramInfo>,
    /// The gateway, which is node 0.
    pub gateway: GatewaySpec,
    /// The edges, which are nodes 1, 2, ...
    pub edges: Vec<EdgeSpec>,
    /// The network between the nodes.
    pub net: NetConfig,
    /// Malformed and replayed datagrams to inject.
    pub hostile: HostileConfig,
    /// A task that kills every worker that runs the task.
    pub broken_task: Option<TaskId>,
    /// Faults and their times.
    pub faults: Vec<ScheduledFault>,
    /// Microseconds that each task takes, per edge and task; empty to derive the times from
    /// [`EdgeSpec`].
    pub task_us: Vec<Arc<[u64]>>,
    /// Whether to record when every job ran, for [`World::job_spans`].
    pub record_jobs: bool,
    /// Whether to record what travelled when, for [`World::transfers`].
    pub record_transfers: bool,
    /// Whether tasks compute values, and all values are checked. Times do not depend on it.
    pub values: bool,
    /// Whether all datagrams travel in sessions (`tessera_secure`), whose keys all nodes have.
    pub sealed: bool,
    /// Processed events from which the world counts as broken.
    pub events_max: u64,
    /// Whether to print every event to standard error.
    pub trace: bool,
}

impl WorldConfig {
    /// Usual number of processed events from which a world counts as broken.
    const EVENTS_MAX: u64 = 20_000_000;

    /// A configuration with a gateway, no edges and no faults.
    pub fn new(info: Arc<ProgramInfo>) -> Self {
        Self {
            seed: 0,
            info,
            gateway: GatewaySpec::default(),
            edges: Vec::new(),
            net: NetConfig::default(),
            hostile: HostileConfig::NONE,
            broken_task: None,
            faults: Vec::new(),
            task_us: Vec::new(),
            record_jobs: false,
            record_transfers: false,
            values: true,
            sealed: false,
            events_max: Self::EVENTS_MAX,
            trace: false,
        }
    }
}

/// A cluster in virtual time.
#[derive(Debug)]
pub struct World {
    pub(super) core: Core,
    pub(super) gateway_spec: GatewaySpec,
    pub(super) gateway: Option<GatewayNode>,
    pub(super) edge_specs: Vec<EdgeSpec>,
    pub(super) edges: Vec<Option<EdgeNode>>,
    /// Number of starts of every node, the gateway's first.
    pub(super) starts: Vec<u32>,
    /// Address of every node, the gateway's first; killed nodes keep theirs.
    pub(super) addresses: Vec<SocketAddr>,
    /// Ends of jobs and tails that wait for a paused node.
    pub(super) held: Vec<(usize, Event)>,
    happened: u64,
    events_max: u64,
}

impl World {
    /// Pending events from which a world counts as broken.
    const EVENTS_PENDING_MAX: usize = 2_000_000;

    /// Virtual time by which all nodes have started, except those that start late.
    const START_US_MAX: u64 = 3_000;

    /// A world at time 0; all nodes start within the first milliseconds.
    pub fn new(config: &WorldConfig) -> Self {
        let random = RandomSource::new(config.seed);
        let attachments: Vec<_> = std::iter::once(config.gateway.attachment)
            .chain(config.edges.iter().map(|e| e.attachment))
            .collect();
        let n = attachments.len();
        let mut net = Network::new(config.net.clone(), &attachments, random.fork(1));
        for (node, _) in (1..).zip(&config.edges).filter(|(_, e)| e.on_gateway) {
            net.join(node, 0);
        }
        let core = Core {
            queue: Queue::default(),
            net,
            info: Arc::clone(&config.info),
            ledger: Ledger::default(),
            oracle: Oracle::new(Arc::clone(&config.info)),
            hostile: HostileTraffic::new(config.hostile, random.fork(2)),
            random: random.fork(3),
            counters: Counters::default(),
            trace: config.trace,
            task_us: config.task_us.clone(),
            job_spans: config.record_jobs.then(Vec::new),
            transfers: config.record_transfers.then(Transfers::default),
            values: config.values,
            sealed: config.sealed,
            addresses: std::collections::BTreeMap::new(),
            broken: config.broken_task,
        };
        let mut world = Self {
            core,
            gateway_spec: config.gateway,
            gateway: None,
            edge_specs: config.edges.clone(),
            edges: (1..n).map(|_| None).collect(),
            starts: vec![0; n],
            addresses: (0..n).map(|k| address(k, 0)).collect(),
            held: Vec::new(),
            happened: 0,
            events_max: config.events_max,
        };
        for node in 0..n {
            let first = world.core.random.below(Self::START_US_MAX);
            let late = node.checked_sub(1).map_or(0, |k| config.edges[k].start_us);
            let at_us = if late > 0 { late } else { first };
            let start = Fault::Start { node, moved: false };
            world.schedule(at_us, start);
        }
        for &(at_us, fault) in &config.faults {
            world.schedule(at_us, fault);
        }
        if config.hostile.interval_us > 0 {
            world
                .core
                .queue
                .push(config.hostile.interval_us, Event::Hostile);
        }
        world
    }

    /// Current virtual time, in microseconds.
    pub const fn now_us(&self) -> u64 {
        self.core.queue.now_us()
    }

    /// The ledger of all frames.
    pub const fn ledger(&self) -> &Ledger {
        &self.core.ledger
    }

    /// Totals of jobs, frames, datagrams and inputs.
    pub const fn counters(&self) -> Counters {
        self.core.counters
    }

    /// Totals of the network.
    pub const fn net(&self) -> NetCounters {
        self.core.net.counters
    }

    /// Whether every live source has brought all its frames and heard of their ends, and no
    /// job is running.
    pub fn finished(&self) -> bool {
        let started = self.now_us() > Self::START_US_MAX;
        started
            && self.core.ledger.waiting() == 0
            && !self.edges.iter().flatten().any(EdgeNode::busy)
    }

    /// Spans of all jobs, ordered by their end; empty without [`WorldConfig::record_jobs`].
    pub fn job_spans(&self) -> &[JobSpan] {
        self.core.job_spans.as_deref().unwrap_or(&[])
    }

    /// What travelled between nodes, ordered by the beginnings; empty without [`WorldConfig::record_transfers`].
    pub fn transfers(&self) -> Vec<Transfer> {
        let recorded = self.core.transfers.as_ref();
        recorded.map_or_else(Vec::new, Transfers::list)
    }

    /// Number of events that the world has processed.
    pub const fn events(&self) -> u64 {
        self.happened
    }

    /// Counters of an edge's machine; `None` while it is dead.
    pub fn edge_stats(&self, node: usize) -> Option<&EdgeStats> {
        self.edges[node - 1].as_ref().map(EdgeNode::stats)
    }

    /// Counters of the gateway's machine; `None` while it is dead.
    pub fn gateway_stats(&self) -> Option<&GatewayStats> {
        self.gateway.as_ref().map(GatewayNode::stats)
    }

    /// Whether the gateway has admitted an edge.
    pub fn joined(&self, node: usize) -> bool {
        self.edges[node - 1].as_ref().is_some_and(EdgeNode::joined)
    }

    /// The incarnation of a node that runs; node 0 is the gateway. `None` while the node is dead.
    pub fn incarnation(&self, node: usize) -> Option<Incarnation> {
        match node.checked_sub(1) {
            None => self.gateway.as_ref().map(|g| g.endpoint.incarnation),
            Some(k) => self.edges[k].as_ref().map(|e| e.endpoint.incarnation),
        }
    }

    /// Tells an edge to leave.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn leave(&mut self, node: usize) -> Result<(), Failure> {
        match &mut self.edges[node - 1] {
            Some(e) => e.input(&mut self.core, EdgeInput::Leave),
            None => Ok(()),
        }
    }

    /// Tells an edge how its board is.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn set_condition(&mut self, node: usize, condition: Condition) -> Result<(), Failure> {
        match &mut self.edges[node - 1] {
            Some(e) => e.input(&mut self.core, EdgeInput::Condition(condition)),
            None => Ok(()),
        }
    }

    /// What the gateway knows of boards; empty while it is dead.
    pub fn conditions(&self) -> Vec<(NodeId, ConditionView)> {
        let gateway = self.gateway.as_ref();
        gateway.map_or_else(Vec::new, |g| g.conditions(self.now_us()))
    }

    /// The gateway's counts of nodes and frames that are not done; `None` while the gateway is dead.
    pub fn drained(&self) -> Option<Drained> {
        self.gateway.as_ref().map(GatewayNode::drained)
    }

    /// Slots in use per node of the cluster, the gateway first.
    pub fn slots_used(&self) -> Vec<(NodeId, usize)> {
        let gateway = self.gateway.as_ref().map(|g| (NodeId(0), g.store.used()));
        let edges = self.members().map(|e| (e.spec.config.id, e.store.used()));
        gateway.into_iter().chain(edges).collect()
    }

    /// Length of each machine's state as debug text, per node of the cluster, the gateway first.
    pub fn state_bytes(&self) -> Vec<(NodeId, usize)> {
        let gateway = self.gateway.as_ref();
        let gateway = gateway.map(|g| (NodeId(0), g.state_bytes()));
        let edges = self.members().map(|e| (e.spec.config.id, e.state_bytes()));
        gateway.into_iter().chain(edges).collect()
    }

    /// Most bytes in use at a time per live node, the gateway first, with the number of times that
    /// its store was full.
    pub fn peaks(&self) -> Vec<(NodeId, usize, u64)> {
        let peak = |id, s: &super::WatchedStore| (id, s.peak_bytes(), s.refused());
        let gateway = self.gateway.as_ref().map(|g| peak(NodeId(0), &g.store));
        let edges = self.edges.iter().flatten();
        let edges = edges.map(|e| peak(e.spec.config.id, &e.store));
        gateway.into_iter().chain(edges).collect()
    }

    /// Edges of the cluster: alive, not refused, and not gone.
    fn members(&self) -> impl Iterator<Item = &EdgeNode> {
        self.edges.iter().flatten().filter(|e| e.belongs())
    }

    /// Number of edges that are alive, not refused, and not gone.
    pub fn edges_alive(&self) -> usize {
        self.members().count()
    }

    /// Number of edges that left because the gateway told them to.
    pub fn edges_stopped(&self) -> usize {
        self.edges.iter().flatten().filter(|e| e.stopped).count()
    }

    /// Edges that the gateway refused, with the reason; ordered by index.
    pub fn refusals(&self) -> Vec<(usize, tessera_protocol::Refusal)> {
        let edges = self.edges.iter().flatten();
        edges
            .filter_map(|e| e.refusal().map(|r| (e.endpoint.index, r)))
            .collect()
    }

    /// Whether all frames that an edge is to bring have ended; `false` while the edge is dead.
    pub fn is_done(&self, node: usize) -> bool {
        let edge = self.edges[node - 1].as_ref();
        edge.is_some_and(|e| e.is_done(&self.core.ledger))
    }

    /// Notices of a node's machine for operators; node 0 is the gateway. Empty while the node is dead.
    pub fn notices(&self, node: usize) -> &[Notice] {
        let of_edge = |k: usize| self.edges[k].as_ref().map(|e| &*e.notices);
        let of_gateway = || self.gateway.as_ref().map(|g| &*g.notices);
        let found = node.checked_sub(1).map_or_else(of_gateway, of_edge);
        found.unwrap_or(&[])
    }

    /// Schedules a fault for a virtual time to come.
    pub fn schedule(&mut self, at_us: u64, fault: Fault) {
        self.core.queue.push(at_us, Event::Fault(fault));
    }

    /// A node's address, which a dead node keeps.
    pub fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    /// Delivers a datagram that no node sent.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn inject(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) -> Result<(), Failure> {
        let to = self.addresses[node];
        self.deliver(Datagram {
            from,
            to,
            bytes: bytes.into(),
        })
    }

    /// A sample of the datagrams sent so far, as `(from, to, bytes)`; empty without hostile traffic.
    pub fn seen(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, &[u8])> {
        self.core.hostile.seen()
    }

    /// Ends the hostile traffic.
    pub fn end_hostile_traffic(&mut self) {
        self.core.hostile.config = HostileConfig::NONE;
    }

    /// Tells the gateway to end the run.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn stop(&mut self) -> Result<(), Failure> {
        match &mut self.gateway {
            Some(g) => g.input(&mut self.core, GatewayInput::Stop),
            None => Ok(()),
        }
    }

    /// Runs until virtual time `until_us`.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn run_until(&mut self, until_us: u64) -> Result<(), Failure> {
        while self.step(until_us)? {}
        Ok(())
    }

    /// Runs until [`World::finished`] or virtual time `until_us`; returns whether the world is finished.
    ///
    /// # Errors
    /// [`Failure`] when a machine breaks a rule.
    pub fn run_until_finished(&mut self, until_us: u64) -> Result<bool, Failure> {
        while !self.finished() {
            if !self.step(until_us)? {
                return Ok(self.finished());
            }
        }
        Ok(true)
    }

    /// Processes one event; `false` when no event is due by `until_us`.
    fn step(&mut self, until_us: u64) -> Result<bool, Failure> {
        let Some(event) = self.core.queue.pop(until_us) else {
            return Ok(false);
        };
        let events = self.core.queue.len();
        if events > Self::EVENTS_PENDING_MAX {
            return Err(self.core.fail(Violation::TooManyEvents { events }));
        }
        self.happened += 1;
        if self.happened > self.events_max {
            let events = self.happened;
            return Err(self.core.fail(Violation::Endless { events }));
        }
        self.event(event)?;
        Ok(true)
    }
}
