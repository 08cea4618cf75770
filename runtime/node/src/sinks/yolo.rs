//! Detections as YOLO text: a file for every picture with detections, a line for each.
//!
//! ```text
//! 16 0.481 0.634 0.69 0.713 0.91
//! ```
//! Class, centre x, centre y, width, height relative to the picture, and the score if asked for.

use std::{
    fmt::Write as _,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{RecordSink, picture_name};
use crate::error::NodeError;
use tessera_plan::files::records::{Detection, Ending, Record};

/// Significant digits of a number, as `%g` prints them.
const DIGITS: i32 = 6;

/// A sink that writes a text file per picture into a folder, in the place of one of the same name.
#[derive(Debug)]
pub struct Yolo {
    folder: PathBuf,
    scores: bool,
}

impl Yolo {
    /// Makes the folder if need be; `scores` end each line.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, scores: bool) -> Result<Self, NodeError> {
        let error = NodeError::io(format!("cannot make the folder {}", folder.display()));
        fs::create_dir_all(folder).map_err(error)?;
        Ok(Self {
            folder: folder.into(),
            scores,
        })
    }

    fn line(&self, d: &Detection) -> String {
        let mut line = d.class.to_string();
        let score = self.scores.then_some(d.score);
        for number in d.bbox.into_iter().chain(score) {
            let _ = write!(line, " {}", shortest(f64::from(number)));
        }
        line + "\n"
    }
}

impl RecordSink for Yolo {
    /// Writes the picture's file. A picture without detections has none.
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        let Ending::Computed(found) = &record.ending else {
            return Ok(());
        };
        let stem = picture_name::stem(&record.subject);
        let path = self.folder.join(stem + ".txt");
        let text: String = found.detections.iter().map(|d| self.line(d)).collect();
        let written = if text.is_empty() {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            }
        } else {
            fs::write(&path, text)
        };
        written.map_err(NodeError::io(format!("cannot write {}", path.display())))
    }
}

/// A number by six significant digits without trailing zeros.
fn shortest(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an exponent of a double has three digits"
    )]
    let before = value.abs().log10().floor() as i32 + 1;
    let places = usize::try_from(DIGITS - before).unwrap_or(0).min(20);
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::records::{Found, Subject};

    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.5, "0.5"),
            (0.0, "0"),
            (1.0, "1"),
            (0.123_456_789, "0.123457"),
            (0.000_123_456_78, "0.000123457"),
            (-0.25, "-0.25"),
            (1.234_567_89, "1.23457"),
        ] {
            assert_eq!(shortest(value), text);
        }
    }

    #[test]
    fn a_file_per_picture_with_detections() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("labels");
        let found = |n| Found {
            detections: vec![
                Detection {
                    class: 16,
                    label: Some("dog".into()),
                    score: 0.9,
                    objectness: 1.0,
                    bbox: [0.5, 0.25, 0.125, 1.0],
                    box_px: [0; 4],
                };
                n
            ],
            top: None,
        };
        let record = |n| Record {
            subject: Subject {
                file: Some("in/dog.jpg".into()),
                ..Subject::default()
            },
            timing: None,
            width: 2,
            height: 2,
            ending: Ending::Computed(found(n)),
        };
        let file = folder.join("dog.txt");
        Yolo::open(&folder, false)
            .unwrap()
            .accept(&record(2))
            .unwrap();
        let line = "16 0.5 0.25 0.125 1";
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!("{line}\n{line}\n")
        );
        let mut scored = Yolo::open(&folder, true).unwrap();
        scored.accept(&record(1)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{line} 0.9\n"));
        // Nothing is found on the next try: what was found then is no longer there.
        scored.accept(&record(0)).unwrap();
        assert!(!file.exists());
        scored.accept(&record(0)).unwrap();
    }
}
