//! The shared segment: a sealed memfd, created by the network process, mapped by its workers.
//!
//! Nothing is named, so nothing is left behind: the memory goes when the last process that has it
//! goes. Seals keep everybody from resizing the file, so no access to a mapping can fault.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileExt,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{Areas, Header, LINE, Layout};

/// Why there is no segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The system refused a step.
    #[error("shared segment: cannot {step}: {source}")]
    System {
        /// Which step.
        step: &'static str,
        /// Why.
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
fn failed<E: Into<std::io::Error>>(step: &'static str) -> impl FnOnce(E) -> SegmentError {
    move |e| SegmentError::System {
        step,
        source: e.into(),
    }
}

/// A mapped segment. Clones share the mapping.
#[derive(Clone, Debug)]
pub struct Segment {
    fd: Arc<OwnedFd>,
    map: Arc<MmapRaw>,
    layout: Layout,
    areas: Areas,
    /// Whether the right to manage the slots is still to be had.
    unmanaged: Arc<AtomicBool>,
}

/// An area of a segment as atomic words.
#[derive(Clone, Debug)]
pub struct ShmWords {
    map: Arc<MmapRaw>,
    /// Byte offset, a multiple of 4.
    start: usize,
    words: usize,
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
    /// When counts are out of bounds or the system refuses.
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

    /// Maps a segment that another process created, after checking all of it.
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

    /// The counts it was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The file, to be handed to workers.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether both are clones of one mapping.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map)
    }

    /// The deque's words.
    pub fn deque(&self) -> ShmWords {
        self.words(self.areas.deque.start, self.areas.deque.len())
    }

    /// The job table's states.
    pub fn states(&self) -> ShmWords {
        self.words(self.areas.states.start, self.areas.states.len())
    }

    /// The workers' records.
    pub fn workers(&self) -> ShmWords {
        self.words(self.areas.workers.start, self.areas.workers.len())
    }

    /// The jobs' entries.
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

    /// Where `floats` values lie that begin `place` lines into the slots; `None` when they leave
    /// them. The pointer is aligned to a line and valid for reads and writes while a clone of this
    /// segment lives. Whoever dereferences it must know that nobody else accesses the values (to
    /// write), or that nobody writes them (to read).
    pub fn floats(&self, place: u32, floats: usize) -> Option<NonNull<[f32]>> {
        let bytes = self.bytes(place, floats.checked_mul(4)?)?;
        // The mapping begins on a page, the slots on a page of it, places on lines.
        let at = bytes.cast::<f32>();
        Some(NonNull::slice_from_raw_parts(at, floats))
    }

    /// Where `length` bytes lie that begin `place` lines into the slots; as [`Self::floats`].
    pub fn bytes(&self, place: u32, length: usize) -> Option<NonNull<[u8]>> {
        let start = (place as usize).checked_mul(LINE)?;
        let end = start.checked_add(length)?;
        if end > self.areas.slots.len() {
            return None;
        }
        // SAFETY: slots.start + start <= slots.end, the length of the mapping, which is one
        // allocation.
        let at = unsafe { self.map.as_mut_ptr().add(self.areas.slots.start + start) };
        NonNull::new(at).map(|p| NonNull::slice_from_raw_parts(p, length))
    }

    /// Takes all slots out of this process' resident memory. They stay what they are, in memory that
    /// other processes share, and come back when they are touched.
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

    /// Takes the right to manage the slots: once, and only where the segment was created.
    pub(super) fn manage(&self) -> Result<(), SegmentError> {
        if self.unmanaged.swap(false, Ordering::AcqRel) {
            Ok(())
        } else {
            Err(SegmentError::Managed)
        }
    }
}

impl AsRef<[AtomicU32]> for ShmWords {
    fn as_ref(&self) -> &[AtomicU32] {
        // SAFETY: `Segment::words` checked that the words lie in the mapping, which lives as long
        // as `self.map` and, being sealed, is backed everywhere. They begin on a multiple of 4 of a
        // page-aligned mapping. Every process accesses the bytes before the slots as atomic words
        // only (the header is not among them), so no access races with a plain one.
        unsafe {
            std::slice::from_raw_parts(
                self.map
                    .as_mut_ptr()
                    .add(self.start)
                    .cast::<AtomicU32>()
                    .cast_const(),
                self.words,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            plan_hash: [7; 32],
            jobs: 3,
            workers: 2,
            pieces: 10,
            slot_bytes: 10_000,
        }
    }

    fn copy(segment: &Segment) -> OwnedFd {
        segment.fd().try_clone_to_owned().unwrap()
    }

    /// A memfd with a segment's first bytes, changed by `change`, sealed or not.
    fn forged(change: impl FnOnce(&mut Vec<u8>), sealed: bool) -> OwnedFd {
        let l = layout();
        let areas = l.areas().unwrap();
        let mut bytes = vec![0u8; areas.slots.end];
        Header::new(&l, &areas).write_to_prefix(&mut bytes).unwrap();
        change(&mut bytes);
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"forged", flags).unwrap());
        file.write_all_at(&bytes, 0).unwrap();
        if sealed {
            fcntl(&file, FcntlArg::F_ADD_SEALS(seals())).unwrap();
        }
        file.into()
    }

    fn refused(fd: OwnedFd) -> SegmentError {
        Segment::from_fd(fd, &[7; 32]).expect_err("must be refused")
    }

    #[test]
    fn two_mappings_share_words() {
        let a = Segment::create(&layout()).unwrap();
        let b = Segment::from_fd(copy(&a), &[7; 32]).unwrap();
        assert_eq!(a.layout(), b.layout());
        a.states().as_ref()[5].store(9, Ordering::Relaxed);
        assert_eq!(b.states().as_ref()[5].load(Ordering::Relaxed), 9);
        assert_ne!(
            a.floats(0, 1).unwrap().cast::<u8>(),
            b.floats(0, 1).unwrap().cast::<u8>()
        );
    }

    #[test]
    fn an_honest_forgery_is_taken() {
        assert!(Segment::from_fd(forged(|_| {}, true), &[7; 32]).is_ok());
    }

    #[test]
    fn other_files_are_refused() {
        let magic = refused(forged(|b| b[0] ^= 1, true));
        assert!(matches!(magic, SegmentError::Magic), "{magic}");
        let empty = refused(forged(Vec::clear, true));
        assert!(matches!(empty, SegmentError::Magic), "{empty}");
        let version = refused(forged(|b| b[8] = 77, true));
        assert!(
            matches!(version, SegmentError::Version { found: 77 }),
            "{version}"
        );
        let plan = refused(forged(|b| b[40] ^= 1, true));
        assert!(matches!(plan, SegmentError::Plan), "{plan}");
    }

    #[test]
    fn contradictions_are_refused() {
        let short = refused(forged(|b| b.truncate(8192), true));
        assert!(
            matches!(short, SegmentError::Size { found: 8192, .. }),
            "{short}"
        );
        let long = refused(forged(|b| b.push(0), true));
        assert!(matches!(long, SegmentError::Size { .. }), "{long}");
        let offset = refused(forged(|b| b[size_of::<Header>() - 16] ^= 64, true));
        assert!(matches!(offset, SegmentError::Offsets), "{offset}");
        let jobs = refused(forged(|b| b[14] = 1, true));
        assert!(
            matches!(jobs, SegmentError::Layout { what: "jobs", .. }),
            "{jobs}"
        );
        let huge = refused(forged(|b| b[24..32].fill(0xff), true));
        assert!(matches!(huge, SegmentError::Layout { .. }), "{huge}");
    }

    #[test]
    fn what_can_be_resized_is_refused() {
        assert!(matches!(
            refused(forged(|_| {}, false)),
            SegmentError::Unsealed
        ));
        let plain = tempfile::tempfile().unwrap();
        assert!(matches!(refused(plain.into()), SegmentError::Unsealed));
        let a = Segment::create(&layout()).unwrap();
        let file = File::from(copy(&a));
        assert!(file.set_len(4096).is_err() && file.set_len(1 << 30).is_err());
    }

    #[test]
    fn counts_are_bounded() {
        let with = |f: fn(&mut Layout)| {
            let mut l = layout();
            f(&mut l);
            Segment::create(&l).map(|_| ()).is_err()
        };
        assert!(with(|l| l.jobs = 0));
        assert!(with(|l| l.jobs = 1 << 20));
        assert!(with(|l| l.workers = 65));
        assert!(with(|l| l.pieces = 1 << 20));
        assert!(with(|l| l.slot_bytes = usize::MAX));
        assert!(with(|l| l.slot_bytes = isize::MAX as usize));
    }

    #[test]
    fn places_stay_inside_the_slots() {
        let s = Segment::create(&layout()).unwrap();
        // 10,000 bytes are rounded up to three pages.
        assert!(s.floats(0, 3072).is_some());
        assert!(s.floats(0, 3073).is_none());
        assert!(s.floats(191, 16).is_some());
        assert!(s.floats(191, 17).is_none());
        assert!(s.floats(192, 0).is_some());
        assert!(s.floats(193, 0).is_none());
        assert!(s.floats(u32::MAX, usize::MAX).is_none());
    }
}
