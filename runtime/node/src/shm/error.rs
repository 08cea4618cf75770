//! Why there is no segment.

/// A segment cannot be made, mapped, or managed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The system refused a step.
    #[error("shared segment: cannot {step}: {source}")]
    System {
        /// Which step.
        step: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A count leaves its bounds.
    #[error("shared segment: {found} {what} are out of bounds")]
    Layout {
        /// Which count.
        what: &'static str,
        /// Its value.
        found: usize,
    },
    /// The file is no segment.
    #[error("shared segment: the file is none")]
    Magic,
    /// Made by another version.
    #[error("shared segment: version {found}; both processes must be the same binary")]
    Version {
        /// The version found.
        found: u32,
    },
    /// Made for another plan.
    #[error("shared segment: made for another plan; both processes must be the same binary")]
    Plan,
    /// Its offsets are not those of its counts.
    #[error("shared segment: the header contradicts itself")]
    Offsets,
    /// Cut short, or longer than it should be.
    #[error("shared segment: {found} bytes instead of {expected}")]
    Size {
        /// Bytes by the header.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Somebody could still resize it.
    #[error("shared segment: not sealed against resizing")]
    Unsealed,
    /// A second store of one segment, or one of a segment that others manage.
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
