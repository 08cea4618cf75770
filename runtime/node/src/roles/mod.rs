//! What a node does: one process, started with a role.
//!
//! | role | does |
//! |---|---|
//! | [`gateway`] | registers nodes, matches thieves with victims, merges, runs the [`tail`], writes records |
//! | [`own_edge`] | the edge on the gateway's board, which the gateway starts with `--workers` |
//! | [`edge`] | computes tasks; a source when it has inputs |
//! | [`worker`] | computes tasks of an edge's shared segment (started by the edge) |
//! | [`solo`] | everything in one process, without a network |
//! | [`probe`] | measures its links to other probes, and its own speed |
//! | [`info`] | says what was compiled in |
//!
//! The command line is [`crate::args`]; where frames come from, [`crate::sources`]; where records go,
//! [`crate::sinks`].

mod code;
mod dump;
mod edge;
mod gateway;
mod info;
mod net;
mod notices;
mod own_edge;
mod probe;
mod record;
mod solo;
mod tail;
mod worker;

use std::process::ExitCode;

use tessera_plan::dataflow::DataflowError;
use tessera_protocol::ProgramInfo;
use tessera_runtime::program::Program;

use crate::{
    args::{self, Args, Command},
    console::{self, Patience},
    error::NodeError,
    faults, log, statistics,
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
        Command::Solo(p, a) => {
            begin(p, &a)?;
            solo::run(p, &a)
        }
        Command::Worker(p, a) => {
            log::start(a.log);
            worker::run(p, &a)
        }
        Command::Probe(p, a) => {
            begin(p, &a)?;
            probe::run(p, &a)
        }
        Command::Gateway(p, a) => {
            begin(p, &a)?;
            gateway::run(p, &a)
        }
        Command::Edge(p, a) => {
            begin(p, &a)?;
            edge::run(p, &a)
        }
    }
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
