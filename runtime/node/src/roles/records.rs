//! The file of records: one JSON line a frame, each frame once, also across restarts.
//!
//! A gateway that was killed between a record and its source's hearing of it computes that frame
//! again after its restart. It finds the record in its file then, and writes no second one.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use serde_json::Value;

use super::NodeError;

/// Bytes at the end of an existing file that are looked at: far more than the frames that can be in
/// flight when a gateway dies.
const TAIL_BYTES: u64 = 4 << 20;

/// What tells a frame from all others.
type Key = (u64, u64, u64);

/// Where records go: a file, or standard output.
#[derive(Debug)]
pub struct Records {
    file: Option<File>,
    /// Frames that an earlier life of this node wrote.
    earlier: HashSet<Key>,
}

impl Records {
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

    /// Writes one record as one line, unless an earlier life has.
    ///
    /// # Errors
    /// When the file is full or gone.
    pub fn write(&mut self, record: &Value) -> Result<(), NodeError> {
        if key(record).is_some_and(|k| self.earlier.contains(&k)) {
            return Ok(());
        }
        let line = format!("{record}\n");
        let done = match &mut self.file {
            Some(f) => f.write_all(line.as_bytes()),
            None => std::io::stdout().write_all(line.as_bytes()),
        };
        done.map_err(NodeError::io("cannot write a record"))
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
        keys.extend(serde_json::from_slice(&line).ok().as_ref().and_then(key));
        line.clear();
    }
    Ok(keys)
}

/// A cluster's frame; frames of a single process have no life and may repeat.
fn key(record: &Value) -> Option<Key> {
    let n = |k: &str| record[k].as_u64();
    Some((n("source")?, n("epoch")?, n("frame")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(frame: u32, what: &str) -> Value {
        json!({ "source": 1, "epoch": 7, "frame": frame, "what": what })
    }

    #[test]
    fn a_restart_neither_repeats_nor_tears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let mut first = Records::open(Some(&path)).unwrap();
        first.write(&record(0, "a")).unwrap();
        first.write(&record(1, "b")).unwrap();
        drop(first);
        // Killed in the middle of a line, by a power cut, say.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"source":1,"epoch":7,"fra"#).unwrap();
        let mut second = Records::open(Some(&path)).unwrap();
        for (frame, what) in [(1, "again"), (2, "c"), (0, "again")] {
            second.write(&record(frame, what)).unwrap();
        }
        let mut other_life = record(0, "d");
        other_life["epoch"] = 8.into();
        second.write(&other_life).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let what: Vec<String> = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["what"].to_string())
            .collect();
        assert_eq!(what, [r#""a""#, r#""b""#, r#""c""#, r#""d""#]);
    }

    #[test]
    fn records_of_one_process_may_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        for _ in 0..2 {
            let mut records = Records::open(Some(&path)).unwrap();
            records.write(&json!({ "source": 0, "frame": 0 })).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
