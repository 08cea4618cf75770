//! The header: three version words and the images-seen counter, 4 or 8 bytes wide
//! (`docs/darknet.md#weights-header`).

use super::WeightsError;
use tessera_plan::graph::{Darknet, Graph};

/// A weights file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// First word.
    pub major: i32,
    /// Second word.
    pub minor: i32,
    /// Bytes of the header: 16 or 20.
    pub bytes: usize,
}

impl Header {
    /// Whether connected weights are stored input-major (`major` or `minor` above 1000).
    pub const fn transposed(&self) -> bool {
        self.major > 1000 || self.minor > 1000
    }

    /// Bytes of the header as `darknet` reads it: the original takes the narrow counter for
    /// transposed files.
    pub fn bytes_for(&self, darknet: Darknet) -> usize {
        if darknet == Darknet::Pjreddie && self.transposed() {
            16
        } else {
            self.bytes
        }
    }
}

pub(super) fn parse(bytes: &[u8], len: u64) -> Result<Header, WeightsError> {
    let word = |i: usize| {
        bytes
            .get(4 * i..4 * i + 4)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_le_bytes)
    };
    let (Some(major), Some(minor), Some(revision), Some(_)) = (word(0), word(1), word(2), word(3))
    else {
        return Err(WeightsError::NoHeader { found: len });
    };
    let sane = |v: i32| (0..=100_000).contains(&v);
    if !(sane(major) && sane(minor) && sane(revision)) {
        return Err(WeightsError::Version {
            major,
            minor,
            revision,
        });
    }
    let bytes = if i64::from(major) * 10 + i64::from(minor) >= 2 {
        20
    } else {
        16
    };
    if len < bytes as u64 {
        return Err(WeightsError::NoHeader { found: len });
    }
    Ok(Header {
        major,
        minor,
        bytes,
    })
}

/// The header bytes that count for this graph.
pub(super) fn resolved(header: &Header, graph: &Graph) -> Header {
    Header {
        bytes: header.bytes_for(graph.darknet),
        ..*header
    }
}
