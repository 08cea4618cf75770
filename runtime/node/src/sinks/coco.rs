//! Detections as COCO results: the JSON array that `pycocotools` reads with `loadRes`.
//!
//! ```text
//! [
//! {"image_id":139,"category_id":18,"bbox":[10.5,20.25,100.0,50.0],"score":0.91234},
//! {"image_id":139,"category_id":1,"bbox":[0.0,3.0,12.5,40.0],"score":0.55}
//! ]
//! ```
//! The array is whole after every record, also when the node is killed then.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{RecordSink, picture_name};
use crate::error::NodeError;
use tessera_plan::files::records::{Detection, Ending, Record};

/// Bytes at the end of an existing file in which its last object ends: more than the objects of a frame may have.
const TAIL_BYTES: u64 = 4 << 20;
/// What ends the array.
const END: &[u8] = b"\n]\n";

/// COCO's category of each of its 80 classes, in the order of Darknet's `coco.names`: ids 1 to 90 without those that COCO
/// dropped.
const CATEGORIES: usize = 80;
const DROPPED: [u32; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// One object.
#[derive(Serialize)]
struct Object<'a> {
    image_id: ImageId<'a>,
    category_id: u32,
    /// Left, top, width, height in pixels of the picture.
    bbox: [f64; 4],
    score: f64,
}

/// COCO's pictures are numbers; others keep their names.
#[derive(Serialize)]
#[serde(untagged)]
enum ImageId<'a> {
    Number(u64),
    Name(&'a str),
}

/// What to do with an array that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Go on with it: a node may have been restarted.
    Continued,
    /// Write a new one in its place.
    Replaced,
}

/// A sink that writes COCO results into a file.
#[derive(Debug)]
pub struct Coco {
    file: File,
    path: PathBuf,
    /// Where the last object ends, or the opening bracket.
    end: u64,
    /// The array has objects.
    any: bool,
    /// Number of classes of the network.
    classes: usize,
}

impl Coco {
    /// Opens `path` for a network of `classes` classes; `found` holds for an array that is there.
    ///
    /// # Errors
    /// When the file cannot be opened, or holds something else.
    pub fn open(path: &Path, classes: usize, found: Found) -> Result<Self, NodeError> {
        let error = || NodeError::io(format!("cannot write COCO results to {}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A pipe without a reader does not hold this up.
        options.custom_flags(nix::libc::O_NONBLOCK);
        let file = options.open(path).map_err(error())?;
        let whole = file.metadata().map_err(error())?;
        if !whole.is_file() {
            let no_file = "this is no regular file; the array's end is rewritten with every frame";
            return Err(error()(std::io::Error::other(no_file)));
        }
        let (mut end, mut any) = end_of(&file, whole.len()).map_err(error())?;
        if found == Found::Replaced {
            (end, any) = (1, false);
        }
        let sink = Self {
            file,
            path: path.into(),
            end,
            any,
            classes,
        };
        let start = if whole.len() == 0 {
            &b"["[..]
        } else {
            &b""[..]
        };
        let begun = sink.file.write_all_at(start, 0);
        begun.and_then(|()| sink.close_array()).map_err(error())?;
        Ok(sink)
    }

    /// Writes the end of the array, and nothing follows it.
    fn close_array(&self) -> std::io::Result<()> {
        self.file.write_all_at(END, self.end)?;
        self.file.set_len(self.end + END.len() as u64)
    }

    fn write(&mut self, record: &Record, found: &[Detection]) -> std::io::Result<()> {
        let stem = picture_name::stem(&record.subject);
        let mut text = Vec::new();
        for d in found {
            let image_id = match stem.parse() {
                Ok(number) if stem.bytes().all(|b| b.is_ascii_digit()) => ImageId::Number(number),
                _ => ImageId::Name(&stem),
            };
            text.extend_from_slice(if self.any || !text.is_empty() {
                b",\n"
            } else {
                b"\n"
            });
            let object = Object {
                image_id,
                category_id: category(d.class, self.classes),
                bbox: pixels(d.bbox, [record.width, record.height]),
                score: rounded(f64::from(d.score), 5),
            };
            serde_json::to_writer(&mut text, &object)?;
        }
        if text.is_empty() {
            return Ok(());
        }
        let objects = text.len() as u64;
        text.extend_from_slice(END);
        self.file.write_all_at(&text, self.end)?;
        self.end += objects;
        self.any = true;
        Ok(())
    }
}

impl RecordSink for Coco {
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        let Ending::Computed(found) = &record.ending else {
            return Ok(());
        };
        let written = self.write(record, &found.detections);
        written.map_err(NodeError::io(format!(
            "cannot write COCO results to {}",
            self.path.display()
        )))
    }
}

/// COCO's category of a class: of a network with its 80 classes, COCO's own; of others, counted from 1.
fn category(class: u32, classes: usize) -> u32 {
    let mut id = class.saturating_add(1);
    if classes == CATEGORIES {
        for dropped in DROPPED {
            id += u32::from(dropped <= id);
        }
    }
    id
}

/// Left, top, width and height in pixels, within the picture, of a box that is relative to it.
fn pixels([x, y, w, h]: [f32; 4], size: [u32; 2]) -> [f64; 4] {
    let [(left, width), (top, height)] =
        [(x, w, size[0]), (y, h, size[1])].map(|(mid, len, size)| {
            let edge = |sign: f64| {
                let at = f64::from(mid) + sign * f64::from(len) / 2.0;
                (at * f64::from(size)).clamp(0.0, f64::from(size))
            };
            let (lo, hi) = (edge(-1.0), edge(1.0));
            (rounded(lo, 3), rounded(hi - lo, 3))
        });
    [left, top, width, height]
}

fn rounded(value: f64, places: i32) -> f64 {
    let unit = 10f64.powi(places);
    (value * unit).round() / unit
}

/// Where the last object of an array ends, and whether there is one. What a killed node left unfinished behind it does not
/// count.
fn end_of(file: &File, len: u64) -> std::io::Result<(u64, bool)> {
    if len == 0 {
        return Ok((1, false));
    }
    let from = len.saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; usize::try_from(len - from).unwrap_or(0)];
    file.read_exact_at(&mut tail, from)?;
    let mut first = [0];
    file.read_exact_at(&mut first, 0)?;
    let object_ends = |k: &usize| {
        tail[*k] == b'}'
            && matches!(
                tail.get(k + 1..),
                Some([] | [b'\n', ..] | [b','] | [b',', b'\n', ..])
            )
    };
    let last = (0..tail.len()).rev().find(object_ends);
    match last {
        _ if first != *b"[" => {}
        Some(k) => return Ok((from + k as u64 + 1, true)),
        // An array without objects, or the beginning of the first one.
        None if from == 0 && matches!(tail.get(1), None | Some(b'\n')) => return Ok((1, false)),
        None => {}
    }
    Err(std::io::Error::other(
        "the file holds something else; give another one, or move it away",
    ))
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::records::{self, DropReason, Subject};

    use super::*;

    fn record(file: &str, classes: &[u32]) -> Record {
        let detections = classes.iter().map(|class| Detection {
            class: *class,
            label: None,
            score: 0.912_345_6,
            objectness: 1.0,
            bbox: [0.5, 0.25, 0.5, 0.75],
            box_px: [0; 4],
        });
        Record {
            subject: Subject {
                file: Some(file.into()),
                ..Subject::default()
            },
            timing: None,
            width: 640,
            height: 480,
            ending: Ending::Computed(records::Found {
                detections: detections.collect(),
                top: None,
            }),
        }
    }

    fn read(path: &Path) -> Vec<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The 80 ids that COCO's annotations use.
    #[test]
    fn categories_are_those_of_coco() {
        let ids: Vec<u32> = (0..80).map(|c| category(c, 80)).collect();
        let used = [
            1..=11,
            13..=25,
            27..=28,
            31..=44,
            46..=65,
            67..=67,
            70..=70,
            72..=82,
            84..=90,
        ];
        let used: Vec<u32> = used.into_iter().flatten().collect();
        assert_eq!(ids, used);
        assert_eq!(category(19, 20), 20);
    }

    #[test]
    fn the_array_is_whole_after_every_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        let mut sink = Coco::open(&path, 80, Found::Continued).unwrap();
        assert!(read(&path).is_empty());
        sink.accept(&record("val/000000000139.jpg", &[16, 0]))
            .unwrap();
        let all = read(&path);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0]["image_id"], 139);
        assert_eq!(all[0]["category_id"], 18);
        // Clipped at the top.
        assert_eq!(
            all[0]["bbox"],
            serde_json::json!([160.0, 0.0, 320.0, 300.0])
        );
        assert_eq!(all[0]["score"], 0.91235);
        sink.accept(&record("val/none.jpg", &[])).unwrap();
        let mut dropped = record("lost.jpg", &[]);
        dropped.ending = Ending::Dropped {
            dropped: DropReason::TailFailed,
        };
        sink.accept(&dropped).unwrap();
        sink.accept(&record("street 1.jpg", &[3])).unwrap();
        assert_eq!(read(&path)[2]["image_id"], "street 1");
        assert_eq!(read(&path).len(), 3);
    }

    #[test]
    fn a_restart_goes_on_with_the_array() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        drop(Coco::open(&path, 80, Found::Continued).unwrap());
        Coco::open(&path, 80, Found::Continued)
            .unwrap()
            .accept(&record("1.jpg", &[0]))
            .unwrap();
        Coco::open(&path, 80, Found::Continued)
            .unwrap()
            .accept(&record("2.jpg", &[0]))
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Killed at any byte of the last frame.
        let first = whole.windows(3).position(|w| w == b"},\n").unwrap() + 1;
        for len in first..=whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            drop(Coco::open(&path, 80, Found::Continued).unwrap());
            assert!((1..=2).contains(&read(&path).len()), "{len}");
        }
        for len in 0..2 {
            std::fs::write(&path, &whole[..len]).unwrap();
            drop(Coco::open(&path, 80, Found::Continued).unwrap());
            assert!(read(&path).is_empty());
        }
    }

    #[test]
    fn a_new_array_takes_the_place_of_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        for _ in 0..2 {
            let mut sink = Coco::open(&path, 80, Found::Replaced).unwrap();
            sink.accept(&record("1.jpg", &[0, 1])).unwrap();
            assert_eq!(read(&path).len(), 2);
        }
    }

    #[test]
    fn other_files_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        for text in ["{\"images\":[]}\n", "notes", "[1, 2]"] {
            std::fs::write(&path, text).unwrap();
            let e = Coco::open(&path, 80, Found::Continued)
                .unwrap_err()
                .to_string();
            assert!(e.contains("something else"), "{e}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let e = Coco::open(Path::new("/dev/null"), 80, Found::Continued)
            .unwrap_err()
            .to_string();
        assert!(e.contains("no regular file"), "{e}");
    }
}
