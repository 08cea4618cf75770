//! The segment's bytes, drawn once.
//!
//! ```text
//! 0       header        magic "TSRSHM01", version, counts, plan hash, where each area begins
//! 4096    deque         top | bottom | cells: one 64-byte line each for the ends, then u32 cells
//! +       states        one 64-byte line per job: state, microseconds it took
//! +       workers       one 64-byte line per worker: process id, peak memory, jobs
//! +       entries       per job: task, number of pieces, then 32 bytes per piece
//! +       slots         values of objects, on a page boundary; places count 64-byte lines from here
//! ```
//!
//! Everything before the slots is 32-bit words that all processes access as atomics; the header is
//! written before the file is handed to anyone and never again. Offsets only, no pointers: every
//! process maps the segment where it likes. Who maps it recomputes the offsets from the counts and
//! refuses a header that says otherwise.

use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::error::SegmentError;
use tessera_plan::dataflow::SlotCount;
pub use tessera_plan::dataflow::{LINE_BYTES, PAGE_BYTES};
use tessera_protocol::ProgramInfo;

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"TSRSHM01";
/// Version of this layout.
pub const VERSION: u32 = 1;
/// Words of a line.
pub const LINE_WORDS: usize = LINE_BYTES / 4;
/// Most jobs of a table.
pub const JOBS_MAX: usize = 1024;
/// Most worker processes.
pub const WORKERS_MAX: usize = 64;
/// Most pieces, outputs included, of one job.
pub const PIECES_MAX: usize = 1 << 16;
/// Words before the pieces of an entry.
pub const HEAD_WORDS: usize = 8;
/// Words of a piece in an entry.
pub const PIECE_WORDS: usize = 8;

/// Counts that a segment is made for; they fix every offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Hash of the plan whose tasks run in it.
    pub plan_hash: [u8; 32],
    /// Entries of the job table, at most [`JOBS_MAX`].
    pub jobs: usize,
    /// Worker processes, at most [`WORKERS_MAX`].
    pub workers: usize,
    /// Pieces of inputs and outputs of one job, at most [`PIECES_MAX`].
    pub pieces: usize,
    /// Bytes of all slots.
    pub slot_bytes: usize,
}

/// The first bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Header {
    magic: [u8; 8],
    version: u32,
    jobs: u32,
    workers: u32,
    pieces: u32,
    slot_bytes: u64,
    plan_hash: [u8; 32],
    /// Where deque, states, workers, entries and slots begin, and where the file ends.
    offsets: [u64; 6],
}

/// Where everything lies, in bytes from the file's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The deque's ends and cells.
    pub deque: Range<usize>,
    /// A line per job.
    pub states: Range<usize>,
    /// A line per worker.
    pub workers: Range<usize>,
    /// What each job reads and makes.
    pub entries: Range<usize>,
    /// Slots; its end is the file's.
    pub slots: Range<usize>,
}

impl Layout {
    /// The segment of an edge (or, with no jobs and workers to speak of, of a gateway): `slots` as
    /// [`tessera_protocol::EdgeConfig::slots`] and [`tessera_protocol::GatewayConfig::slots`] give them.
    pub fn new(info: &ProgramInfo, slots: &[SlotCount], jobs: usize, workers: usize) -> Self {
        let outputs = info.tasks.iter().map(|t| t.outputs.len()).max();
        Self {
            plan_hash: info.plan_hash,
            jobs,
            workers,
            pieces: tessera_plan::limits::PIECES_MAX + outputs.unwrap_or(0),
            slot_bytes: super::places::place(slots).1,
        }
    }

    /// Words of one job's entry.
    pub const fn entry_words(&self) -> usize {
        HEAD_WORDS + PIECE_WORDS * self.pieces
    }

    /// Cells of the deque. At most one item beside the queued jobs is ever in it (see `README.md`),
    /// so it cannot overflow.
    pub const fn deque_cells(&self) -> usize {
        (self.jobs + 1).next_power_of_two()
    }

    /// Works out where everything lies.
    ///
    /// # Errors
    /// [`SegmentError::Layout`] when a count leaves its bounds or the sum this machine's memory.
    pub fn areas(&self) -> Result<Areas, SegmentError> {
        let bounds = [
            ("jobs", self.jobs, JOBS_MAX),
            ("workers", self.workers, WORKERS_MAX),
            ("pieces", self.pieces, PIECES_MAX),
            ("slot bytes", self.slot_bytes, isize::MAX as usize),
        ];
        for (what, found, most) in bounds {
            if found > most || (found == 0 && what == "jobs") {
                return Err(SegmentError::Layout { what, found });
            }
        }
        let mut end = PAGE_BYTES;
        let mut area = |bytes: Option<usize>, align: usize| {
            let start = end.checked_next_multiple_of(align)?;
            end = start.checked_add(bytes?)?;
            (end <= isize::MAX as usize - PAGE_BYTES).then_some(start..end)
        };
        let deque = area(
            Some(LINE_BYTES * 2 + (4 * self.deque_cells()).next_multiple_of(LINE_BYTES)),
            LINE_BYTES,
        );
        let states = area(Some(LINE_BYTES * self.jobs), LINE_BYTES);
        let workers = area(Some(LINE_BYTES * self.workers), LINE_BYTES);
        let entries = area((4 * self.entry_words()).checked_mul(self.jobs), LINE_BYTES);
        let slots = area(
            self.slot_bytes.checked_next_multiple_of(PAGE_BYTES),
            PAGE_BYTES,
        );
        match (deque, states, workers, entries, slots) {
            (Some(deque), Some(states), Some(workers), Some(entries), Some(slots)) => Ok(Areas {
                deque,
                states,
                workers,
                entries,
                slots,
            }),
            _ => Err(SegmentError::Layout {
                what: "slot bytes",
                found: self.slot_bytes,
            }),
        }
    }
}

impl Header {
    /// The header of a segment.
    pub fn new(l: &Layout, a: &Areas) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            jobs: l.jobs as u32,
            workers: l.workers as u32,
            pieces: l.pieces as u32,
            slot_bytes: l.slot_bytes as u64,
            plan_hash: l.plan_hash,
            offsets: [
                a.deque.start,
                a.states.start,
                a.workers.start,
                a.entries.start,
                a.slots.start,
                a.slots.end,
            ]
            .map(|o| o as u64),
        }
    }

    /// What a file of `file_bytes` that begins with `self` holds.
    ///
    /// # Errors
    /// When it is no segment, of another version or plan, cut short, or contradicts itself.
    pub fn read(
        &self,
        plan_hash: &[u8; 32],
        file_bytes: u64,
    ) -> Result<(Layout, Areas), SegmentError> {
        if self.magic != MAGIC {
            return Err(SegmentError::Magic);
        }
        if self.version != VERSION {
            return Err(SegmentError::Version {
                found: self.version,
            });
        }
        if self.plan_hash != *plan_hash {
            return Err(SegmentError::Plan);
        }
        let layout = Layout {
            plan_hash: self.plan_hash,
            jobs: self.jobs as usize,
            workers: self.workers as usize,
            pieces: self.pieces as usize,
            slot_bytes: usize::try_from(self.slot_bytes).unwrap_or(usize::MAX),
        };
        let areas = layout.areas()?;
        if *self != Self::new(&layout, &areas) {
            return Err(SegmentError::Offsets);
        }
        let expected = areas.slots.end as u64;
        if file_bytes != expected {
            return Err(SegmentError::Size {
                expected,
                found: file_bytes,
            });
        }
        Ok((layout, areas))
    }
}
