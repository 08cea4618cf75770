//! Says how the nodes of a plan are started on their boards.

use std::path::PathBuf;

use anyhow::Result;
use tessera_plan::{
    placement::ANYWHERE,
    plan::{Placement, Plan},
};
use tessera_planner::{
    boards::Board,
    options::{PlanOptions, Target},
};

use crate::{out::outln, workspace};

/// What stands below all commands.
fn keys() -> Result<()> {
    outln!(
        "Nodes on a network need keys: cargo xtask cluster init makes them; copy cluster.toml, cluster.secret and NAME.key to each board."
    )
}

/// Commands for equal boards at unknown addresses.
pub fn alike() -> Result<()> {
    outln!(
        "Copy these files to every board, the names to the gateway's. Where the gateway's board is 192.168.1.10:"
    )?;
    outln!("  cargo xtask cluster init --gateway hub=192.168.1.10 --source pi-1 --edge pi-2")?;
    outln!("  on the gateway   ./node gateway --config cluster.toml --name hub")?;
    outln!("  on every edge    ./node edge --config cluster.toml --name pi-1 [--image FILE..]")?;
    outln!("A host name serves as well: --gateway hub=raspberrypi.local.")?;
    keys()
}

/// A command for every board of a described cluster. `folders` has the crate of each target.
pub fn described(options: &PlanOptions, plan: &Plan, folders: &[(Target, PathBuf)]) -> Result<()> {
    let gateway = &options.gateway;
    outln!("Copy these files to the boards, the names to the gateway's. Then:")?;
    if folders.len() > 1 {
        for (target, dir) in folders {
            let boards = options.boards.iter().chain([gateway]);
            let names = boards.filter(|b| b.target == *target);
            let names: Vec<&str> = names.map(|b| b.name.as_str()).collect();
            outln!("  from {} to {}", workspace::show(dir), names.join(", "))?;
        }
    }
    let threads = gateway.threads(true);
    outln!(
        "  on {0}: ./node gateway --config cluster.toml --name {0} --threads {threads}{1}",
        gateway.name,
        match gateway_edge(options, plan) {
            None => String::new(),
            Some(GatewayEdge {
                workers,
                threads: 1,
                ..
            }) => format!(" --workers {workers}"),
            Some(GatewayEdge {
                workers, threads, ..
            }) => format!(" --workers {workers} --worker-threads {threads}"),
        }
    )?;
    let one_tile = one_tile(plan);
    let edges = options.boards.iter().filter(|b| !b.is_gateway);
    for (id, board) in (1..).zip(edges) {
        let (workers, mut threads) = cores(plan, id, board);
        if one_tile {
            threads = threads.max(board.threads(true));
        }
        let threads = match threads {
            1 => String::new(),
            n => format!(" --threads {n}"),
        };
        let images = if board.source {
            " [--image FILE..]"
        } else {
            ""
        };
        outln!(
            "  on {0}: ./node edge --config cluster.toml --name {0} --workers {workers}{threads}{images}",
            board.name,
        )?;
    }
    keys()
}

/// The edge on the gateway's board.
#[derive(Clone, Copy, Debug)]
pub struct GatewayEdge {
    /// Its id.
    pub id: usize,
    /// Its worker processes.
    pub workers: usize,
    /// Threads of each.
    pub threads: usize,
}

/// The edge on the gateway's board; `None` if the boards have none, or the plan leaves it out.
pub fn gateway_edge(options: &PlanOptions, plan: &Plan) -> Option<GatewayEdge> {
    let at = options.boards.iter().position(|b| b.is_gateway)?;
    let mut tiles = plan.dataflow.stages.iter().flat_map(|s| &s.tiles);
    let takes = match plan.dataflow.placement {
        Placement::Home => tiles.any(|t| t.home == ANYWHERE || usize::from(t.home) == at),
        Placement::Steal
        | Placement::StealIdle
        | Placement::Queue
        | Placement::QueueIdle
        | Placement::Share => true,
    };
    takes.then(|| {
        let id = at + 1;
        let (workers, threads) = cores(plan, id, &options.boards[at]);
        GatewayEdge {
            id,
            workers,
            threads,
        }
    })
}

/// Workers of the edge `id` and threads of each, as the plan uses the board's cores.
pub fn cores(plan: &Plan, id: usize, board: &Board) -> (usize, usize) {
    let planned = plan.boards.iter().find(|b| b.id == id);
    planned.map_or((board.cores, 1), |b| (b.workers, b.threads))
}

/// Whether a stage has a single tile, which only threads can share.
pub fn one_tile(plan: &Plan) -> bool {
    plan.dataflow.stages.iter().any(|s| s.tiles.len() == 1)
}
