//! `weights.bin`: mapped read-only, checked without touching pages that this node does not use.
//!
//! ```text
//! 0     8   magic "TSRWGT01"
//! 8     4   version, u32
//! 12    4   number of sections, u32, at most 62
//! 16    32  model digest
//! 48    16  zero
//! 64    64  per section: name (16 bytes, zero padded), offset u64, length u64, SHA-256
//! 4096      float32 values; offsets and lengths count values from here, both multiples of 1024
//! ```

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use memmap2::{Mmap, MmapOptions};
use sha2::{Digest, Sha256};

use crate::program::{Program, SectionSpec};

/// First bytes of every weights file.
pub const MAGIC: [u8; 8] = *b"TSRWGT01";
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Bytes before the values.
pub const HEADER_BYTES: usize = 4096;
/// Most sections that fit the header.
pub const SECTIONS_MAX: usize = 62;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another kind of file.
    #[error(
        "{path} is no packed weights file; give the weights.bin that was written beside this node's sources"
    )]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// Another version.
    #[error("{path} has layout version {found}, this node reads {VERSION}; pack the weights again")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Packed for another plan or model.
    #[error(
        "{path} belongs to another {what} than this node; copy the weights.bin that was written with it"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// `model` or `plan`.
        what: &'static str,
    },
    /// Shorter than its header says.
    #[error("{path} has {found} bytes, its header needs {expected}; copy it again")]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes.
        found: u64,
        /// Bytes needed.
        expected: u64,
    },
    /// A section's bytes are not those that were written.
    #[error("{path}: section {section} is damaged (its SHA-256 differs); copy the file again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
    },
}

/// The mapped file.
#[derive(Debug)]
pub struct Weights {
    map: Mmap,
}

/// Which sections a node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The stages': an edge.
    Stages,
    /// The tail's: a gateway.
    Tail,
    /// All: one process for everything.
    All,
    /// The stages', unverified: a worker, whose parent did that.
    Verified,
}

impl Use {
    /// Whether a section is read and compared with its digest.
    fn verifies(self, section: &str) -> bool {
        match self {
            Self::All => true,
            Self::Stages => section != TAIL,
            Self::Tail => section == TAIL,
            Self::Verified => false,
        }
    }

    /// Bytes of the file that are mapped. Pages come in by larger pieces than are touched, so a map that goes on
    /// behind the stages' weights would make some of the tail's resident.
    fn mapped(self, program: &Program) -> usize {
        let with_tail = matches!(self, Self::All | Self::Tail);
        let ends = program
            .sections
            .iter()
            .filter(|s| with_tail || s.name != TAIL)
            .map(|s| s.offset + s.floats);
        HEADER_BYTES + 4 * ends.max().unwrap_or(0)
    }
}

/// Name of the section that the gateway reads; the planner gives it.
const TAIL: &str = "tail";

impl Weights {
    /// Opens, checks and maps `path` for `program`.
    ///
    /// # Errors
    /// When the file is not the one packed for this program, or is damaged; see [`WeightsError`].
    pub fn open(path: &Path, program: &Program, sections: Use) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let mut header = [0u8; HEADER_BYTES];
        if found < HEADER_BYTES as u64 {
            let mut start = vec![0u8; usize::try_from(found.min(8)).unwrap_or(0)];
            file.read_exact(&mut start).map_err(io)?;
            return Err(if start == MAGIC {
                WeightsError::Short {
                    path: path.into(),
                    found,
                    expected: HEADER_BYTES as u64,
                }
            } else {
                WeightsError::Magic { path: path.into() }
            });
        }
        file.read_exact(&mut header).map_err(io)?;
        if header[..8] != MAGIC {
            return Err(WeightsError::Magic { path: path.into() });
        }
        let version = word(&header, 8);
        if version != VERSION {
            return Err(WeightsError::Version {
                path: path.into(),
                found: version,
            });
        }
        if header[16..48] != program.model_digest {
            return Err(WeightsError::Other {
                path: path.into(),
                what: "model",
            });
        }
        let count = word(&header, 12) as usize;
        if count > SECTIONS_MAX || count != program.sections.len() {
            return Err(WeightsError::Other {
                path: path.into(),
                what: "plan",
            });
        }
        for (i, s) in program.sections.iter().enumerate() {
            let e = entry(&header, i);
            if e.name() != s.name.as_bytes()
                || e.offset != s.offset as u64
                || e.floats != s.floats as u64
            {
                return Err(WeightsError::Other {
                    path: path.into(),
                    what: "plan",
                });
            }
        }
        let floats = program
            .sections
            .iter()
            .map(|s| s.offset + s.floats)
            .max()
            .unwrap_or(0) as u64;
        let expected = HEADER_BYTES as u64 + 4 * floats;
        if found < expected {
            return Err(WeightsError::Short {
                path: path.into(),
                found,
                expected,
            });
        }
        for (i, s) in program.sections.iter().enumerate() {
            if sections.verifies(s.name)
                && digest(&mut file, s).map_err(io)? != entry(&header, i).digest
            {
                return Err(WeightsError::Damaged {
                    path: path.into(),
                    section: s.name,
                });
            }
        }
        // SAFETY: the file is mapped read-only and only ever read as bytes reinterpreted as f32, for
        // which every bit pattern is valid. Truncating it while a node runs would raise SIGBUS;
        // packing replaces files by rename, so a mapped one is never written.
        let map = unsafe { MmapOptions::new().len(sections.mapped(program)).map(&file) };
        Ok(Self {
            map: map.map_err(io)?,
        })
    }

    /// The values behind the header, as far as they are mapped. Touching them makes their pages resident.
    pub fn floats(&self) -> &[f32] {
        let bytes = &self.map[HEADER_BYTES..];
        let whole = &bytes[..bytes.len() / 4 * 4];
        <[f32] as zerocopy::FromBytes>::ref_from_bytes(whole).unwrap_or(&[])
    }
}

/// One line of the header's table.
struct Entry {
    name: [u8; 16],
    offset: u64,
    floats: u64,
    digest: [u8; 32],
}

impl Entry {
    fn name(&self) -> &[u8] {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(16);
        &self.name[..end]
    }
}

fn word(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn entry(header: &[u8; HEADER_BYTES], i: usize) -> Entry {
    let e = &header[64 + 64 * i..128 + 64 * i];
    let long = |at: usize| {
        e[at..at + 8]
            .iter()
            .rev()
            .fold(0u64, |n, b| n << 8 | u64::from(*b))
    };
    let mut out = Entry {
        name: [0; 16],
        offset: long(16),
        floats: long(24),
        digest: [0; 32],
    };
    out.name.copy_from_slice(&e[..16]);
    out.digest.copy_from_slice(&e[32..]);
    out
}

/// Reads a section in small pieces, past the mapping: verified pages need not become resident here.
fn digest(file: &mut File, s: &SectionSpec) -> std::io::Result<[u8; 32]> {
    file.seek(SeekFrom::Start(HEADER_BYTES as u64 + 4 * s.offset as u64))?;
    let mut left = file.take(4 * s.floats as u64);
    let mut hash = Sha256::new();
    let mut buffer = [0u8; 16 << 10];
    loop {
        match left.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}
