//! The systems that the DeepThings paper compares, as flags; and which placements go with which boards.

use anyhow::{Result, bail};
use tessera_plan::placement::Placement;
use tessera_planner::boards::{Board, Kinds};

use crate::flags::{
    BorderFlag, FrameFlag, PlacementFlag, PlanArgs, SplitFlag, SystemFlag, WireFlag, YesNo,
};

/// Number of layers that the paper runs on edges.
const OFFLOAD: usize = 16;
/// The grid of systems with fused tiles, if flags name none.
const GRID: &str = "5x5";

/// The flags that `--system` stands for, with those that it leaves open as they are.
///
/// # Errors
/// When flags contradict the system.
pub fn flags(args: &PlanArgs, edges: &[Board]) -> Result<PlanArgs> {
    let mut args = args.clone();
    let Some(system) = args.system else {
        return Ok(args);
    };
    args.no_rolling = true;
    args.split = SplitFlag::Equal;
    args.border = vec![BorderFlag::Recompute];
    if !args.exact {
        args.frame_format.get_or_insert(FrameFlag::F32);
        if args.wire.is_empty() {
            args.wire.push(WireFlag::F32);
        }
    }
    let offload = args.offload.unwrap_or(OFFLOAD);
    match system {
        SystemFlag::Wst | SystemFlag::WstS | SystemFlag::Wsh => {
            args.offload = Some(offload);
            args.grid.get_or_insert_with(|| GRID.into());
            args.placement = match system {
                SystemFlag::Wst | SystemFlag::WstS => PlacementFlag::Queue,
                SystemFlag::Wsh | SystemFlag::Bodp => PlacementFlag::Share,
            };
            if system == SystemFlag::WstS {
                args.border = vec![BorderFlag::Reuse];
            }
        }
        SystemFlag::Bodp => {
            if args.grid.is_some() {
                bail!(
                    "--system bodp cuts every layer into one strip for each edge: leave --grid out, and say with --edges \
                     how many strips there are"
                );
            }
            if offload == 0 {
                bail!("--system bodp --offload 0 leaves no layer to the edges: give at least 1");
            }
            args.offload = None;
            args.cuts = (1..=offload).collect();
            args.grid = Some(format!("{}x1", edges.len()));
            args.placement = PlacementFlag::Share;
            // MoDNN's biased partition: strips by the boards' speeds.
            if Kinds::new(edges).boards.len() > 1 {
                args.split = SplitFlag::Speed;
            }
        }
    }
    Ok(args)
}

/// The placement of these boards' tasks.
///
/// # Errors
/// When flags or boards contradict it.
pub fn placement(args: &PlanArgs, edges: &[Board]) -> Result<Placement> {
    let with_gateway = args.gateway_workers > 0 || edges.iter().any(|b| b.is_gateway);
    Ok(match (args.placement, args.sources_steal) {
        (PlacementFlag::Steal, Some(YesNo::No)) => Placement::StealIdle,
        (PlacementFlag::Steal, _) => Placement::Steal,
        (PlacementFlag::Queue, Some(YesNo::No)) => Placement::QueueIdle,
        (PlacementFlag::Queue, _) => Placement::Queue,
        (_, Some(_)) => bail!(
            "--sources-steal is about boards that steal: add --placement steal or --system wst, or leave it out"
        ),
        (PlacementFlag::Home, None) => Placement::Home,
        (PlacementFlag::Share, None) if with_gateway => bail!(
            "with work sharing the gateway hands out tasks and computes none: leave --gateway-workers out, and give the \
             gateway's board roles = [\"gateway\"] alone"
        ),
        (PlacementFlag::Share, None) => Placement::Share,
    })
}
