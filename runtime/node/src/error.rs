//! Reasons why a node ends with an error.

use std::path::PathBuf;

/// The error that ended a node. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The command line is invalid.
    #[error("{0}\nsee `{name} --help`", name = program_name())]
    Usage(String),
    /// This processor cannot run the crate's kernels.
    #[error(
        "this node was compiled for {target}, but this processor has no {missing}; compile it for another target"
    )]
    Cpu {
        /// The target that the crate was compiled for.
        target: &'static str,
        /// The feature that the processor lacks.
        missing: &'static str,
    },
    /// The node cannot use the weights.
    #[error(transparent)]
    Weights(#[from] tessera_runtime::weights::WeightsError),
    /// The node cannot use a picture.
    #[error(transparent)]
    Picture(#[from] tessera_picture::PictureError),
    /// A tensor file does not have the size of the network's input.
    #[error("{path}: {source}")]
    Tensor {
        /// The file.
        path: std::path::PathBuf,
        /// The size found and the size expected.
        source: tessera_picture::TensorSizeError,
    },
    /// A tensor file has values that bytes cannot stand for.
    #[error(
        "{path}: {value} lies outside of 0..1, and this node's frames are bytes; plan with --frame-format f32 for other values"
    )]
    Values {
        /// The file.
        path: std::path::PathBuf,
        /// The first such value.
        value: f32,
    },
    /// The node cannot use the class names.
    #[error(transparent)]
    Labels(#[from] crate::labels::LabelsError),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// The action that the node tried.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The shared segment cannot be created or mapped.
    #[error(transparent)]
    Segment(#[from] crate::shm::SegmentError),
    /// Workers cannot be started, or end again and again.
    #[error(transparent)]
    Workers(#[from] crate::workers::WorkersError),
    /// The program's dataflow is inconsistent.
    #[error("this node was not compiled from a valid plan: {0}")]
    Program(#[from] tessera_plan::dataflow::DataflowError),
    /// The node cannot prove who it is.
    #[error(transparent)]
    Trust(#[from] crate::trust::TrustError),
    /// The gateway cannot answer over HTTP.
    #[cfg(feature = "service")]
    #[error(transparent)]
    Service(#[from] tessera_service::ServiceError),
    /// The board cannot join a cluster.
    #[error("cannot join: {0}")]
    Join(String),
    /// The node may not listen on the requested address.
    #[error(transparent)]
    Bind(#[from] crate::udp::BindError),
    /// More records wait for the sink than the queue may hold.
    #[error("records cannot be written: too many wait")]
    RecordsWait,
    /// The node ended before it could write this many records of dropped frames.
    #[error("{0} record(s) of dropped frames could not be written")]
    RecordsLost(usize),
    /// Frames cannot be had from where they should come.
    #[error("{from}: {what}")]
    Source {
        /// From where, without secrets.
        from: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A rule makes no sense.
    #[cfg(feature = "alerts")]
    #[error(transparent)]
    Alerts(#[from] tessera_alerts::RuleError),
    /// Nothing can be said to a broker.
    #[cfg(feature = "mqtt")]
    #[error("--mqtt: {0}")]
    Mqtt(#[from] tessera_mqtt::MqttError),
    /// ffmpeg is missing.
    #[error(
        "videos, cameras and streams need ffmpeg, and it is not installed: sudo apt install ffmpeg"
    )]
    NoFfmpeg,
    /// The decoder failed on an input.
    #[error("{0} cannot be decoded")]
    Decoder(String),
    /// The node could not read this many inputs, and has named each of them before.
    #[error("{0} input(s) could not be read and were skipped")]
    Skipped(u64),
    /// A doctor has found something.
    #[error("{0} fault(s) found; docs/doctor.md has a row for each")]
    Faults(usize),
    /// The system cannot start threads.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

impl NodeError {
    /// A flag needs what this binary was built without.
    #[cfg(not(feature = "service"))]
    pub fn no_service(flag: &str) -> Self {
        Self::Usage(format!(
            "{flag}: this node was built without its HTTP service; build it with `cargo xtask build --with service`"
        ))
    }

    /// Returns a function that adds the attempted action to an I/O error.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Returns a function that adds the attempted action to a failed system call.
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
