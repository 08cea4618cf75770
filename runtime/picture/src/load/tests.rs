use super::*;
use crate::{jpeg::Damage, orientation::tests::exif};
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, Luma, LumaA, Rgb,
    RgbImage, Rgba, RgbaImage, codecs::png::PngEncoder,
};
use std::path::PathBuf;

const SEQUENTIAL: &[u8] = include_bytes!("../testdata/sequential.jpg");
const RESTARTS: &[u8] = include_bytes!("../testdata/restarts.jpg");
const GREY: &[u8] = include_bytes!("../testdata/grey.jpg");
const FOUR: &[u8] = include_bytes!("../testdata/four.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../testdata/progressive.jpg");
const PROGRESSIVE_RESTARTS: &[u8] = include_bytes!("../testdata/progressive-restarts.jpg");
const JPEGS: [(&str, &[u8]); 6] = [
    ("sequential", SEQUENTIAL),
    ("restarts", RESTARTS),
    ("grey", GREY),
    ("four", FOUR),
    ("progressive", PROGRESSIVE),
    ("progressive, restarts", PROGRESSIVE_RESTARTS),
];

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Decodes a file of these bytes.
fn loaded(bytes: &[u8], options: Options) -> Result<Picture, PictureError> {
    let (_dir, path) = written("picture", bytes);
    load_with(&path, options)
}

fn rgb(p: &Picture) -> Vec<u8> {
    let (w, h) = (p.width() as usize, p.height() as usize);
    (0..w * h).flat_map(|i| p.pixel(i % w, i / w)).collect()
}

/// What the decoder makes of bytes, without any check of ours.
fn unchecked(bytes: &[u8]) -> Vec<u8> {
    image::load_from_memory(bytes)
        .unwrap()
        .into_rgb8()
        .into_raw()
}

fn png(picture: &RgbImage, eight: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (w, h) = picture.dimensions();
    PngEncoder::new(&mut bytes)
        .write_image(picture, w, h, ExtendedColorType::Rgb8)
        .unwrap();
    if let Some(data) = eight {
        // Behind the signature and IHDR; the reader does not look at the sum.
        let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
        chunk.extend([b"eXIf", &data[..]].concat());
        chunk.extend(crc(&chunk[4..]).to_be_bytes());
        bytes.splice(33..33, chunk);
    }
    bytes
}

/// The sum at the end of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    })
}

/// A JPEG file with an EXIF segment behind SOI.
fn with_exif(jpeg: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    let segment = [b"\xff\xe1", &length[..], b"Exif\0\0", data].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn every_kind_becomes_8_bit_rgb() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    GrayImage::from_pixel(3, 2, Luma([77]))
        .save(at("grey.png"))
        .unwrap();
    ImageBuffer::from_pixel(3, 2, LumaA([78u8, 9]))
        .save(at("grey-alpha.png"))
        .unwrap();
    ImageBuffer::from_pixel(3, 2, Luma([0x12ff_u16]))
        .save(at("grey-wide.png"))
        .unwrap();
    ImageBuffer::from_pixel(3, 2, LumaA([0x34ff_u16, 9]))
        .save(at("grey-alpha-wide.png"))
        .unwrap();
    RgbaImage::from_pixel(3, 2, Rgba([10, 20, 30, 5]))
        .save(at("alpha.png"))
        .unwrap();
    ImageBuffer::<Rgb<u16>, _>::from_pixel(3, 2, Rgb([0x12ff_u16, 0x3400, 0xffff]))
        .save(at("wide.png"))
        .unwrap();
    ImageBuffer::from_pixel(3, 2, Rgba([0x12ff_u16, 0x3400, 0xffff, 3]))
        .save(at("alpha-wide.png"))
        .unwrap();
    RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]))
        .save(at("plain.bmp"))
        .unwrap();
    std::fs::write(
        at("plain.ppm"),
        b"P6 3 2 255\n\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06\x04\x05\x06",
    )
    .unwrap();
    std::fs::write(
        at("text.ppm"),
        "P3 3 2 255\n".to_string() + &"7 8 9\n".repeat(6),
    )
    .unwrap();
    std::fs::write(at("text.pgm"), "P2\n# grey\n3 2\n255\n7 7 7 7 7 7").unwrap();
    std::fs::write(at("text.pbm"), "P1 3 2\n000\n000\n").unwrap();
    std::fs::write(at("bits.pbm"), b"P4 3 2\n\xff\xff").unwrap();
    for (name, pixel) in [
        ("grey.png", [77, 77, 77]),
        ("grey-alpha.png", [78, 78, 78]),
        ("grey-wide.png", [0x12, 0x12, 0x12]),
        ("grey-alpha-wide.png", [0x34, 0x34, 0x34]),
        ("alpha.png", [10, 20, 30]),
        ("wide.png", [0x12, 0x34, 0xff]),
        ("alpha-wide.png", [0x12, 0x34, 0xff]),
        ("plain.bmp", [1, 2, 3]),
        ("plain.ppm", [4, 5, 6]),
        ("text.ppm", [7, 8, 9]),
        ("text.pgm", [7, 7, 7]),
        ("text.pbm", [255, 255, 255]),
        ("bits.pbm", [0, 0, 0]),
    ] {
        let p = load(&at(name)).unwrap();
        assert_eq!((p.width(), p.height()), (3, 2), "{name}");
        assert_eq!(rgb(&p), pixel.repeat(6), "{name}");
        check(&at(name), Options::default()).unwrap();
    }
}

#[test]
fn contents_decide_and_not_the_name() {
    for (name, bytes) in JPEGS {
        let (_d, path) = written("picture.png", bytes);
        let p = load(&path).unwrap();
        assert_eq!((p.width(), p.height()), (43, 27), "{name}");
        assert_eq!(rgb(&p), unchecked(bytes), "{name}");
    }
    let (_d, path) = written("a.jpg", b"P6 1 1 255\n\x04\x05\x06");
    assert_eq!(load(&path).unwrap().pixel(0, 0), [4, 5, 6]);
}

#[test]
fn what_is_no_picture_is_named() {
    let (_d, path) = written("a.png", b"");
    assert!(matches!(load(&path), Err(PictureError::Empty { .. })));
    for bytes in [&b"GIF89a or something"[..], b"text", &[0; 99], b"\xff\xfe"] {
        let (_d, path) = written("a.png", bytes);
        let e = load(&path).unwrap_err();
        assert!(matches!(e, PictureError::Unknown { .. }), "{e}");
        assert!(e.to_string().contains("a.png"), "{e}");
    }
    let (_d, path) = written("a.ppm", b"P6 3 2 255\n\x01\x02");
    assert!(matches!(load(&path), Err(PictureError::Decode { .. })));
    let missing = path.with_file_name("b.png");
    let e = load(&missing).unwrap_err();
    assert!(matches!(e, PictureError::Io { .. }));
    // Whoever prints causes prints each once.
    assert!(std::error::Error::source(&e).is_none());
    assert_eq!(e.to_string().matches("No such file").count(), 1, "{e}");
}

#[test]
fn what_is_no_file_is_named_and_does_not_hold_anything_up() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
    for (path, what) in [
        (dir.path().to_path_buf(), "a folder"),
        (at("pipe"), "a pipe"),
        (at("link"), "a pipe"),
        (at("socket"), "a socket"),
        ("/dev/zero".into(), "a device"),
        ("/dev/null".into(), "a device"),
    ] {
        let e = load(&path).unwrap_err().to_string();
        let want = format!("{} is {what}; give a file", path.display());
        assert_eq!(e, want);
        assert_eq!(
            check(&path, Options::default()).unwrap_err().to_string(),
            want
        );
    }
}

#[test]
fn cut_off_pictures_are_refused_whatever_their_kind() {
    let drawing = image::load_from_memory(SEQUENTIAL).unwrap();
    let encoded = |format: ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        drawing.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let text = |grey: bool| {
        let (magic, samples) = match grey {
            true => ("P2", drawing.to_luma8().into_raw()),
            false => ("P3", drawing.to_rgb8().into_raw()),
        };
        let samples: String = samples.iter().map(|v| format!("{v}\n")).collect();
        format!("{magic}\n43 27\n255\n{samples}").into_bytes()
    };
    let mut files: Vec<(String, Vec<u8>)> = JPEGS
        .iter()
        .map(|(name, bytes)| (name.to_string(), bytes.to_vec()))
        .collect();
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm] {
        files.push((format!("{format:?}"), encoded(format)));
    }
    files.push(("P2".into(), text(true)));
    files.push(("P3".into(), text(false)));
    for (name, bytes) in files {
        let whole = rgb(&loaded(&bytes, Options::default()).unwrap());
        // Some lengths, and all that are nearly whole.
        let some = (1..bytes.len() - 60).step_by(bytes.len().div_ceil(200));
        let cuts: Vec<usize> = some.chain(bytes.len() - 60..bytes.len()).collect();
        let mut refused = 0;
        let count = cuts.len();
        for cut in cuts {
            match loaded(&bytes[..cut], Options::default()) {
                // Nothing that is seen is missing, but for the last digits of a last number.
                Ok(p) => {
                    let (have, want) = (rgb(&p), &whole);
                    let last = have.len() - 3;
                    let same = if name.starts_with('P') {
                        last
                    } else {
                        have.len()
                    };
                    assert_eq!(have[..same], want[..same], "{name}: {cut} bytes");
                    assert!(cut + 20 > bytes.len(), "{name}: {cut} bytes");
                }
                Err(e) => {
                    refused += 1;
                    assert!(e.to_string().contains("picture"), "{e}");
                }
            }
        }
        assert!(refused + 20 > count, "{name}: {refused} of {count}");
    }
}

#[test]
fn an_end_that_comes_too_early_is_seen() {
    for (name, bytes) in JPEGS {
        let progressive = name.starts_with("progressive");
        let whole = rgb(&loaded(bytes, Options::default()).unwrap());
        let scan = bytes.windows(2).position(|w| w == b"\xff\xda").unwrap();
        let mut taken = 0;
        for cut in scan..bytes.len() - 2 {
            // A cut between 0xff and what belongs to it would make another marker.
            if bytes[cut - 1] == 0xff {
                continue;
            }
            let ended = [&bytes[..cut], b"\xff\xd9"].concat();
            match loaded(&ended, Options::default()) {
                Ok(p) => {
                    taken += 1;
                    assert!(progressive || rgb(&p) == whole, "{name}: {cut}");
                }
                Err(PictureError::Damaged { cause, path }) => {
                    assert!(path.ends_with("picture"));
                    assert!(!cause.to_string().is_empty());
                }
                Err(e) => panic!("{name}: {cut}: {e}"),
            }
        }
        // A progressive picture may end behind any scan that all components have had, or between
        // two segments of headers.
        let most = if progressive { 30 } else { 2 };
        assert!(taken <= most, "{name}: {taken}");
    }
}

#[test]
fn lost_and_broken_data_are_seen() {
    // A segment between two restarts is lost, as from a camera's stream.
    let marks: Vec<usize> = RESTARTS
        .windows(2)
        .enumerate()
        .filter(|(_, w)| w[0] == 0xff && (0xd0..=0xd7).contains(&w[1]))
        .map(|(i, _)| i)
        .collect();
    assert!(marks.len() > 2, "{marks:?}");
    let lost = [&RESTARTS[..marks[0]], &RESTARTS[marks[1]..]].concat();
    let e = loaded(&lost, Options::default()).unwrap_err();
    assert!(
        matches!(
            e,
            PictureError::Damaged {
                cause: Damage::Missing { .. },
                ..
            }
        ),
        "{e}"
    );
    // A stretch of zeros or ones in the middle of a picture, as from a bad card.
    for (name, bytes) in JPEGS {
        let scan = bytes.windows(2).position(|w| w == b"\xff\xda").unwrap() + 14;
        let quarter = (bytes.len() - scan) / 4;
        for v in [0x00, 0xfe] {
            let mut broken = bytes.to_vec();
            broken[scan + quarter..scan + 3 * quarter].fill(v);
            let e = loaded(&broken, Options::default());
            assert!(e.is_err(), "{name} {v:#x}");
        }
    }
}

#[test]
fn bytes_behind_a_picture_and_between_segments_do_not_matter() {
    for (name, bytes) in JPEGS {
        let want = unchecked(bytes);
        let more = [bytes, &[0; 50], &b"\xff\xd8\xff\xe1 another picture"[..]].concat();
        assert_eq!(
            rgb(&loaded(&more, Options::default()).unwrap()),
            want,
            "{name}"
        );
        let filled = [&bytes[..2], b"\xff\xff\xff", &bytes[2..]].concat();
        assert_eq!(
            rgb(&loaded(&filled, Options::default()).unwrap()),
            want,
            "{name}"
        );
    }
    // A sequential picture is whole without its end.
    let p = loaded(&SEQUENTIAL[..SEQUENTIAL.len() - 2], Options::default()).unwrap();
    assert_eq!(rgb(&p), unchecked(SEQUENTIAL));
}

#[test]
fn damaged_files_never_panic_nor_take_what_they_should_not() {
    use proptest::prelude::*;
    let strategy = (
        0..JPEGS.len(),
        prop::collection::vec((any::<u32>(), any::<u8>()), 1..9),
        any::<bool>(),
    );
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(600)
    };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    runner
        .run(&strategy, |(which, changes, in_headers)| {
            let mut bytes = JPEGS[which].1.to_vec();
            let most = if in_headers {
                400.min(bytes.len())
            } else {
                bytes.len()
            };
            for (at, v) in changes {
                bytes[at as usize % most] = v;
            }
            let options = Options {
                budget_bytes: Some(64 << 20),
                ..Options::default()
            };
            if let Ok(p) = loaded(&bytes, options) {
                let bytes = u64::from(p.width()) * u64::from(p.height());
                assert!(bytes <= 64 << 20);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn pictures_are_turned_upright_unless_told_not_to() {
    let stored = image::load_from_memory(SEQUENTIAL).unwrap();
    let plain = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 9]));
    for (orientation, big) in (1..=8).zip([true, false].into_iter().cycle()) {
        let data = exif(orientation, big);
        let files = [
            (with_exif(SEQUENTIAL, &data), stored.clone()),
            (png(&plain, Some(data)), DynamicImage::from(plain.clone())),
        ];
        for (file, stored) in files {
            let mut want = stored.clone();
            let turn = Orientation::from_exif(u8::try_from(orientation).unwrap()).unwrap();
            want.apply_orientation(turn);
            let p = loaded(&file, Options::default()).unwrap();
            let want = want.into_rgb8();
            assert_eq!((p.width(), p.height()), want.dimensions(), "{orientation}");
            assert_eq!(rgb(&p), want.into_raw(), "{orientation}");
            let as_stored = Options {
                upright: false,
                ..Options::default()
            };
            let p = loaded(&file, as_stored).unwrap();
            assert_eq!(rgb(&p), stored.into_rgb8().into_raw(), "{orientation}");
        }
    }
    // What cannot be read turns nothing and stops nothing.
    let p = loaded(
        &with_exif(SEQUENTIAL, b"II*\0 nonsense"),
        Options::default(),
    )
    .unwrap();
    assert_eq!((p.width(), p.height()), (43, 27));
}

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
    let this = "picture::load::tests::a_large_picture_under_a_limit_is_an_error_and_not_the_end";
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

/// Pictures that people reported, where they are at hand.
#[test]
fn found_pictures() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/found");
    if !dir.is_dir() {
        println!("note: no reported pictures here");
        return;
    }
    let e = load(&dir.join("truncated-early.jpg")).unwrap_err();
    assert!(matches!(e, PictureError::Damaged { .. }), "{e}");
    let p = load(&dir.join("exif6.jpg")).unwrap();
    assert_eq!((p.width(), p.height()), (640, 480));
    let p = load(&dir.join("jpeg-named.png")).unwrap();
    assert_eq!((p.width(), p.height()), (640, 480));
}
