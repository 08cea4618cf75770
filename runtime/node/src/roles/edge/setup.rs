//! Prepares an edge before its loop: checks, socket, segment, workers.

use crate::roles::{own_edge, program_info};
use std::sync::Arc;

use super::{GatewayAddress, GatewayWatch, Progress, Shell};
use crate::{
    args::Args,
    condition::BoardWatch,
    error::NodeError,
    memory::BoardMemory,
    notify::Notify,
    roles::{
        code,
        net::{self, Net},
    },
    shm::{Layout, Segment, SegmentStore},
    sources::{self, Reader},
    trace::Trace,
    trust::Trust,
    udp,
    wait::{Signals, Waker},
    workers::{Workers, WorkersConfig},
};
use tessera_health::Root;
use tessera_plan::limits;
use tessera_protocol::{Edge, EdgeConfig, NodeId, Verify};
use tessera_runtime::{
    program::Program,
    weights::{Use, WeightsFile},
};

/// Runs the edge role until the node ends.
pub fn run(program: &'static Program, a: &Args, trust: Option<Trust>) -> Result<(), NodeError> {
    let named = a
        .gateway
        .as_ref()
        .ok_or_else(|| NodeError::Usage("an edge needs --gateway HOST:PORT".into()))?;
    if a.id == 0 {
        return Err(NodeError::Usage(
            "an edge needs --id N: a number from 1, every edge another".into(),
        ));
    }
    // Signals still have their usual effect: a name may be unknown for long.
    let address = GatewayAddress::find(named, a.listen);
    let gateway = address.at();
    let listen = udp::edge_address(a.listen, gateway, trust.is_some())?;
    let net = Net::bind(listen, trust)?;
    // Workers get this file, whatever becomes of its path, and verify it again: it may be written to.
    let weights = WeightsFile::open(&a.weights)?;
    weights.check(program, Use::Stages)?;
    let signals = Signals::new()?;
    let info = Arc::new(program_info(program)?);
    let source = sources::open(program, a)?;
    let usual = EdgeConfig::new(
        NodeId(a.id),
        net::incarnation()?,
        gateway,
        a.workers.unwrap_or(1),
    )
    .placed(info.placement);
    let config = EdgeConfig {
        frames_max: if source.is_some() {
            program.frames_in_flight
        } else {
            0
        },
        transfer: net.socket().transfer(),
        verify: Verify {
            ppm: a.verify_ppm,
            seed: net::random()?,
        },
        arithmetic: arithmetic(program.target),
        ..usual
    };
    let slots = config.slots(&info, limits::KEPT_FRAMES);
    let trace = Trace::open(a, a.id, config.workers, &info)?;
    let layout = Layout::new(&info, &slots, config.jobs_max, config.workers);
    let segment = Segment::create(&layout)?;
    let store = SegmentStore::new(&segment, &slots)?;
    let how = WorkersConfig {
        count: config.workers,
        threads: a.threads,
        stuck_after: a.stuck_after,
        log: a.log,
    };
    let workers = Workers::start(program, weights, &segment, &how)?;
    if a.socket.is_some() {
        own_edge::end_with_gateway()?;
    }
    let waker = Waker::new()?;
    let mut machine = Edge::new(config, info);
    if let Some(sources) = net.sources() {
        machine.allow_sources(sources.into_iter().map(NodeId));
    }
    let shell = Shell {
        address,
        trace,
        machine,
        store,
        workers,
        streams: source.as_ref().map(|s| Box::new(s.counts()) as _),
        source: source
            .map(|s| Reader::start(s.source, waker.clone()))
            .transpose()?,
        ready: None,
        said_no_more: false,
        said_finished: false,
        progress: Progress::default(),
        memory: BoardMemory::default(),
        board: BoardWatch::start(Root::new(&a.root))?,
        wake_at: 0,
        gateway: GatewayWatch::new(gateway, net.clock.now()),
        refused: None,
        stopped: false,
        over: Vec::new(),
        drains: false,
        notify: Notify::of_environment(a.socket.is_some()),
    };
    code::let_go();
    shell.run(net, &signals, &waker, program, a)
}

/// A number for the instruction set that kernels of a target use: FNV-1a of the target's name.
fn arithmetic(target: &str) -> u16 {
    let fold = |h: u32, byte: u8| (h ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = target.bytes().fold(0x811c_9dc5, fold);
    (hash >> 16) as u16 ^ hash as u16
}
