//! Why a node ends with an error.

use std::path::PathBuf;

/// Why a node ended with an error: the message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The command line makes no sense.
    #[error("{0}\nsee `{name} --help`", name = program_name())]
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
    Picture(#[from] tessera_picture::PictureError),
    /// A tensor file has another size than the input.
    #[error("{path}: {source}")]
    Tensor {
        /// The file.
        path: std::path::PathBuf,
        /// The sizes.
        source: tessera_picture::TensorSizeError,
    },
    /// Class names cannot be used.
    #[error(transparent)]
    Labels(#[from] crate::labels::LabelsError),
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
    Workers(#[from] crate::workers::WorkersError),
    /// The program's dataflow contradicts itself.
    #[error("this node was not compiled from a valid plan: {0}")]
    Program(#[from] tessera_plan::dataflow::DataflowError),
    /// The node must not listen there.
    #[error(transparent)]
    Bind(#[from] crate::udp::BindError),
    /// More records wait to be written than there may.
    #[error("records cannot be written: too many wait")]
    RecordsWait,
    /// Records of dropped frames could not be written before the end.
    #[error("{0} record(s) of dropped frames could not be written")]
    RecordsLost(usize),
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

/// Name under which this program was started.
fn program_name() -> String {
    std::env::args_os()
        .next()
        .and_then(|a| {
            PathBuf::from(a)
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| "node".into())
}
