//! The demo's cluster with a gateway that speaks HTTP.

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;
use tessera_plan::graph::Darknet;
use tessera_planner::options::Target;
use tessera_tests::{
    bundle, model,
    rig::{Cluster, Edge, NodeBinary, SHORT, Setup, wait_for},
    shipped::folder,
};

use crate::client::Client;

/// The longest that a picture may take on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);
/// Where pictures are posted.
pub const DETECT: &str = "/v1/vision/detection";

/// The committed node with its HTTP service.
pub fn node() -> &'static NodeBinary {
    static NODE: OnceLock<Result<NodeBinary, String>> = OnceLock::new();
    let node = NODE.get_or_init(|| make().map_err(|e| format!("{e:#}")));
    node.as_ref().map_err(|e| anyhow!("{e}")).unwrap()
}

fn make() -> Result<NodeBinary> {
    let dir = folder();
    let (cfg, weights) = (dir.join("demo.cfg"), dir.join("demo.weights"));
    let model = model::load(&cfg, &weights, Darknet::Alexey)?;
    assert!(
        bundle::host_targets().contains(&Target::X86_64V3),
        "the committed node is for x86-64-v3"
    );
    let committed = bundle::root().join("generated/demo-3x3-x86-64-v3");
    bundle::committed_serving(&committed, &model)
}

/// The demo's picture.
pub fn picture() -> Vec<u8> {
    std::fs::read(folder().join("demo.png")).unwrap()
}

/// A cluster, and where its gateway answers.
pub struct Served {
    pub cluster: Cluster,
    pub addr: SocketAddr,
}

impl Served {
    /// A gateway with an edge on its board, and `thieves` further edges.
    pub fn start(thieves: usize, flags: &[&str]) -> Result<Self> {
        let usual = ["--workers", "1"];
        Self::start_with(thieves, &[&usual, flags].concat())
    }

    /// A gateway with these flags, and `thieves` edges.
    pub fn start_with(thieves: usize, flags: &[&str]) -> Result<Self> {
        let names = folder().join("demo.names").display().to_string();
        let own = ["--http", "127.0.0.1:0", "--names", &names];
        let setup = Setup {
            edges: vec![Edge::thief(1); thieves],
            flags: own.iter().chain(flags).map(|f| (*f).into()).collect(),
            ..Setup::default()
        };
        let cluster = Cluster::start(node(), setup)?;
        let event = cluster.gateway.event("serving", SHORT)?;
        let addr = event["addr"].as_str().and_then(|a| a.parse().ok());
        Ok(Self {
            addr: addr.with_context(|| format!("no address in {event}"))?,
            cluster,
        })
    }

    /// A new connection.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.addr)
    }

    /// Waits until so many boards have joined.
    pub fn joined(&self, boards: usize) -> Result<()> {
        let mut client = self.client()?;
        wait_for(LONG, || {
            let status = client.get("/v1/status")?.json()?;
            let all = status["boards"].as_array().context("boards")?;
            let up = all.iter().filter(|b| b["up"] == true).count();
            Ok((up >= boards).then_some(()))
        })
    }

    /// The process of the edge on the gateway's board.
    pub fn own_edge(&self) -> Result<i32> {
        let child = self.cluster.gateway.children()?;
        child.first().copied().context("an edge of its own")
    }

    /// Stops a process and all that it has started, or lets them go on.
    pub fn pause(&self, process: i32, on: bool) -> Result<()> {
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), signal)?;
        Ok(())
    }

    /// Ends all nodes in good order.
    pub fn stop(self) -> Result<()> {
        self.cluster.stop().map(|_| ())
    }
}

/// The worker processes of an edge, which is the child of a gateway or a process of its own.
pub fn workers(edge: i32) -> Result<Vec<i32>> {
    let all = std::fs::read_dir(format!("/proc/{edge}/task"))?;
    let mut list = Vec::new();
    for thread in all {
        let text = std::fs::read_to_string(thread?.path().join("children"))?;
        list.extend(
            text.split_whitespace()
                .filter_map(|w| w.parse::<i32>().ok()),
        );
    }
    Ok(list)
}

/// Waits for the worker of an edge and stops it: its tasks wait.
pub fn hold(served: &Served, edge: i32) -> Result<i32> {
    let worker = wait_for(SHORT, || {
        Ok(workers(edge)?.into_iter().find(|id| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm"));
            name.is_ok_and(|n| n.starts_with("tessera-worker"))
        }))
    })?;
    served.pause(worker, true)?;
    Ok(worker)
}
