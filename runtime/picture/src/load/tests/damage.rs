//! Files that are cut off or damaged.

use super::*;
use crate::jpeg::Damage;

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
