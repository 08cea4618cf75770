mod damage;
mod memory;

use super::*;
use crate::orientation::tests::exif;
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
