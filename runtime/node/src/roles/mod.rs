//! A node: one process, started with a role.
//!
//! | role | does |
//! |---|---|
//! | `gateway` | registers nodes, matches thieves with victims, merges, runs the tail, writes records |
//! | `edge` | computes tasks; a source when it has pictures or tensors |
//! | `worker` | computes tasks of an edge's shared segment (started by the edge) |
//! | `solo` | everything in one process, without a network |
//! | `info` | says what was compiled in |

mod args;
mod code;
mod edge;
mod gateway;
mod handover;
mod input;
mod net;
mod output;
mod peak;
mod records;
mod solo;
mod source;
mod stats;
mod tag;
mod tail;
#[cfg(test)]
mod testing;
mod wait;
mod worker;
pub mod workers;

use std::process::ExitCode;

use tessera_runtime::program::Program;

/// Why a node ended with an error: the message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The command line makes no sense.
    #[error("{0}\nsee `{name} --help`", name = args::program_name())]
    Usage(String),
    /// This processor cannot run the kernels.
    #[error(
        "this node was compiled for {target}, but this processor {missing}; compile it for another target"
    )]
    Cpu {
        /// The crate's target.
        target: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] tessera_runtime::weights::WeightsError),
    /// A picture cannot be used.
    #[error(transparent)]
    Picture(#[from] crate::picture::PictureError),
    /// A tensor file has another size than the input.
    #[error("{path}: {source}")]
    Tensor {
        /// The file.
        path: std::path::PathBuf,
        /// The sizes.
        source: crate::picture::TensorSizeError,
    },
    /// Something of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// There is no shared segment.
    #[error(transparent)]
    Segment(#[from] crate::shm::SegmentError),
    /// Workers cannot be started, or do not stay.
    #[error(transparent)]
    Workers(#[from] workers::WorkersError),
    /// The program's dataflow contradicts itself.
    #[error("this node was not compiled from a valid plan: {0}")]
    Program(#[from] tessera_plan::dataflow::DataflowError),
    /// The node must not listen there.
    #[error(transparent)]
    Bind(#[from] crate::udp::BindError),
    /// A decoder gave up on an input.
    #[error("{0} cannot be decoded")]
    Decoder(String),
    /// Some inputs could not be read; each was named before.
    #[error("{0} input(s) could not be read and were skipped")]
    Skipped(u64),
    /// Threads cannot be started.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

impl NodeError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Wraps a failed system call with what was tried.
    pub fn errno(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.into();
        move |e| Self::Io {
            what,
            source: e.into(),
        }
    }
}

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

fn run(command: args::Command) -> Result<(), NodeError> {
    match command {
        args::Command::Help(text) => {
            println!("{text}");
            Ok(())
        }
        args::Command::Info(p) => {
            println!("{}", output::info(p));
            Ok(())
        }
        args::Command::Solo(p, a) => solo::run(p, &a),
        args::Command::Worker(p, a) => worker::run(p, &a),
        args::Command::Gateway(p, a) => gateway::run(p, &a),
        args::Command::Edge(p, a) => edge::run(p, &a),
    }
}

/// Checks the processor before any kernel runs.
fn check_cpu(program: &Program) -> Result<(), NodeError> {
    (program.check_cpu)().map_err(|missing| NodeError::Cpu {
        target: program.target,
        missing,
    })
}
