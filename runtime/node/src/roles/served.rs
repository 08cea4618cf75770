//! What a gateway speaks over HTTP, as its loop sees it: the service runs on its own thread ([`tessera_service`]).

use std::{net::SocketAddr, time::Duration};

use super::{
    gateway_state::Look,
    own_edge::{OwnEdge, own_id},
};
use crate::{
    args::Args,
    condition,
    error::NodeError,
    labels::{self, Labels},
    statistics::tell,
    trust::{self, Trust},
    wait::Waker,
};
use tessera_health::Root;
use tessera_plan::{
    dataflow::TaskInfo,
    files::{
        cluster::ServiceEntry,
        events::Event,
        records::{Record, Subject},
    },
    region::Span,
};
use tessera_protocol::{NodeId, Refusal, TaskId, gateway::Stage};
use tessera_runtime::program::Program;
use tessera_service::{About, Board, Config, Flight, Service, State, Tile, TurnedAway, frigate};

/// The time that a posted picture has, if no flag says: as CodeProject.AI gives it.
const DEADLINE: Duration = Duration::from_secs(30);

/// The time that a tensor of Frigate's has, if no flag says: less than the `request_timeout_ms` that `docs/frigate.md` advises.
const ZMQ_DEADLINE: Duration = Duration::from_millis(1200);

/// A gateway's service.
#[derive(Debug)]
pub struct Served(Service);

/// Where to speak HTTP, by flags and the cluster file; `None` for nowhere.
///
/// # Errors
/// When the cluster file's address is none.
pub fn address(a: &Args, trust: Option<&Trust>) -> Result<Option<SocketAddr>, NodeError> {
    if a.http.listen.is_some() {
        return Ok(a.http.listen);
    }
    let Some((entry, _)) = trust.and_then(Trust::service) else {
        return Ok(None);
    };
    let at = entry.http.parse().map_err(|_| {
        NodeError::Usage(format!(
            "[service] http = {:?} of the cluster file: give an address with a port, as in 127.0.0.1:32168",
            entry.http
        ))
    })?;
    Ok(Some(at))
}

/// How the service is reached; `None` when it is not asked for.
///
/// # Errors
/// When a flag makes no sense, or the token cannot be read.
pub fn config(a: &Args, trust: Option<&Trust>) -> Result<Option<Config>, NodeError> {
    let listen = address(a, trust)?;
    let file = trust.and_then(Trust::service);
    let frigate = frigate(a, file.map(|(entry, _)| entry))?;
    if listen.is_none() && frigate.is_none() {
        return Ok(None);
    }
    let named = file.and_then(|(entry, folder)| Some(folder.join(entry.token.as_ref()?)));
    let flag = a.http.token.as_deref().or(named.as_deref());
    let profile = a.http.profile.as_ref();
    let profile = profile.or_else(|| file?.0.profile.as_ref());
    let profile = profile.map(|text| {
        text.parse()
            .map_err(|e| NodeError::Usage(format!("--http-profile {text}: {e}")))
    });
    Ok(Some(Config {
        listen,
        token: trust::token(flag, file.map(|(_, folder)| folder))?,
        profile: profile.transpose()?.unwrap_or_default(),
        deadline: a.http.deadline.unwrap_or(DEADLINE),
        frigate,
    }))
}

/// Where and how Frigate's protocol is spoken; `None` when it is not asked for.
fn frigate(a: &Args, file: Option<&ServiceEntry>) -> Result<Option<frigate::Config>, NodeError> {
    let wrong = |what: &str, text: &str, e: frigate::EndpointError| {
        NodeError::Usage(format!("{what} {text}: {e}"))
    };
    let named = file.and_then(|f| f.zmq.as_ref());
    let Some(endpoint) = a.http.zmq.as_ref().or(named) else {
        if a.http.zmq_allow.is_some() || a.http.zmq_deadline.is_some() {
            return Err(NodeError::Usage(
                "--zmq-.. flags go with --zmq ENDPOINT".into(),
            ));
        }
        return Ok(None);
    };
    let allowed = a.http.zmq_allow.as_ref();
    let allowed = allowed.or_else(|| file?.zmq_allow.as_ref());
    let allowed = allowed.map(|text| text.parse().map_err(|e| wrong("--zmq-allow", text, e)));
    Ok(Some(frigate::Config {
        endpoint: (endpoint.parse()).map_err(|e| wrong("--zmq", endpoint, e))?,
        allowed: allowed.transpose()?.unwrap_or_default(),
        deadline: a.http.zmq_deadline.unwrap_or(ZMQ_DEADLINE),
    }))
}

impl Served {
    /// Starts the service of a gateway.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(
        config: Config,
        program: &Program,
        a: &Args,
        boards: Vec<(u16, String)>,
        waker: Waker,
    ) -> Result<Self, NodeError> {
        let input = &program.tensors[0];
        let names = Labels::load(program, a.names.as_deref(), &a.weights)?;
        let classes = u32::try_from(labels::classes(program)).unwrap_or(0);
        let about = About {
            program: program.name.into(),
            target: program.target.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            plan: (program.plan_hash.iter().take(6))
                .map(|b| format!("{b:02x}"))
                .collect(),
            input: [input.h, input.w, input.c],
            labels: (0..classes)
                .map(|c| names.of(c).unwrap_or_default())
                .collect(),
            thresh: a.thresh,
            boards,
            tiles: tiles(program)?,
            own_edge: a.workers.map(|_| own_id(a)),
            root: Root::new(&a.root),
        };
        Ok(Self(Service::start(config, about, move || waker.wake())?))
    }

    /// Tells on standard output where the service listens.
    pub fn tell(&self) {
        if let Some(addr) = self.0.addr() {
            tell(&Event::Serving {
                addr: addr.to_string(),
            });
        }
        if let Some(endpoint) = self.0.endpoint() {
            tell(&Event::Detecting {
                endpoint: endpoint.to_string(),
            });
        }
    }

    /// Tells the service of an edge that was started on this board.
    pub fn follow(&self, edge: &mut OwnEdge) {
        if let Some(line) = edge.next_line() {
            self.0.edge_started(line);
        }
    }

    /// True if somebody waits to see the gateway as it is now.
    pub fn wants_look(&self) -> bool {
        self.0.wants_snapshot()
    }

    /// Shows the gateway as it is now.
    pub fn show(&self, look: Look) {
        self.0.show(state(look));
    }

    /// Takes a record before it is written.
    pub fn record(&mut self, record: &Record) {
        self.0.record(record);
    }

    /// The score above which boxes of a posted picture are wanted; `None` for other frames.
    pub fn score(&mut self, subject: &Subject) -> Option<f32> {
        self.0.score(subject)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of a process are far below 2^53 us"
)]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn pairs(makers: &[(TaskId, NodeId)]) -> Vec<(u64, u16)> {
    let pair = |(task, n): &(TaskId, NodeId)| (u64::from(task.0), n.0);
    makers.iter().map(pair).collect()
}

/// The tasks whose outputs the gateway merges, as parts of the maps that they make.
#[expect(clippy::cast_precision_loss, reason = "sides of maps are small")]
fn tiles(program: &Program) -> Result<Vec<Tile>, NodeError> {
    let graph = program.task_graph()?;
    let of = |(task, info): (u64, &TaskInfo)| {
        let port = info.outputs.first().filter(|_| info.for_tail)?;
        let all = graph.tensors.get(usize::from(port.tensor))?.region;
        let part = |span: Span, all: Span| {
            let len = (all.hi - all.lo).max(1) as f64;
            [span.lo, span.hi].map(|at| (at - all.lo) as f64 / len)
        };
        Some(Tile {
            task,
            stage: info.stage,
            y: part(port.region.y, all.y),
            x: part(port.region.x, all.x),
        })
    };
    Ok((0..).zip(&graph.tasks).filter_map(of).collect())
}

fn state(look: Look) -> State {
    let s = look.statistics;
    let c = &s.counters;
    State {
        up_s: seconds(look.now),
        boards: (look.nodes.iter())
            .map(|n| Board {
                number: n.id.0,
                address: n.addr.to_string(),
                up: n.alive,
                silent_s: seconds(n.silent_us),
                frames_in_flight: n.frames,
                frames_brought: u64::from(n.brought),
                has_work: n.has_work,
                health: n.condition.map(|c| condition::heard(&c.said)),
                health_age_s: n.condition.map_or(0.0, |c| seconds(c.age_us)),
            })
            .collect(),
        flights: (look.flights.iter())
            .map(|f| Flight {
                source: f.id.source.0,
                frame: f.id.number.0,
                name: f.meta.name.as_str().to_owned(),
                age_s: seconds(f.age_us),
                state: match f.stage {
                    Stage::Waiting => "waiting",
                    Stage::Open => "tiles",
                    Stage::Tail => "tail",
                },
                tasks_done: u64::from(f.finished),
                makers: pairs(&f.makers),
            })
            .collect(),
        flights_max: look.flights_max,
        last_makers: pairs(&look.last_makers),
        turned_away: (look.turned_away.iter())
            .map(|t| TurnedAway {
                number: t.node.0,
                address: t.addr.to_string(),
                why: match t.why {
                    Refusal::Plan => "plan",
                    Refusal::Model => "model",
                    Refusal::IdInUse => "number_in_use",
                    Refusal::BadId => "bad_number",
                },
                ago_s: seconds(look.now.saturating_sub(t.at)),
            })
            .collect(),
        tasks_by_board: (c.tasks_by_node.iter())
            .map(|(n, count)| (*n, *count))
            .collect(),
        records_waiting: look.records_waiting,
        records_stand: look.records_stand,
        ends: look.ends,
        frames: s.frames,
        dropped: c.frames_dropped,
        nodes: [c.nodes_joined, c.nodes_lost, c.nodes_refused],
        victims: [c.hints_given + c.hints_empty, c.hints_given],
        traffic: [c.traffic.sent.total(), c.traffic.received.total()],
        rejected: c.traffic.rejected.total(),
        transfer: c.transfer,
        slots: s.slots,
        socket: s.socket,
        sessions: s.sessions,
        memory: s.process.memory,
    }
}
