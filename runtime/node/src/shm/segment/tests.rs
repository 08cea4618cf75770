use std::sync::atomic::Ordering;

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
        a.bytes(0, 4).unwrap().cast::<u8>(),
        b.bytes(0, 4).unwrap().cast::<u8>()
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
    assert!(s.bytes(0, 3 * 4096).is_some());
    assert!(s.bytes(0, 3 * 4096 + 1).is_none());
    assert!(s.bytes(191, 64).is_some());
    assert!(s.bytes(191, 65).is_none());
    assert!(s.bytes(192, 0).is_some());
    assert!(s.bytes(193, 0).is_none());
    assert!(s.bytes(u32::MAX, usize::MAX).is_none());
}
