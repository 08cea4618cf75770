//! `weights.bin`: mapped read-only, checked without touching pages that this node does not use. Its header is
//! [`tessera_plan::files::weights`].

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use memmap2::{Mmap, MmapOptions};
use sha2::{Digest, Sha256};

use crate::program::{Program, SectionSpec};
use tessera_plan::files::weights::{BadHeader, HEADER_BYTES, Header, MAGIC, TAIL, VERSION};

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
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
    /// The file has another version.
    #[error("{path} has layout version {found}, this node reads {VERSION}; pack the weights again")]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
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
    /// The file is shorter than its header says.
    #[error("{path} has {found} bytes, its header needs {expected}; copy it again")]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes of the file.
        found: u64,
        /// Bytes that the header and the program ask for.
        expected: u64,
    },
    /// A section's bytes do not match its digest.
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

/// The sections that a node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The stages' sections: for an edge.
    Stages,
    /// The tail's section: for a gateway.
    Tail,
    /// All sections: for a process that computes everything.
    All,
    /// The stages' sections, not verified: for a worker, whose parent has verified them.
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
        let header = read_header(path, &mut file, found)?;
        check_program(&header, program).map_err(|what| WeightsError::Other {
            path: path.into(),
            what,
        })?;
        let floats = program.sections.iter().map(|s| s.offset + s.floats).max();
        let expected = HEADER_BYTES as u64 + 4 * floats.unwrap_or(0) as u64;
        if found < expected {
            return Err(WeightsError::Short {
                path: path.into(),
                found,
                expected,
            });
        }
        for (s, entry) in program.sections.iter().zip(&header.sections) {
            if sections.verifies(s.name) && digest(&mut file, s).map_err(io)? != entry.digest {
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

    /// The values behind the header, as far as they are mapped. A page becomes resident when one of its values
    /// is read.
    pub fn floats(&self) -> &[f32] {
        let bytes = &self.map[HEADER_BYTES..];
        let whole = &bytes[..bytes.len() / 4 * 4];
        <[f32] as zerocopy::FromBytes>::ref_from_bytes(whole).unwrap_or(&[])
    }
}

/// Reads the header of a file of `found` bytes.
fn read_header(path: &Path, file: &mut File, found: u64) -> Result<Header, WeightsError> {
    let io = |source| WeightsError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut bytes = [0u8; HEADER_BYTES];
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
    file.read_exact(&mut bytes).map_err(io)?;
    Header::from_bytes(&bytes).map_err(|e| match e {
        BadHeader::Magic => WeightsError::Magic { path: path.into() },
        BadHeader::Version { found } => WeightsError::Version {
            path: path.into(),
            found,
        },
        // No plan of this program packs such sections.
        _ => WeightsError::Other {
            path: path.into(),
            what: "plan",
        },
    })
}

/// Compares a header with what a program expects; the error says what differs.
fn check_program(header: &Header, program: &Program) -> Result<(), &'static str> {
    if header.model_digest != program.model_digest {
        return Err("model");
    }
    let same = header.sections.len() == program.sections.len()
        && header.sections.iter().zip(program.sections).all(|(e, s)| {
            e.name == s.name && e.offset == s.offset as u64 && e.floats == s.floats as u64
        });
    if same { Ok(()) } else { Err("plan") }
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
