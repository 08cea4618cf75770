//! Records as lines of JSON, each frame once, also across restarts.
//!
//! A gateway that was killed between a record and its source's hearing of it computes that frame
//! again after its restart. It finds the record in its file then, and writes no second one.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::RecordSink;
use crate::{error::NodeError, statistics::json_line};
use tessera_plan::files::records::{Record, Subject};

/// Bytes at the end of an existing file that are looked at: far more than the frames that can be in
/// flight when a gateway dies.
const TAIL_BYTES: u64 = 4 << 20;

/// What tells a frame from all others.
type Key = (u16, u64, u32);

/// A file, or standard output. Every record is written at once.
#[derive(Debug)]
pub struct Ndjson {
    file: Option<File>,
    /// Frames that an earlier life of this node wrote.
    earlier: HashSet<Key>,
}

impl Ndjson {
    /// Opens `path` for appending; none: standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self, NodeError> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                earlier: HashSet::new(),
            });
        };
        let error = || NodeError::io(format!("cannot write {}", path.display()));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(error())?;
        let whole = file.metadata().map_err(error())?;
        let earlier = if whole.is_file() && whole.len() > 0 {
            mend(path, &file, whole.len()).map_err(error())?
        } else {
            HashSet::new()
        };
        Ok(Self {
            file: Some(file),
            earlier,
        })
    }
}

impl RecordSink for Ndjson {
    /// Writes one line, unless an earlier life of this node has.
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        if key(&record.subject).is_some_and(|k| self.earlier.contains(&k)) {
            return Ok(());
        }
        json_line(record)
            .and_then(|line| match &mut self.file {
                Some(f) => f.write_all(line.as_bytes()),
                None => std::io::stdout().write_all(line.as_bytes()),
            })
            .map_err(NodeError::io("cannot write a record"))
    }
}

/// Cuts off a last line that was not finished; gives the frames of the others.
fn mend(path: &Path, file: &File, len: u64) -> std::io::Result<HashSet<Key>> {
    let mut old = File::open(path)?;
    let from = len.saturating_sub(TAIL_BYTES);
    old.seek(SeekFrom::Start(from))?;
    let mut lines = BufReader::new(old.take(TAIL_BYTES));
    let mut line = Vec::new();
    let (mut end, mut keys) = (from, HashSet::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        if line.last() != Some(&b'\n') {
            file.set_len(end)?;
            break;
        }
        end += line.len() as u64;
        let subject = serde_json::from_slice::<Subject>(&line);
        keys.extend(subject.ok().as_ref().and_then(key));
        line.clear();
    }
    Ok(keys)
}

/// A cluster's frame; frames of a single process have no life and may repeat.
fn key(subject: &Subject) -> Option<Key> {
    Some((subject.source, subject.epoch?, subject.frame))
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::records::{Ending, Found};

    use super::*;

    fn record(epoch: Option<u64>, frame: u32, what: &str) -> Record {
        Record {
            subject: Subject {
                source: 1,
                epoch,
                frame,
                tag: 0,
                file: Some(what.into()),
            },
            width: 2,
            height: 3,
            ending: Ending::Computed(Found::default()),
        }
    }

    #[test]
    fn a_restart_neither_repeats_nor_tears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let mut first = Ndjson::open(Some(&path)).unwrap();
        first.accept(&record(Some(7), 0, "a")).unwrap();
        first.accept(&record(Some(7), 1, "b")).unwrap();
        drop(first);
        // Killed in the middle of a line, by a power cut, say.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"source":1,"epoch":7,"fra"#).unwrap();
        let mut second = Ndjson::open(Some(&path)).unwrap();
        for (frame, what) in [(1, "again"), (2, "c"), (0, "again")] {
            second.accept(&record(Some(7), frame, what)).unwrap();
        }
        second.accept(&record(Some(8), 0, "d")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let what: Vec<String> = text
            .lines()
            .map(|l| {
                serde_json::from_str::<Record>(l)
                    .unwrap()
                    .subject
                    .file
                    .unwrap()
            })
            .collect();
        assert_eq!(what, ["a", "b", "c", "d"]);
    }

    #[test]
    fn records_of_one_process_may_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        for _ in 0..2 {
            let mut records = Ndjson::open(Some(&path)).unwrap();
            records.accept(&record(None, 0, "a")).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
