//! What a node does: one process, started with a role.
//!
//! | role | does |
//! |---|---|
//! | [`gateway`] | registers nodes, matches thieves with victims, merges, runs the [`tail`], writes records |
//! | [`edge`] | computes tasks; a source when it has inputs |
//! | [`worker`] | computes tasks of an edge's shared segment (started by the edge) |
//! | [`solo`] | everything in one process, without a network |
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
mod record;
mod solo;
mod tail;
mod worker;

use std::process::ExitCode;

use tessera_plan::dataflow::DataflowError;
use tessera_protocol::ProgramInfo;
use tessera_runtime::program::Program;

use crate::{
    args::{self, Command},
    error::NodeError,
};

/// Runs the role that the command line names, on one of `programs`.
pub fn main(programs: &[&'static Program]) -> ExitCode {
    match args::parse(programs, std::env::args_os()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
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
            println!("{text}");
            Ok(())
        }
        Command::Info(p) => {
            println!("{}", info::info(p));
            Ok(())
        }
        Command::Solo(p, a) => {
            check_cpu(p)?;
            solo::run(p, &a)
        }
        Command::Worker(p, a) => worker::run(p, &a),
        Command::Gateway(p, a) => {
            check_cpu(p)?;
            gateway::run(p, &a)
        }
        Command::Edge(p, a) => {
            check_cpu(p)?;
            edge::run(p, &a)
        }
    }
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
        graph: program.task_graph()?,
    })
}
