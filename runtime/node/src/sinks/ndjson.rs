//! Records as lines of JSON, each frame once, also across restarts.
//!
//! A gateway that was killed between a record and its source's hearing of it computes that frame
//! again after its restart. It finds the record in its file then, and writes no second one.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, FileTypeExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{RecordSink, rotation};
use crate::{
    console::{self, Patience},
    error::NodeError,
    optional,
    statistics::json_line,
};
use tessera_plan::files::records::{Record, Subject};

/// Bytes at the end of an existing file that are looked at: far more than the frames that can be in
/// flight when a gateway dies.
const TAIL_BYTES: u64 = 4 << 20;

/// Between two attempts to write to a full disk.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);

/// What tells a frame from all others.
type Key = (u16, u64, u32);

/// Where lines go.
#[derive(Debug)]
enum Target {
    Output,
    File(File),
    /// Opened for the first record: that waits for somebody who reads.
    Pipe,
}

/// A sink that writes lines to a file, a pipe, or standard output. The sink writes every record at once; a full pipe
/// delays the record.
#[derive(Debug)]
pub struct Ndjson {
    target: Target,
    /// The path, for messages and to open a pipe.
    path: PathBuf,
    /// Frames that an earlier run of this node wrote.
    earlier: HashSet<Key>,
    /// Bytes of the file, and how many it may have.
    bytes: u64,
    bytes_max: u64,
    /// A full disk delays a record, as a full pipe does.
    waits_for_room: bool,
}

impl Ndjson {
    /// Opens `path` for appending; `None` means standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self, NodeError> {
        let Some(path) = path else {
            if console::output_was_closed() {
                let closed = std::io::Error::other("it is closed; give --records FILE");
                return Err(NodeError::io("cannot write records to standard output")(
                    closed,
                ));
            }
            return Ok(Self::new(Target::Output, Path::new("standard output")));
        };
        let error = || NodeError::io(format!("cannot write records to {}", path.display()));
        optional::check(path).map_err(error())?;
        if std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo()) {
            return Ok(Self::new(Target::Pipe, path));
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(error())?;
        let whole = file.metadata().map_err(error())?;
        let mut earlier = HashSet::new();
        if whole.is_file() && whole.len() > 0 {
            earlier = mend(path, &file, whole.len()).map_err(error())?;
        }
        // A file that has just begun follows one that holds the frames before.
        let before = rotation::older(path, 1);
        if let Ok(m) = std::fs::metadata(&before)
            && m.is_file()
        {
            let found = File::open(&before).and_then(|file| keys(file, m.len()));
            earlier.extend(found.map_err(error())?);
        }
        let bytes = file.metadata().map_err(error())?.len();
        Ok(Self {
            earlier,
            bytes,
            ..Self::new(Target::File(file), path)
        })
    }

    fn new(target: Target, path: &Path) -> Self {
        Self {
            target,
            path: path.into(),
            earlier: HashSet::new(),
            bytes: 0,
            bytes_max: u64::MAX,
            waits_for_room: false,
        }
    }

    /// The same sink, which begins a new file before one has more than `bytes_max` bytes.
    pub fn rotated(self, bytes_max: Option<u64>) -> Self {
        let bytes_max = bytes_max.unwrap_or(u64::MAX);
        Self { bytes_max, ..self }
    }

    /// The same sink, which waits while the disk is full instead of losing a record.
    pub fn waiting_for_room(self, waits_for_room: bool) -> Self {
        Self {
            waits_for_room,
            ..self
        }
    }

    /// Begins a new file if a line of `len` bytes does not fit into this one.
    fn make_room(&mut self, len: u64) -> std::io::Result<()> {
        let fits = self.bytes == 0 || self.bytes.saturating_add(len) <= self.bytes_max;
        if let (false, Target::File(file)) = (fits, &self.target)
            && file.metadata()?.is_file()
        {
            rotation::rotate(&self.path)?;
            let new = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            (self.target, self.bytes) = (Target::File(new), 0);
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        self.make_room(line.len() as u64)?;
        let before = self.bytes;
        self.bytes += line.len() as u64;
        if let Target::Pipe = self.target {
            self.target = Target::File(OpenOptions::new().write(true).open(&self.path)?);
        }
        match &mut self.target {
            Target::File(f) if self.waits_for_room => append_when_there_is_room(f, before, line),
            Target::File(f) => f.write_all(line.as_bytes()),
            _ => console::out(line, Patience::Endless),
        }
    }
}

impl RecordSink for Ndjson {
    /// Writes one line, unless an earlier run of this node has written the frame's record.
    fn accept(&mut self, record: &Record) -> Result<(), NodeError> {
        if key(&record.subject).is_some_and(|k| self.earlier.contains(&k)) {
            return Ok(());
        }
        json_line(record)
            .and_then(|line| self.write(&line))
            .map_err(NodeError::io(format!(
                "cannot write a record to {}",
                self.path.display()
            )))
    }
}

/// Appends a line to a file of `len` bytes. While its disk is full, what was written of the line is cut off again, and the call
/// waits: until there is room, or until the node ends.
fn append_when_there_is_room(file: &mut File, len: u64, line: &str) -> std::io::Result<()> {
    loop {
        let error = match file.write_all(line.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        let is_full = matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        );
        // A device that is full stays so.
        let is_file = file.metadata()?.is_file();
        if is_file {
            file.set_len(len)?;
        }
        if !is_full || !is_file {
            return Err(error);
        }
        std::thread::sleep(LOOK_FOR_ROOM_EVERY);
    }
}

/// Cuts off a last line that was not finished; gives the frames of the others, as far as they are looked at.
fn mend(path: &Path, file: &File, len: u64) -> std::io::Result<HashSet<Key>> {
    let old = File::open(path)?;
    let whole = end_of_lines(&old, len)?;
    if whole < len {
        file.set_len(whole)?;
    }
    keys(old, whole)
}

/// The frames of the last lines of a file of `whole` bytes.
fn keys(file: File, whole: u64) -> std::io::Result<HashSet<Key>> {
    let from = whole.saturating_sub(TAIL_BYTES);
    let mut lines = BufReader::new(file);
    lines.seek(SeekFrom::Start(from))?;
    let mut lines = lines.take(whole - from);
    let (mut line, mut keys) = (Vec::new(), HashSet::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        // The first one may lack its beginning: then it is no record.
        let subject = serde_json::from_slice::<Subject>(&line);
        keys.extend(subject.ok().as_ref().and_then(key));
        line.clear();
    }
    Ok(keys)
}

/// Where the last whole line of a file of `len` bytes ends.
fn end_of_lines(file: &File, len: u64) -> std::io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(buffer.len() as u64);
        let piece = &mut buffer[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(piece, start)?;
        if let Some(at) = piece.iter().rposition(|&b| b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
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
                source_name: None,
                wrong: None,
            },
            timing: None,
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
    fn a_full_file_gives_way_to_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let line = json_line(&record(Some(7), 0, "a")).unwrap().len() as u64;
        let open = || Ndjson::open(Some(&path)).unwrap().rotated(Some(3 * line));
        let mut sink = open();
        for frame in 0..9 {
            sink.accept(&record(Some(7), frame, "a")).unwrap();
        }
        let frames = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            let frame = |l| serde_json::from_str::<Record>(l).unwrap().subject.frame;
            text.lines().map(frame).collect::<Vec<u32>>()
        };
        assert_eq!(frames(&path), [6, 7, 8]);
        assert_eq!(frames(&rotation::older(&path, 1)), [3, 4, 5]);
        assert_eq!(frames(&rotation::older(&path, 2)), [0, 1, 2]);
        // A restart finds frames of the file before, too.
        sink.accept(&record(Some(7), 9, "a")).unwrap();
        let mut again = open();
        for frame in [6, 9, 10] {
            again.accept(&record(Some(7), frame, "again")).unwrap();
        }
        assert_eq!(frames(&path), [9, 10]);
        // A line that is longer than a file may be has one of its own; the oldest files go.
        let mut short = Ndjson::open(Some(&path)).unwrap().rotated(Some(1));
        for frame in 11..31 {
            short.accept(&record(Some(7), frame, "a")).unwrap();
        }
        assert_eq!(frames(&path), [30]);
        assert_eq!(frames(&rotation::older(&path, rotation::KEPT)), [21]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 10);
    }

    #[test]
    fn a_long_torn_line_is_cut_off_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let mut first = Ndjson::open(Some(&path)).unwrap();
        first.accept(&record(Some(7), 0, "a")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Longer than what is looked at for frames.
        let torn = vec![b'x'; usize::try_from(TAIL_BYTES).unwrap() + 12_345];
        std::fs::write(&path, [&whole[..], &torn].concat()).unwrap();
        let mut second = Ndjson::open(Some(&path)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        second.accept(&record(Some(7), 0, "again")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        // Nothing but a torn line.
        std::fs::write(&path, &torn).unwrap();
        Ndjson::open(Some(&path)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
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
