//! The layout of the segment's bytes.
//!
//! ```text
//! 0       header        magic "TSRSHM01", version, counts, plan hash, where each area begins
//! 4096    deque         top | bottom | cells: one 64-byte line each for the ends, then u32 cells
//! +       states        one 64-byte line per job: state, microseconds it took
//! +       workers       one 64-byte line per worker: process id, peak memory, jobs
//! +       entries       per job: task, number of pieces, then 40 bytes per piece
//! +       slots         values of objects, on a page boundary; places count 64-byte lines from here
//! ```
//!
//! Everything before the slots is 32-bit words that all processes access as atomics; the header is
//! written before any other process gets the file and never again. The segment holds offsets only, no pointers:
//! every process maps the segment at any address. A process that maps the segment recomputes the offsets and
//! refuses a header with other offsets.

use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::error::SegmentError;
use tessera_plan::dataflow::SlotCount;
pub use tessera_plan::dataflow::{LINE_BYTES, PAGE_BYTES};
use tessera_protocol::{ProgramInfo, TaskId};

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"TSRSHM01";
/// Version of this layout.
pub const VERSION: u32 = 2;
/// Words of 32 bits in a line of 64 bytes.
pub const LINE_WORDS: usize = LINE_BYTES / 4;
/// Most entries of a job table.
pub const JOBS_MAX: usize = 1024;
/// Most worker processes of a segment.
pub const WORKERS_MAX: usize = 64;
/// Most pieces, outputs included, of one job.
pub const PIECES_MAX: usize = 1 << 16;
/// Words before the pieces of an entry, for the task and the number of pieces.
pub const HEAD_WORDS: usize = 8;
/// Words that a piece takes in an entry.
pub const PIECE_WORDS: usize = 10;
/// Word of a piece that holds the number of rows that are there; the next one holds what a worker waits for.
pub const PIECE_MARK: usize = 8;

/// Counts that determine every offset of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Hash of the plan whose tasks use the segment.
    pub plan_hash: [u8; 32],
    /// Entries of the job table, at most [`JOBS_MAX`].
    pub jobs: usize,
    /// Worker processes, at most [`WORKERS_MAX`].
    pub workers: usize,
    /// Pieces of inputs and outputs of one job, at most [`PIECES_MAX`].
    pub pieces: usize,
    /// Bytes of all slots together.
    pub slot_bytes: usize,
}

/// The first bytes of the segment's file.
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
    /// Start of deque, states, workers, entries and slots, and length of the file, in bytes.
    offsets: [u64; 6],
}

/// The areas of a segment, in bytes from the file's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The deque's two ends and its cells.
    pub deque: Range<usize>,
    /// The jobs' states, one line per job.
    pub states: Range<usize>,
    /// The workers' lines, one per worker.
    pub workers: Range<usize>,
    /// The jobs' entries: each job's task and pieces.
    pub entries: Range<usize>,
    /// The slots, up to the end of the file.
    pub slots: Range<usize>,
}

impl Layout {
    /// The segment of an edge (or, with no jobs and workers to speak of, of a gateway): `slots` as
    /// [`tessera_protocol::EdgeConfig::slots`] and [`tessera_protocol::GatewayConfig::slots`] give them.
    pub fn new(info: &ProgramInfo, slots: &[SlotCount], jobs: usize, workers: usize) -> Self {
        let tasks = (0..info.tasks.len() as u32).map(TaskId);
        let outputs = tasks.map(|t| info.made(t).count()).max();
        Self {
            plan_hash: info.plan_hash,
            jobs,
            workers,
            pieces: tessera_plan::limits::PIECES_MAX + outputs.unwrap_or(0),
            slot_bytes: super::places::place(slots).1,
        }
    }

    /// Words that one job's entry takes.
    pub const fn entry_words(&self) -> usize {
        HEAD_WORDS + PIECE_WORDS * self.pieces
    }

    /// Cells of the deque. At most one item beside the queued jobs is ever in it (see `README.md`),
    /// so it cannot overflow.
    pub const fn deque_cells(&self) -> usize {
        (self.jobs + 1).next_power_of_two()
    }

    /// Computes the areas from the counts.
    ///
    /// # Errors
    /// [`SegmentError::Layout`] when a count is out of bounds or the sum exceeds this machine's address space.
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
    /// The header of a segment with the counts `l` and the areas `a`.
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

    /// Reads counts and areas from the header of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// When the header is of another format, version or plan, contradicts itself, or the file has another length.
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
