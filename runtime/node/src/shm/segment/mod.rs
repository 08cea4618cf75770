//! The shared segment: a sealed memfd that the network process creates and its workers map.
//!
//! The segment has no name, so no process leaves it behind: the system frees the memory when the last process
//! that holds the segment ends. Seals keep every process from resizing the file, so no access to a mapping can fault.

#[cfg(test)]
mod tests;
mod words;

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileExt,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use nix::{
    fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl},
    libc,
    sys::memfd::{MFdFlags, memfd_create},
};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    error::{SegmentError, failed},
    layout::{Areas, Header, LINE_BYTES, Layout},
};
pub use words::ShmWords;

/// A mapped segment. Clones share one mapping.
#[derive(Clone, Debug)]
pub struct Segment {
    fd: Arc<OwnedFd>,
    map: Arc<MmapRaw>,
    layout: Layout,
    areas: Areas,
    /// Whether the right to manage the slots is still available.
    unmanaged: Arc<AtomicBool>,
}

/// What nobody may do to the file any more.
fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

impl Segment {
    /// Creates, sizes, seals and maps a segment; all bytes behind the header are zero and take no
    /// memory until they are touched.
    ///
    /// # Errors
    /// When counts are out of bounds or a system call fails.
    pub fn create(layout: &Layout) -> Result<Self, SegmentError> {
        let areas = layout.areas()?;
        let fd = memfd_create(
            c"tessera",
            MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
        )
        .map_err(failed("create a memfd"))?;
        let file = File::from(fd);
        file.set_len(areas.slots.end as u64)
            .map_err(failed("size it"))?;
        file.write_all_at(Header::new(layout, &areas).as_bytes(), 0)
            .map_err(failed("write its header"))?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals())).map_err(failed("seal it"))?;
        Self::map(file.into(), *layout, areas, true)
    }

    /// Checks and maps a segment that another process created.
    ///
    /// # Errors
    /// When the file is not a sealed segment for `plan_hash`.
    pub fn from_fd(fd: OwnedFd, plan_hash: &[u8; 32]) -> Result<Self, SegmentError> {
        let found = fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(|_| SegmentError::Unsealed)?;
        if !SealFlag::from_bits_truncate(found).contains(seals()) {
            return Err(SegmentError::Unsealed);
        }
        let file = File::from(fd);
        let bytes = file.metadata().map_err(failed("size it"))?.len();
        let mut head = [0u8; size_of::<Header>()];
        file.read_exact_at(&mut head, 0)
            .map_err(|_| SegmentError::Magic)?;
        let header = Header::read_from_bytes(&head).map_err(|_| SegmentError::Magic)?;
        let (layout, areas) = header.read(plan_hash, bytes)?;
        Self::map(file.into(), layout, areas, false)
    }

    fn map(fd: OwnedFd, layout: Layout, areas: Areas, own: bool) -> Result<Self, SegmentError> {
        let map = MmapOptions::new()
            .len(areas.slots.end)
            .map_raw(&fd)
            .map_err(failed("map it"))?;
        Ok(Self {
            fd: Arc::new(fd),
            map: Arc::new(map),
            layout,
            areas,
            unmanaged: Arc::new(AtomicBool::new(own)),
        })
    }

    /// The counts that the segment was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The segment's file, to be handed to workers.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether both segments are clones of one mapping.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map)
    }

    /// The words of the deque.
    pub fn deque(&self) -> ShmWords {
        self.words(self.areas.deque.start, self.areas.deque.len())
    }

    /// The words of the job table's states.
    pub fn states(&self) -> ShmWords {
        self.words(self.areas.states.start, self.areas.states.len())
    }

    /// The words of the workers' lines.
    pub fn workers(&self) -> ShmWords {
        self.words(self.areas.workers.start, self.areas.workers.len())
    }

    /// The words of the jobs' entries.
    pub fn entries(&self) -> ShmWords {
        self.words(self.areas.entries.start, self.areas.entries.len())
    }

    fn words(&self, start: usize, bytes: usize) -> ShmWords {
        assert!(
            start.is_multiple_of(4) && start + bytes <= self.areas.slots.start,
            "words lie before the slots"
        );
        ShmWords {
            map: Arc::clone(&self.map),
            start,
            words: bytes / 4,
        }
    }

    /// Finds the `length` bytes that begin `place` 64-byte lines into the slots; `None` when the bytes leave
    /// the slots. The pointer is aligned to a line and valid for reads and writes while a clone of this
    /// segment lives. Code that dereferences the pointer must know that no other code accesses the bytes (to
    /// write), or that no other code writes the bytes (to read).
    pub fn bytes(&self, place: u32, length: usize) -> Option<NonNull<[u8]>> {
        let start = (place as usize).checked_mul(LINE_BYTES)?;
        let end = start.checked_add(length)?;
        if end > self.areas.slots.len() {
            return None;
        }
        // SAFETY: slots.start + start <= slots.end, the length of the mapping, which is one
        // allocation.
        let at = unsafe { self.map.as_mut_ptr().add(self.areas.slots.start + start) };
        NonNull::new(at).map(|p| NonNull::slice_from_raw_parts(p, length))
    }

    /// Takes all slots out of this process' resident memory. Their contents stay in memory that
    /// other processes share; a page becomes resident again when this process touches the page.
    pub fn let_go(&self) {
        let slots = &self.areas.slots;
        // SAFETY: the mapping is shared and backed by a file: `MADV_DONTNEED` drops page table
        // entries of this process, and an access maps the same pages with the same content again
        // (madvise(2)). So it changes nothing that any reference could see.
        let done = unsafe {
            self.map
                .unchecked_advise_range(UncheckedAdvice::DontNeed, slots.start, slots.len())
        };
        // Pages that stay cost memory and nothing else.
        let _ = done;
    }

    /// Gives the memory of `length` bytes, which begin `place` 64-byte lines into the slots, back to the system. They
    /// are zero when they are touched again, in every process.
    pub(super) fn discard(&self, place: u32, length: usize) {
        let start = self.areas.slots.start + place as usize * LINE_BYTES;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let range = (
            start.cast_signed() as libc::off_t,
            length.cast_signed() as libc::off_t,
        );
        // Memory that stays costs memory and nothing else.
        let _ = fallocate(&self.fd, hole, range.0, range.1);
    }

    /// Takes the right to manage the slots: once, and only where the segment was created.
    pub(super) fn manage(&self) -> Result<(), SegmentError> {
        if self.unmanaged.swap(false, Ordering::AcqRel) {
            Ok(())
        } else {
            Err(SegmentError::Managed)
        }
    }
}
