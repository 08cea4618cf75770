//! Records on a thread of their own: a disk or a reader that stands still must not keep a gateway from
//! answering its edges.
//!
//! A frame counts as ended when its record is written, not before. While records cannot be written, frames
//! stay in flight, so the gateway takes no more than it always does; nothing is lost, and nothing is said to be
//! done. Only records of dropped frames wait beyond that number, up to [`WAITING_MAX`].

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use super::Records;
use crate::{error::NodeError, wait::Waker};
use tessera_plan::files::records::Record;

/// Most records that may wait to be written.
pub const WAITING_MAX: usize = 4096;

/// The outcome of writing a record; `T` identifies the record.
#[derive(Debug)]
pub enum Written<T> {
    /// The sink has taken the record.
    Record(T),
    /// The record is lost, and the sink's policy is to end the node. The thread writes no further record.
    Failed(NodeError),
    /// All records are written, after [`Writer::close`].
    All,
}

/// Too many records wait, or the thread writes no more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The running thread that writes records.
#[derive(Debug)]
pub struct Writer<T> {
    todo: Option<Sender<(T, Record)>>,
    done: Receiver<Written<T>>,
    /// Identities of the records that the thread has not reported as written.
    waiting: VecDeque<T>,
    /// The time at which that queue last became shorter, or began to fill.
    moved: Instant,
}

impl<T: Copy + Send + 'static> Writer<T> {
    /// Starts the thread, which wakes `waker` after every written record.
    ///
    /// # Errors
    /// When the system cannot start the thread.
    pub fn start(records: Records, waker: Waker) -> Result<Self, NodeError> {
        // Not bounded by themselves: `waiting` is counted, and holds for both.
        let (todo, orders) = channel();
        let (tell, done) = channel();
        // Not joined at the end: a record that cannot be written must not keep the node from leaving.
        std::thread::Builder::new()
            .name("records".into())
            .spawn(move || write_all(&records, &orders, &tell, &waker))
            .map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self {
            todo: Some(todo),
            done,
            waiting: VecDeque::new(),
            moved: Instant::now(),
        })
    }

    /// Hands a record to the thread; `which` identifies the record in [`Written`].
    ///
    /// # Errors
    /// [`Full`] when too many records wait, or the thread writes no more.
    pub fn submit(&mut self, which: T, record: Record) -> Result<(), Full> {
        let todo = self
            .todo
            .as_ref()
            .filter(|_| self.waiting.len() < WAITING_MAX);
        todo.ok_or(Full)?.send((which, record)).map_err(|_| Full)?;
        if self.waiting.is_empty() {
            self.moved = Instant::now();
        }
        self.waiting.push_back(which);
        Ok(())
    }

    /// The next outcome; `None` when the thread has reported all of them.
    pub fn next(&mut self) -> Option<Written<T>> {
        let written = self.done.try_recv().ok()?;
        if let Written::Record(_) = written {
            self.waiting.pop_front();
            self.moved = Instant::now();
        }
        Some(written)
    }

    /// Identities of the waiting records, the oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = T> + '_ {
        self.waiting.iter().copied()
    }

    /// Time since the last written record while records wait; zero while none waits.
    pub fn stands_for(&self) -> Duration {
        if self.waiting.is_empty() {
            Duration::ZERO
        } else {
            self.moved.elapsed()
        }
    }

    /// Ends the queue: the sink writes the records that it holds back, and [`Writer::next`] gives [`Written::All`].
    pub fn close(&mut self) {
        self.todo = None;
    }
}

fn write_all<T>(
    records: &Records,
    orders: &Receiver<(T, Record)>,
    tell: &Sender<Written<T>>,
    waker: &Waker,
) {
    let say = |written| {
        let heard = tell.send(written).is_ok();
        waker.wake();
        heard
    };
    for (which, record) in orders {
        let written = match records.accept(&record) {
            Ok(()) => Written::Record(which),
            Err(e) => {
                say(Written::Failed(e));
                return;
            }
        };
        if !say(written) {
            return;
        }
    }
    say(records
        .flush()
        .map_or_else(Written::Failed, |()| Written::All));
}

#[cfg(test)]
mod tests {
    use std::{
        fs::OpenOptions,
        io::{BufRead, BufReader},
        os::{fd::AsFd, unix::fs::OpenOptionsExt},
        path::Path,
    };

    use nix::{fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
    use tessera_plan::files::records::{DropReason, Ending, Subject};

    use super::*;
    use crate::{sinks, wait::wait};

    fn record(frame: u32) -> Record {
        Record {
            subject: Subject {
                frame,
                ..Subject::default()
            },
            timing: None,
            width: 1,
            height: 1,
            ending: Ending::Dropped {
                dropped: DropReason::TaskFailed,
            },
        }
    }

    fn next(writer: &mut Writer<u32>, waker: &Waker) -> Written<u32> {
        loop {
            if let Some(written) = writer.next() {
                return written;
            }
            wait([waker.as_fd()], u64::MAX).unwrap();
            waker.clear();
        }
    }

    fn start(path: &Path) -> (Writer<u32>, Waker) {
        let waker = Waker::new().unwrap();
        let outputs = sinks::Outputs {
            records: Some(path.into()),
            ..sinks::Outputs::default()
        };
        let records = sinks::open(&outputs, 80, sinks::Found::Continued).unwrap();
        (Writer::start(records, waker.clone()).unwrap(), waker)
    }

    #[test]
    fn a_pipe_holds_up_the_thread_alone() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let (mut writer, waker) = start(&pipe);
        let all = u32::try_from(WAITING_MAX).unwrap();
        for frame in 0..all {
            writer.submit(frame, record(frame)).unwrap();
        }
        assert_eq!(writer.submit(all, record(all)), Err(Full));
        assert!(writer.next().is_none(), "nobody reads");
        assert_eq!(writer.waiting().count(), WAITING_MAX);
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_CLOEXEC.bits())
            .open(&pipe)
            .unwrap();
        let lines = std::thread::spawn(move || BufReader::new(reader).lines().count());
        for frame in 0..all {
            let Written::Record(written) = next(&mut writer, &waker) else {
                panic!("a record");
            };
            assert_eq!(written, frame);
        }
        writer.close();
        assert!(matches!(next(&mut writer, &waker), Written::All));
        assert_eq!(writer.submit(0, record(0)), Err(Full));
        assert_eq!(lines.join().unwrap(), WAITING_MAX);
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let (mut writer, waker) = start(Path::new("/dev/full"));
        for frame in 0..3 {
            // The thread may have ended meanwhile.
            let _ = writer.submit(frame, record(frame));
        }
        let Written::Failed(e) = next(&mut writer, &waker) else {
            panic!("an error");
        };
        let text = e.to_string();
        assert!(text.contains("/dev/full"), "{text}");
        assert!(writer.next().is_none());
    }
}
