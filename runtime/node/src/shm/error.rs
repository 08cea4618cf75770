//! Reasons why a shared segment cannot be used.

/// Why a segment cannot be created, mapped or managed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// A system call failed.
    #[error("shared segment: cannot {step}: {source}")]
    System {
        /// The failed step.
        step: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A count of the layout is out of bounds.
    #[error("shared segment: {found} {what} are out of bounds")]
    Layout {
        /// The name of the count.
        what: &'static str,
        /// The value of the count.
        found: usize,
    },
    /// The file does not begin with [`MAGIC`](crate::shm::layout::MAGIC).
    #[error("shared segment: the file is none")]
    Magic,
    /// Another version of this software made the segment.
    #[error("shared segment: version {found}; both processes must be the same binary")]
    Version {
        /// The version in the header.
        found: u32,
    },
    /// The segment was made for another plan.
    #[error("shared segment: made for another plan; both processes must be the same binary")]
    Plan,
    /// The header's offsets do not follow from its counts.
    #[error("shared segment: the header contradicts itself")]
    Offsets,
    /// The file is shorter or longer than its header says.
    #[error("shared segment: {found} bytes instead of {expected}")]
    Size {
        /// Bytes according to the header.
        expected: u64,
        /// Length of the file in bytes.
        found: u64,
    },
    /// The file is not sealed, so another process could still resize the segment.
    #[error("shared segment: not sealed against resizing")]
    Unsealed,
    /// The segment already has a store, or another process manages the segment.
    #[error("shared segment: its slots are managed elsewhere")]
    Managed,
}

/// Turns a failed step into an error.
pub(super) fn failed<E: Into<std::io::Error>>(
    step: &'static str,
) -> impl FnOnce(E) -> SegmentError {
    move |e| SegmentError::System {
        step,
        source: e.into(),
    }
}
