//! Pictures that are too large, by their size or for the memory that is free.

use super::*;

#[test]
fn memory_is_in_a_budget() {
    let within = |bytes: &[u8], budget_bytes: u64| {
        let options = Options {
            budget_bytes: Some(budget_bytes),
            ..Options::default()
        };
        loaded(bytes, options)
    };
    // Pixels; pixels and the file; coefficients besides: of 6 x 4 blocks and two times 3 x 2.
    let pixels = 3 * 43 * 27;
    let plain = RgbImage::from_pixel(43, 27, Rgb([1, 2, 3]));
    for (bytes, needed) in [
        (png(&plain, None), pixels),
        (SEQUENTIAL.to_vec(), pixels + SEQUENTIAL.len() as u64),
        (GREY.to_vec(), pixels / 3 + GREY.len() as u64),
        (
            PROGRESSIVE.to_vec(),
            pixels + PROGRESSIVE.len() as u64 + 136 * (24 + 2 * 6),
        ),
    ] {
        within(&bytes, needed).unwrap();
        let e = within(&bytes, needed - 1).unwrap_err();
        let PictureError::Memory {
            needed_bytes,
            budget_bytes,
            ..
        } = e
        else {
            panic!("{e}")
        };
        assert_eq!((needed_bytes, budget_bytes), (needed, needed - 1));
    }
    let e = within(SEQUENTIAL, 100).unwrap_err();
    assert!(matches!(e, PictureError::File { .. }), "{e}");
}

#[test]
fn huge_and_empty_pictures_are_refused_before_memory_is_taken() {
    let error = |bytes: &[u8]| loaded(bytes, Options::default()).unwrap_err();
    for bytes in [
        &b"P6 60000 60000 255\n"[..],
        b"P6 16385 1 255\n",
        b"P5 1 16385 255\n",
    ] {
        let e = error(bytes);
        assert!(matches!(e, PictureError::TooLarge { .. }), "{e}");
    }
    let e = error(b"P6 16384 16384 255\n");
    assert!(matches!(e, PictureError::Memory { .. }), "{e}");
    assert!(e.to_string().contains("1536 MiB"), "{e}");
    let e = error(b"P6 8000 8000 255\n");
    assert!(matches!(e, PictureError::Short { .. }), "{e}");
    assert!(loaded(b"P6 0 4 255\n", Options::default()).is_err());
    // PNG: sides in the header, and its sum; no data to speak of.
    let mut bytes = png(&RgbImage::new(3, 2), None);
    for (side, want) in [
        (8_000u32, "cut off"),
        (16_384, "1 MiB"),
        (100_000, "too large"),
    ] {
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        let sum = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        let options = Options {
            budget_bytes: Some(if side == 16_384 { 1 << 20 } else { u64::MAX }),
            ..Options::default()
        };
        let e = loaded(&bytes, options).unwrap_err();
        assert!(e.to_string().contains(want), "{side}: {e}");
    }
    // JPEG: sides behind the frame's marker.
    for (name, bytes) in JPEGS {
        let frame = bytes
            .windows(2)
            .position(|w| matches!(w, [0xff, 0xc0..=0xc2]))
            .unwrap();
        let mut bytes = bytes.to_vec();
        for (side, want) in [(2_000u16, "damaged JPEG"), (60_000, "too large")] {
            bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
            bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
            let e = error(&bytes);
            assert!(e.to_string().contains(want), "{name}: {e}");
        }
    }
}

/// Runs itself again under a limit of the address space, in which 144 megapixels do not fit.
#[test]
fn a_large_picture_under_a_limit_is_an_error_and_not_the_end() {
    const VARIABLE: &str = "PICTURE_UNDER_A_LIMIT";
    const LEFT_BYTES: u64 = 16 << 20;
    if let Ok(path) = std::env::var(VARIABLE) {
        limit_address_space(LEFT_BYTES);
        // The budget's word, and the system's where the budget is wrong.
        for budget_bytes in [None, Some(u64::MAX)] {
            let options = Options {
                budget_bytes,
                ..Options::default()
            };
            let e = load_with(Path::new(&path), options).unwrap_err();
            println!("says: {e}");
        }
        return;
    }
    // A file of zeros behind its header, which takes no place on the disk.
    let (_d, path) = written("large.pgm", b"P5 12000 12000 255\n");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(19 + 12_000 * 12_000).unwrap();
    check(
        &path,
        Options {
            budget_bytes: Some(u64::MAX),
            ..Options::default()
        },
    )
    .unwrap();
    let this = "load::tests::memory::a_large_picture_under_a_limit_is_an_error_and_not_the_end";
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, &path)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    assert!(
        out.contains("says: ") && out.contains("12000 x 12000 pixels take 275 MiB"),
        "{out}"
    );
    assert!(
        out.contains("the system does not give the 275 MiB"),
        "{out}"
    );
}

/// Leaves this process so many bytes more than it has.
fn limit_address_space(left_bytes: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status
        .lines()
        .find_map(|l| l.strip_prefix("VmSize:"))
        .unwrap();
    let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = 1024 * kilobytes + left_bytes;
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
}
