//! What ends a connection.

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It does not speak ZMTP 3.
    #[error("it does not speak ZMTP 3.0 or newer")]
    NoZmtp3,
    /// It wants another mechanism than NULL.
    #[error("it wants another security mechanism than NULL")]
    Mechanism,
    /// A command cannot be read.
    #[error("a command cannot be read")]
    Command,
    /// Its first command is not READY, or a message comes before it.
    #[error("its first command is not READY")]
    NotReady,
    /// Its socket's type gets no replies from a ROUTER.
    #[error("its socket is a {0}, not a REQ or DEALER")]
    SocketType(String),
    /// A frame has flags that there are not.
    #[error("a frame has the flags {0:#x}")]
    Flags(u8),
    /// A frame is too long.
    #[error("a frame of {0} bytes is too long")]
    Long(u64),
    /// A message has too many frames.
    #[error("a message has more than {0} frames")]
    Frames(usize),
    /// The peer says that it ends the connection.
    #[error("it ends the connection with an error")]
    Error,
}
