//! What a node does: one process, started with a role.
//!
//! | role | does |
//! |---|---|
//! | [`gateway`] | registers nodes, matches thieves with victims, merges, runs the [`tail`], writes records |
//! | [`described`] | what a frame's source says of it |
//! | [`pictures`] | frames that people are to see |
//! | [`own_edge`] | the edge on the gateway's board, which the gateway starts with `--workers` |
//! | [`edge`] | computes tasks; a source when it has inputs |
//! | [`worker`] | computes tasks of an edge's shared segment (started by the edge) |
//! | [`solo`] | everything in one process, without a network |
//! | [`probe`] | measures its links to other probes, and its own speed |
//! | `doctor` | looks for what is likely to be wrong with this board ([`crate::doctor`]) |
//! | [`observe`] | reads records and metrics of a cluster; [`observed`] is the gateway's side |
//! | `served` | what a gateway speaks over HTTP, if that was compiled in |
//! | [`info`] | says what was compiled in |
//! | `keygen` | makes a key pair ([`crate::trust`]) |
//! | [`join`] | gets this board's keys and the cluster file, by a code that a person types |
//!
//! The command line is [`crate::args`]; where frames come from, [`crate::sources`]; where records go,
//! [`crate::sinks`].

mod code;
mod described;
mod dump;
mod edge;
mod floods;
mod gateway;
mod gateway_state;
mod info;
mod join;
mod line;
mod net;
mod notices;
mod observe;
mod observed;
mod own_edge;
mod pictures;
mod probe;
mod record;
#[cfg(feature = "service")]
mod served;
#[cfg(not(feature = "service"))]
#[path = "unserved.rs"]
mod served;
mod solo;
mod tail;
mod turned_away;
mod worker;

use std::{path::Path, process::ExitCode};

use tessera_plan::dataflow::DataflowError;
use tessera_protocol::ProgramInfo;
use tessera_runtime::program::Program;

use crate::{
    args::{self, Args, Command},
    console::{self, Patience},
    doctor,
    error::NodeError,
    faults, log, statistics,
    trust::{self, Role, Trust},
};

/// Runs the role that the command line names, on one of `programs`.
pub fn main(programs: &[&'static Program]) -> ExitCode {
    faults::handle();
    match args::parse(programs, std::env::args_os()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            console::err(&format!("error: {e}\n"), Patience::Brief);
            ExitCode::from(if matches!(e, NodeError::Usage(_)) {
                2
            } else {
                1
            })
        }
    }
}

fn run(command: Command) -> Result<(), NodeError> {
    match command {
        Command::Help(text) => {
            // Whoever has read enough closes the pipe.
            let _ = console::out(&format!("{text}\n"), Patience::Endless);
            Ok(())
        }
        Command::Info(p) => {
            let _ = console::out(&format!("{}\n", info::info(p)), Patience::Endless);
            Ok(())
        }
        Command::Keygen(path) => keygen(&path),
        Command::Join { code, at, folder } => join::run(&code, &at, &folder),
        Command::Solo(p, a) => {
            begin(p, &a)?;
            solo::run(p, &a)
        }
        Command::Worker(p, a) => {
            log::start(a.log);
            worker::run(p, &a)
        }
        Command::Probe(p, mut a) => {
            begin(p, &a)?;
            let trust = trusted(&mut a, Role::Probe)?;
            probe::run(p, &a, trust)
        }
        Command::Doctor(p, mut a) => {
            log::start(a.log);
            doctor::run(p, &mut a)
        }
        Command::Observe(mut a) => {
            log::start(a.log);
            statistics::check(a.stats.as_deref())?;
            let trust = trusted(&mut a, Role::Observer)?;
            observe::run(&a, trust)
        }
        Command::Gateway(p, mut a) => {
            begin(p, &a)?;
            let trust = trusted(&mut a, Role::Gateway)?;
            gateway::run(p, &a, trust)
        }
        Command::Edge(p, mut a) => {
            begin(p, &a)?;
            let trust = trusted(&mut a, Role::Edge)?;
            edge::run(p, &a, trust)
        }
    }
}

/// The node's keys, if it has any. What the cluster file says and no flag does is set in `a`.
fn trusted(a: &mut Args, role: Role) -> Result<Option<Trust>, NodeError> {
    let Some(trust) = Trust::of(&a.trust, role)? else {
        return Ok(None);
    };
    listed(a, &trust, role);
    let place = trust.place();
    if role != Role::Probe && role != Role::Observer {
        match place.edge {
            Some(number) if a.id == 0 || a.id == number => a.id = number,
            Some(number) => {
                return Err(NodeError::Usage(format!(
                    "--id {} is not this edge's number, which is {number} by the order of the cluster file; leave --id out",
                    a.id
                )));
            }
            None if a.workers.is_some() => {
                return Err(NodeError::Usage(
                    "--workers: by the cluster file this board computes no tiles; give it roles = [\"gateway\", \"edge\"] there, or leave the flag out"
                        .into(),
                ));
            }
            None => {}
        }
    }
    if let (Role::Edge, None, Some(host)) = (role, &a.gateway, &place.gateway) {
        let name = host.parse().map_err(|e| {
            NodeError::Usage(format!(
                "the gateway's address in the cluster file, {host}: {e}"
            ))
        })?;
        a.gateway = Some(name);
    }
    if role != Role::Edge {
        a.listen = a.listen.or(place.listen);
    }
    Ok(Some(trust))
}

/// Sources of the cluster file: those of this board for its edge, and their thresholds for the gateway.
fn listed(a: &mut Args, trust: &Trust, role: Role) {
    match role {
        Role::Edge | Role::Probe => a.listed = trust.sources_here(),
        Role::Gateway => {
            let mut of_file = trust.thresholds();
            // Flags come later: they hold.
            of_file.append(&mut a.threshs);
            a.threshs = of_file;
        }
        Role::Observer => {}
    }
}

/// Makes a key pair, and says its public keys as `cluster.toml` has them.
fn keygen(path: &Path) -> Result<(), NodeError> {
    let [key, edge_key] = trust::keygen(path)?;
    let text =
        format!("key = {key:?}\nedge_key = {edge_key:?}    # only for a gateway with --workers\n");
    let _ = console::out(&text, Patience::Endless);
    Ok(())
}

/// What every role but the worker does first: paths that cannot be written are found before any work is done.
fn begin(program: &Program, a: &Args) -> Result<(), NodeError> {
    log::start(a.log);
    check_cpu(program)?;
    statistics::check(a.stats.as_deref())?;
    a.dump.as_deref().map_or(Ok(()), dump::check)
}

/// Checks the processor before any kernel runs.
fn check_cpu(program: &Program) -> Result<(), NodeError> {
    (program.check_cpu)().map_err(|missing| NodeError::Cpu {
        target: program.target,
        missing,
    })
}

/// A program as the state machines know it.
///
/// # Errors
/// When its dataflow contradicts itself.
fn program_info(program: &Program) -> Result<ProgramInfo, DataflowError> {
    Ok(ProgramInfo {
        plan_hash: program.plan_hash,
        model_digest: program.model_digest,
        placement: program.placement,
        boards: program.boards,
        graph: program.task_graph()?,
    })
}
