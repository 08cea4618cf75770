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

/// Port of a gateway whose address names none.
const PORT: &str = "7400";

/// What stands below all commands.
fn insecure() -> Result<()> {
    outln!(
        "Boards do not authenticate each other yet: --insecure-lan is for a network that you own."
    )?;
    Ok(())
}

/// Commands for equal boards at unknown addresses.
pub fn alike() -> Result<()> {
    outln!(
        "Copy these files to every board, the names to the gateway's. Then, where the gateway's board is 192.168.1.10:"
    )?;
    outln!("  on the gateway   ./node gateway --listen 192.168.1.10:7400 --insecure-lan")?;
    outln!(
        "  on every edge    ./node edge --gateway 192.168.1.10:7400 --id 1 --insecure-lan [--image FILE..]"
    )?;
    outln!(
        "Every edge has another --id. A host name serves as well: --gateway raspberrypi.local:7400."
    )?;
    insecure()
}

/// A command for every board of a described cluster. `folders` has the crate of each target.
pub fn described(options: &PlanOptions, plan: &Plan, folders: &[(Target, PathBuf)]) -> Result<()> {
    let gateway = &options.gateway;
    let address = with_port(gateway);
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
        "  on {}: ./node gateway --listen {address} --threads {threads}{} --insecure-lan",
        gateway.name,
        match gateway_edge(options, plan) {
            None => String::new(),
            Some(GatewayEdge {
                id,
                workers,
                threads: 1,
            }) => format!(" --workers {workers} --id {id}"),
            Some(GatewayEdge {
                id,
                workers,
                threads,
            }) => format!(" --workers {workers} --worker-threads {threads} --id {id}"),
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
            "  on {}: ./node edge --gateway {address} --id {id} --workers {workers}{threads} --insecure-lan{images}",
            board.name,
        )?;
    }
    insecure()
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
        Placement::Steal | Placement::StealIdle | Placement::Share => true,
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

/// The gateway's address, with a port; its name if the file says no address.
fn with_port(gateway: &Board) -> String {
    let host = gateway.address.as_ref().unwrap_or(&gateway.name);
    if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        host.clone()
    } else {
        format!("{host}:{PORT}")
    }
}
