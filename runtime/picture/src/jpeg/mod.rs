//! Whether a JPEG file is whole. The JPEG decoder silently fills missing parts with grey, as
//! files need not hold a length or a checksum; so this module counts the file's codes first.

mod bits;
mod frame;
mod scan;

use self::{
    bits::{Table, next_marker},
    frame::Frame,
    scan::{Nonzero, Scan, Tables},
};

/// Most scans that are followed: as many as the decoder takes.
const SCANS_MAX: usize = 100;

/// The damage found in a JPEG file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The data of a scan end early.
    #[error("the picture's data end after {done} of {total} blocks")]
    Missing {
        /// Blocks (MCUs) of the scan that the file holds.
        done: usize,
        /// All blocks of the scan.
        total: usize,
    },
    /// The data of a scan are invalid.
    #[error("the picture's data make no sense behind {done} of {total} blocks")]
    Nonsense {
        /// Blocks (MCUs) of the scan that the file holds before the invalid data.
        done: usize,
        /// All blocks of the scan.
        total: usize,
    },
    /// A component has no scan, or a progressive file has no end marker.
    #[error("the file ends before all of the picture's scans")]
    Scans,
    /// A header is invalid.
    #[error("its headers are cut off or make no sense")]
    Header,
}

/// What the headers of a JPEG file say.
#[derive(Debug)]
pub(super) struct Jpeg<'a> {
    data: &'a [u8],
    /// What was found before the first scan.
    state: State,
    /// Where the first scan's header lies; none where a file is of a kind that its decoder refuses.
    first_scan: Option<usize>,
    exif: Option<&'a [u8]>,
}

/// What segments have set so far.
#[derive(Debug, Default)]
struct State {
    frame: Option<Frame>,
    tables: Tables,
    restart: usize,
}

/// A marker with its segment.
struct Segment<'a> {
    marker: u8,
    body: &'a [u8],
    /// Where the next one is looked for.
    end: usize,
}

/// The segment whose marker lies at `at`.
fn segment(data: &[u8], at: usize) -> Option<Segment<'_>> {
    let marker = *data.get(at + 1)?;
    // TEM, restarts, SOI and EOI stand alone.
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Some(Segment {
            marker,
            body: &[],
            end: at + 2,
        });
    }
    let length = data.get(at + 2..at + 4)?;
    let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    Some(Segment {
        marker,
        body: data.get(at + 4..end)?,
        end,
    })
}

impl State {
    /// Takes over what a segment sets.
    fn set(&mut self, s: &Segment<'_>) -> Result<(), Damage> {
        match s.marker {
            0xc0..=0xc2 if self.frame.is_none() => {
                self.frame = Frame::parse(s.body, s.marker == 0xc2);
            }
            0xc4 => self.set_tables(s.body).ok_or(Damage::Header)?,
            0xdd => {
                let n = s.body.first_chunk().ok_or(Damage::Header)?;
                self.restart = usize::from(u16::from_be_bytes(*n));
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the tables of a segment (annex B.2.4.2).
    fn set_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let codes = counts.iter().map(|c| usize::from(*c)).sum();
            let (symbols, rest) = rest.split_at_checked(codes)?;
            let table = Table::new(counts, symbols)?;
            let (class, number) = (usize::from(kind >> 4), usize::from(kind & 15));
            *self.tables.get_mut(class)?.get_mut(number)? = Some(table);
            body = rest;
        }
        Some(())
    }

    /// Reads a scan's header; none where it makes no sense.
    fn scan(&self, body: &[u8]) -> Option<Scan> {
        let frame = self.frame.as_ref()?;
        let (&count, rest) = body.split_first()?;
        let (of, band) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, bits, ..] = band else {
            return None;
        };
        let component = |c: &[u8]| {
            let place = frame.components.iter().position(|f| f.name == c[0])?;
            let tables = (usize::from(c[1] >> 4), usize::from(c[1] & 15));
            (tables.0 < 4 && tables.1 < 4).then_some((place, tables.0, tables.1))
        };
        let components: Option<Vec<_>> = of.chunks_exact(2).map(component).collect();
        let components = components?;
        let fine = (1..=4).contains(&components.len())
            && first <= last
            && last < 64
            && (!frame.progressive || first == 0 || components.len() == 1);
        fine.then_some(Scan {
            components,
            band: [usize::from(first), usize::from(last)],
            refines: bits >> 4 != 0,
        })
    }
}

impl<'a> Jpeg<'a> {
    /// Reads the headers up to the first scan.
    ///
    /// # Errors
    /// When the headers are cut off.
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Damage> {
        let mut jpeg = Self {
            data,
            state: State::default(),
            first_scan: None,
            exif: None,
        };
        let mut at = 2;
        while let Some(marker) = next_marker(data, at) {
            let s = segment(data, marker).ok_or(Damage::Header)?;
            match s.marker {
                0xda => {
                    jpeg.first_scan = jpeg.state.frame.is_some().then_some(marker);
                    return Ok(jpeg);
                }
                0xe1 if jpeg.exif.is_none() => jpeg.exif = s.body.strip_prefix(b"Exif\0\0"),
                _ => jpeg.state.set(&s)?,
            }
            at = s.end;
        }
        Err(Damage::Header)
    }

    /// The EXIF data, of their TIFF header on.
    pub(super) const fn exif(&self) -> Option<&'a [u8]> {
        self.exif
    }

    /// Width and height, and channels when it is decoded.
    pub(super) fn size(&self) -> Option<((u32, u32), u64)> {
        let frame = self.state.frame.as_ref()?;
        let side = |n: usize| u32::try_from(n).ok();
        let channels = if frame.components.len() == 1 { 1 } else { 3 };
        Some(((side(frame.width)?, side(frame.height)?), channels))
    }

    /// Bytes that decoding takes besides the file and the pixels: coefficients are held until the
    /// last scan where a picture comes in several.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        let Some(frame) = &self.state.frame else {
            return 0;
        };
        let scan = self.first_scan.and_then(|at| segment(self.data, at));
        let together = scan.and_then(|s| s.body.first().copied()).map(usize::from);
        if !frame.progressive && together == Some(frame.components.len()) {
            return 0;
        }
        // Of 2 bytes; besides, 64 of them have 8 bytes that say which are not zero.
        (136 * self.blocks().iter().sum::<usize>()) as u64
    }

    /// Blocks of every component.
    fn blocks(&self) -> Vec<usize> {
        let Some(frame) = &self.state.frame else {
            return Vec::new();
        };
        let blocks = (0..frame.components.len()).map(|i| frame.blocks(i));
        blocks.map(|[across, down]| across * down).collect()
    }

    /// Follows all scans. Files of kinds that the decoder refuses are left to it.
    ///
    /// # Errors
    /// When something is missing.
    pub(super) fn check(self) -> Result<(), Damage> {
        let data = self.data;
        let (Some(frame), Some(first)) = (self.state.frame.clone(), self.first_scan) else {
            return Ok(());
        };
        let mut nonzero: Nonzero = Vec::new();
        if frame.progressive {
            nonzero = self.blocks().into_iter().map(|n| vec![0; n]).collect();
        }
        let mut state = self.state;
        let mut seen = vec![false; frame.components.len()];
        let mut scans = 0;
        let mut next = Some(first);
        while let Some(marker) = next {
            let whole = seen.iter().all(|s| *s) && !frame.progressive;
            // What a whole picture is followed by is not looked at.
            let Some(s) = segment(data, marker).filter(|_| !whole) else {
                break;
            };
            next = match s.marker {
                0xd9 => {
                    let missing = seen.contains(&false);
                    return if missing { Err(Damage::Scans) } else { Ok(()) };
                }
                0xda => {
                    scans += 1;
                    if scans > SCANS_MAX {
                        return Err(Damage::Header);
                    }
                    let scan = state.scan(s.body).ok_or(Damage::Header)?;
                    scan.components.iter().for_each(|c| seen[c.0] = true);
                    let (tables, restart) = (&state.tables, state.restart);
                    scan::follow(data, s.end, &frame, &scan, tables, restart, &mut nonzero)?
                }
                _ => {
                    state.set(&s)?;
                    next_marker(data, s.end)
                }
            };
        }
        // A sequential picture is whole without an end, a progressive one is not.
        if frame.progressive || seen.contains(&false) {
            return Err(Damage::Scans);
        }
        Ok(())
    }
}
