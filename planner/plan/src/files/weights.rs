//! The header of `weights.bin`: which sections there are, where, and their digests.
//!
//! ```text
//! 0     8   magic "TSRWGT01"
//! 8     4   version, u32
//! 12    4   number of sections, u32, at most 62
//! 16    32  model digest
//! 48    16  zero
//! 64    64  per section: name (16 bytes, zero padded), offset u64, length u64, SHA-256 of its bytes
//! 4096      float32 values; offsets and lengths count values from here
//! ```
//!
//! Numbers and values are little-endian. Sections begin on pages, tensors on 64 bytes.

/// First bytes of every weights file.
pub const MAGIC: [u8; 8] = *b"TSRWGT01";
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Bytes before the values.
pub const HEADER_BYTES: usize = 4096;
/// Most sections that fit the header.
pub const SECTIONS_MAX: usize = 62;
/// Longest name of a section, in bytes.
pub const NAME_BYTES_MAX: usize = 16;
/// Name of the section that a gateway reads; an edge reads the others.
pub const TAIL: &str = "tail";

/// Where the entries begin.
const ENTRIES: usize = 64;
/// Bytes of an entry.
const ENTRY_BYTES: usize = 64;
const _: () = assert!(ENTRIES + SECTIONS_MAX * ENTRY_BYTES <= HEADER_BYTES);

/// The header of a weights file: its first [`HEADER_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// SHA-256 of the model whose weights the file holds.
    pub model_digest: [u8; 32],
    /// The sections, at most [`SECTIONS_MAX`].
    pub sections: Vec<SectionEntry>,
}

/// A section's entry in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionEntry {
    /// `s0`, ..., [`TAIL`]: at most [`NAME_BYTES_MAX`] bytes, none of them zero.
    pub name: String,
    /// First float32 value, counted from the end of the header.
    pub offset: u64,
    /// Number of float32 values.
    pub floats: u64,
    /// SHA-256 of the section's bytes.
    pub digest: [u8; 32],
}

/// Why a header cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwritableHeader {
    /// There are more sections than the header holds.
    #[error("{found} weight sections, at most {SECTIONS_MAX} fit the header")]
    Sections {
        /// Number of sections.
        found: usize,
    },
    /// A section's name does not fit its entry.
    #[error("section name {name:?} is empty, longer than {NAME_BYTES_MAX} bytes, or holds a zero")]
    Name {
        /// The name.
        name: String,
    },
}

/// Why bytes cannot be read as a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadHeader {
    /// The file is of another kind.
    #[error("no packed weights file")]
    Magic,
    /// The header has another version.
    #[error("layout version {found}, not {VERSION}")]
    Version {
        /// The header's version.
        found: u32,
    },
    /// The header claims more sections than it can hold.
    #[error("{found} sections, at most {SECTIONS_MAX} fit a header")]
    Sections {
        /// Number of sections.
        found: u32,
    },
    /// A section's name is not UTF-8 text.
    #[error("the name of section {section} is no text")]
    Name {
        /// Index of the section.
        section: usize,
    },
}

impl Header {
    /// The header as bytes.
    ///
    /// # Errors
    /// When there are too many sections or a name does not fit.
    pub fn to_bytes(&self) -> Result<Box<[u8; HEADER_BYTES]>, UnwritableHeader> {
        let found = self.sections.len();
        if found > SECTIONS_MAX {
            return Err(UnwritableHeader::Sections { found });
        }
        let mut bytes = Box::new([0; HEADER_BYTES]);
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(found as u32).to_le_bytes());
        bytes[16..48].copy_from_slice(&self.model_digest);
        let entries = bytes[ENTRIES..].chunks_exact_mut(ENTRY_BYTES);
        for (section, entry) in self.sections.iter().zip(entries) {
            section.write(entry)?;
        }
        Ok(bytes)
    }

    /// Reads a file's first bytes. Offsets and lengths are not checked.
    ///
    /// # Errors
    /// When they are no header of this version.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadHeader> {
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Magic);
        }
        let found = u32::from_le_bytes(array(&bytes[8..]));
        if found != VERSION {
            return Err(BadHeader::Version { found });
        }
        let found = u32::from_le_bytes(array(&bytes[12..]));
        if found as usize > SECTIONS_MAX {
            return Err(BadHeader::Sections { found });
        }
        let entries = bytes[ENTRIES..].chunks_exact(ENTRY_BYTES);
        let sections = entries.take(found as usize).enumerate();
        Ok(Self {
            model_digest: array(&bytes[16..]),
            sections: sections
                .map(|(i, entry)| SectionEntry::read(entry).ok_or(BadHeader::Name { section: i }))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl SectionEntry {
    fn write(&self, entry: &mut [u8]) -> Result<(), UnwritableHeader> {
        let name = self.name.as_bytes();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(&0) {
            return Err(UnwritableHeader::Name {
                name: self.name.clone(),
            });
        }
        entry[..name.len()].copy_from_slice(name);
        entry[16..24].copy_from_slice(&self.offset.to_le_bytes());
        entry[24..32].copy_from_slice(&self.floats.to_le_bytes());
        entry[32..].copy_from_slice(&self.digest);
        Ok(())
    }

    fn read(entry: &[u8]) -> Option<Self> {
        let name = &entry[..NAME_BYTES_MAX];
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        Some(Self {
            name: std::str::from_utf8(&name[..end]).ok()?.to_owned(),
            offset: u64::from_le_bytes(array(&entry[16..])),
            floats: u64::from_le_bytes(array(&entry[24..])),
            digest: array(&entry[32..]),
        })
    }
}

/// The first `N` bytes of something that is at least as long.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| bytes[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let section = |name: &str, offset, floats, digest| SectionEntry {
            name: name.into(),
            offset,
            floats,
            digest: [digest; 32],
        };
        Header {
            model_digest: [7; 32],
            sections: vec![
                section("s0", 0, 3000, 1),
                section("sixteen-bytes-xx", 4096, u64::MAX, 2),
                section(TAIL, 1 << 40, 0, 3),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut h = header();
        assert_eq!(Header::from_bytes(&h.to_bytes().unwrap()), Ok(h.clone()));
        h.sections = vec![h.sections[0].clone(); SECTIONS_MAX];
        assert_eq!(Header::from_bytes(&h.to_bytes().unwrap()), Ok(h));
    }

    /// The layout that earlier files have.
    #[test]
    fn bytes_lie_where_the_drawing_says() {
        let bytes = header().to_bytes().unwrap();
        assert_eq!(bytes[..16], *b"TSRWGT01\x01\0\0\0\x03\0\0\0");
        assert_eq!(bytes[16..48], [7; 32]);
        assert_eq!(bytes[48..66], *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0s0");
        assert_eq!(bytes[88..96], 3000u64.to_le_bytes());
        assert_eq!(bytes[96..128], [1; 32]);
        assert_eq!(bytes[144..152], 4096u64.to_le_bytes());
        assert!(bytes[64 + 3 * 64..].iter().all(|b| *b == 0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut h = header();
        for name in ["", "seventeen-bytes-x", "a\0b"] {
            h.sections[1].name = name.into();
            let refused = h.to_bytes().map(|_| ());
            assert_eq!(refused, Err(UnwritableHeader::Name { name: name.into() }));
        }
        h.sections = vec![h.sections[0].clone(); SECTIONS_MAX + 1];
        let refused = h.to_bytes().map(|_| ());
        assert_eq!(refused, Err(UnwritableHeader::Sections { found: 63 }));
    }

    #[test]
    fn other_files_are_refused() {
        let good = header().to_bytes().unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Header::from_bytes(&bytes).unwrap_err()
        };
        assert_eq!(with(0, b't'), BadHeader::Magic);
        assert_eq!(with(8, 2), BadHeader::Version { found: 2 });
        assert_eq!(with(12, 63), BadHeader::Sections { found: 63 });
        assert_eq!(
            with(15, 1).to_string(),
            "16777219 sections, at most 62 fit a header"
        );
        assert_eq!(with(129, 0xff), BadHeader::Name { section: 1 });
    }
}
