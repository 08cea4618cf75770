use std::os::fd::AsFd;

use super::*;
use crate::{
    shm::{Layout, Segment, SegmentStore},
    wait::{self, Waker},
};
use tessera_plan::{dataflow::SlotCount, element::ElementType};
use tessera_protocol::store::Store;
use tessera_runtime::{element, program::TensorSpec};

const fn input(element: ElementType) -> TensorSpec {
    TensorSpec {
        layer: -1,
        h: 3,
        w: 5,
        c: 1,
        element,
        scales: None,
    }
}

static BYTES: TensorSpec = input(ElementType::U8);
static HALVES: TensorSpec = input(ElementType::F16);
static FLOATS: TensorSpec = input(ElementType::F32);

#[test]
fn frames_are_written_in_the_inputs_element_type() {
    let dir = tempfile::tempdir().unwrap();
    let files = [dir.path().join("a.f32")];
    // One channel: rows of pixels either way.
    let values: Vec<f32> = (0..15u8).map(|k| f32::from(17 * k) / 255.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&files[0], bytes).unwrap();
    let picture = [dir.path().join("b.png")];
    image::GrayImage::from_fn(5, 3, |x, y| image::Luma([17 * (5 * y + x) as u8]))
        .save(&picture[0])
        .unwrap();
    for input in [&BYTES, &HALVES, &FLOATS] {
        let mut want = vec![0; input.bytes()];
        element::store(input.element, &values, &mut want);
        let mut from_tensor = tessera_runtime::arena::AlignedBytes::new(input.bytes());
        let mut source = tensors::Tensors::new(&files, input);
        source.next(from_tensor.bytes_mut()).unwrap().unwrap();
        assert!(source.name().ends_with("a.f32"));
        assert_eq!(from_tensor.bytes(), want, "{:?}", input.element);
        assert!(source.is_over() && source.next(from_tensor.bytes_mut()).is_none());

        let mut source =
            pictures::Pictures::new(&picture, input, false, tessera_picture::Options::default());
        from_tensor.bytes_mut().fill(9);
        let image = source.next(from_tensor.bytes_mut()).unwrap().unwrap().image;
        assert_eq!((image.width, image.height, image.letterbox), (5, 3, false));
        assert_eq!(from_tensor.bytes(), want, "{:?}", input.element);
    }
}

#[test]
fn values_that_bytes_cannot_hold_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = [dir.path().join("a.f32")];
    for value in [-0.01f32, 1.01, f32::NAN] {
        std::fs::write(&files[0], value.to_le_bytes().repeat(15)).unwrap();
        let read = |input: &'static TensorSpec| {
            let mut into = tessera_runtime::arena::AlignedBytes::new(input.bytes());
            let mut source = tensors::Tensors::new(&files, input);
            source.next(into.bytes_mut()).unwrap().map(|_| ())
        };
        let e = read(&BYTES).unwrap_err().to_string();
        assert!(
            e.contains("a.f32") && e.contains("--frame-format f32"),
            "{e}"
        );
        read(&FLOATS).unwrap();
    }
}

/// Frames of one byte, some of which cannot be had; knows its end only when it is there, as a stream does.
struct Stream(u8);

impl FrameSource for Stream {
    fn name(&self) -> String {
        format!("frame {}", self.0.saturating_sub(1))
    }

    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>> {
        let k = self.0;
        self.0 += 1;
        match k {
            1 => Some(Err(NodeError::Decoder("noise".into()))),
            2 => panic!("a decoder's mistake"),
            4.. => None,
            _ => {
                into.fill(k);
                Some(Ok(SourceFrame::default()))
            }
        }
    }
}

#[test]
fn a_reader_skips_what_cannot_be_had_and_ends() {
    let slots = [SlotCount { bytes: 7, count: 1 }];
    let layout = Layout {
        plan_hash: [0; 32],
        jobs: 1,
        workers: 1,
        pieces: 1,
        slot_bytes: 64,
    };
    let segment = Segment::create(&layout).unwrap();
    let mut store = SegmentStore::new(&segment, &slots).unwrap();
    let waker = Waker::new().unwrap();
    let mut reader = Reader::start(Box::new(Stream(0)), waker.clone()).unwrap();
    let mut told = Vec::new();
    while !reader.is_over() {
        assert!(reader.is_idle());
        let slot = store.alloc(7).unwrap();
        let loan = store.lend_mut(slot).unwrap();
        reader.read(slot, loan);
        let reading = loop {
            match reader.next() {
                Some(reading) => break reading,
                None => wait::wait([waker.as_fd()], 60_000_000).unwrap(),
            }
            waker.clear();
        };
        let content = store.bytes(reading.slot)[6];
        store.free(reading.slot);
        told.extend(reading.frame.map(|f| {
            let what = f.meta.map(|m| (Tag::decode(m.tag).index, content));
            (f.index, f.name, what.map_err(|e| e.to_string()))
        }));
    }
    let lost = |name: &str| Err(format!("{name} cannot be decoded"));
    let expected = [
        (0, "frame 0", Ok((0, 0))),
        (1, "frame 1", lost("noise")),
        (2, "frame 2", lost("frame 2")),
        (3, "frame 3", Ok((3, 3))),
    ];
    assert_eq!(
        told,
        expected.map(|(i, name, what)| (i, name.to_string(), what))
    );
}

#[test]
fn pictures_are_turned_as_the_command_line_says() {
    // JPEG with EXIF orientation 6: a quarter turn.
    let jpeg = include_bytes!("../../../picture/src/testdata/grey.jpg");
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("turned.jpg");
    std::fs::write(&file, [&jpeg[..2], exif, &jpeg[2..]].concat()).unwrap();
    for (upright, size) in [(true, (27, 43)), (false, (43, 27))] {
        let options = tessera_picture::Options {
            upright,
            ..tessera_picture::Options::default()
        };
        let files = [file.clone()];
        let mut source = pictures::Pictures::new(&files, &FLOATS, false, options);
        let mut into = tessera_runtime::arena::AlignedBytes::new(FLOATS.bytes());
        let image = source.next(into.bytes_mut()).unwrap().unwrap().image;
        assert_eq!((image.width, image.height), size);
    }
}

#[test]
fn what_cannot_be_had_is_named_and_the_next_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("short.f32"), [0; 16]).unwrap();
    std::fs::write(at("right.f32"), [0; 60]).unwrap();
    let files = [
        at("short.f32"),
        "/dev/zero".into(),
        dir.path().into(),
        at("right.f32"),
    ];
    let mut into = tessera_runtime::arena::AlignedBytes::new(FLOATS.bytes());
    let words = ["16 bytes", "a device", "a folder"];
    let mut source = tensors::Tensors::new(&files, &FLOATS);
    for (file, word) in files.iter().zip(words) {
        let e = source
            .next(into.bytes_mut())
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(
            e.contains(&file.display().to_string()) && e.contains(word),
            "{e}"
        );
    }
    assert!(source.next(into.bytes_mut()).unwrap().is_ok());
    assert!(source.is_over());
}

#[test]
fn tensors_come_through_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut into = tessera_runtime::arena::AlignedBytes::new(FLOATS.bytes());
    // One byte too few, as many as there must be, one too many.
    for (sent, fits) in [(59, false), (60, true), (61, false)] {
        let to = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(to, vec![0; sent]).unwrap());
        let mut source = tensors::Tensors::new(std::slice::from_ref(&pipe), &FLOATS);
        let read = source.next(into.bytes_mut()).unwrap();
        assert_eq!(read.is_ok(), fits, "{sent} bytes: {read:?}");
        writer.join().unwrap();
    }
}
