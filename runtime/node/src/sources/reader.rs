//! Runs a source on its own thread, which reads straight into slots, one frame at a time. So the decoding of a
//! picture does not keep the node from answering.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::Instant,
};

use super::{FrameSource, SourceFrame, Tag, tag};
use crate::{error::NodeError, shm::SlotLoan, wait::Waker};
use tessera_protocol::{FrameMeta, FrameName, store::SlotId};

/// The result of reading into a slot.
#[derive(Debug)]
pub struct Reading {
    /// The slot that the reader returns.
    pub slot: SlotId,
    /// The frame; `None` at the end of the source.
    pub frame: Option<ReadFrame>,
    /// Whether the source knows that no frame is left.
    is_over: bool,
}

/// A frame that the source read or failed to read.
#[derive(Debug)]
pub struct ReadFrame {
    /// Number of the frame within the source, from 0.
    pub index: u32,
    /// Name of the frame, for messages.
    pub name: String,
    /// The meta data of the frame, without its time; or the error that skips the frame.
    pub meta: Result<FrameMeta, NodeError>,
    /// When the frame was captured, where that was before it entered.
    pub captured: Option<Instant>,
}

impl ReadFrame {
    /// Tells the frame's age in its tag, for it enters now; returns the age in microseconds.
    pub fn enters(&self, meta: &mut FrameMeta) -> u64 {
        let Some(captured) = self.captured else {
            return 0;
        };
        let waited = captured.elapsed();
        let tag = Tag {
            waited,
            ..Tag::decode(meta.tag)
        };
        meta.tag = tag.encode();
        u64::try_from(waited.as_micros()).unwrap_or(u64::MAX)
    }
}

/// What the thread is asked to do: read the next frame into a slot.
struct Errand {
    slot: SlotId,
    loan: SlotLoan,
}

/// The state of the source, as far as its user knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The source waits for a request to read a frame.
    Idle,
    /// The source reads a frame into a slot.
    Busy,
    /// The source has no more frames.
    Over,
}

/// A source that runs on its own thread.
#[derive(Debug)]
pub struct Reader {
    state: State,
    todo: SyncSender<Errand>,
    done: Receiver<Reading>,
}

impl Reader {
    /// Starts the thread, which wakes `waker` after every reading.
    ///
    /// # Errors
    /// When the system cannot start the thread.
    pub fn start(source: Box<dyn FrameSource>, waker: Waker) -> Result<Self, NodeError> {
        let (todo, errands) = sync_channel(1);
        let (tell, done) = sync_channel(1);
        let state = if source.is_over() {
            State::Over
        } else {
            State::Idle
        };
        // Not joined at the end: an input that does not come (a pipe, a share that is gone) must
        // not keep the node from leaving. The loan keeps the slot mapped and out of use.
        std::thread::Builder::new()
            .name("source".into())
            .spawn(move || read_all(source, &errands, &tell, &waker))
            .map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self { state, todo, done })
    }

    /// Whether the reader waits for the next call of [`Reader::read`].
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether the source has ended and the reader has returned all slots.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Reads the next frame into `slot` through its `loan`. Call this function only while [`Reader::is_idle`].
    pub fn read(&mut self, slot: SlotId, loan: SlotLoan) {
        let sent = self.todo.try_send(Errand { slot, loan }).is_ok();
        debug_assert!(sent, "the thread waits for one frame at a time");
        self.state = if sent { State::Busy } else { State::Over };
    }

    /// The finished reading; `None` while there is none.
    pub fn next(&mut self) -> Option<Reading> {
        match self.done.try_recv() {
            Ok(reading) => {
                self.state = if reading.is_over {
                    State::Over
                } else {
                    State::Idle
                };
                Some(reading)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.state = State::Over;
                None
            }
        }
    }
}

fn read_all(
    mut source: Box<dyn FrameSource>,
    errands: &Receiver<Errand>,
    tell: &SyncSender<Reading>,
    waker: &Waker,
) {
    let mut index = 0u32;
    while let Ok(Errand { slot, mut loan }) = errands.recv() {
        let next = catch_unwind(AssertUnwindSafe(|| source.next(loan.bytes_mut())));
        let name = source.name();
        let next = next.unwrap_or_else(|_| Some(Err(NodeError::Decoder(name.clone()))));
        // The slot goes back before the machine gets it.
        drop(loan);
        let reading = Reading {
            slot,
            is_over: next.is_none() || source.is_over(),
            frame: next.map(|frame| ReadFrame {
                index,
                captured: frame.as_ref().ok().and_then(|f| f.captured),
                meta: frame.map(|frame| meta(index, source.source(), &name, frame)),
                name,
            }),
        };
        index = index.saturating_add(1);
        if tell.send(reading).is_err() {
            return;
        }
        waker.wake();
    }
}

fn meta(index: u32, source: Option<&str>, name: &str, frame: SourceFrame) -> FrameMeta {
    let image = frame.image;
    let tag = Tag {
        index,
        letterbox: image.letterbox,
        is_named: source.is_some(),
        ..Tag::default()
    };
    let name = match source {
        Some(source) => FrameName::new(&tag::join(source, name)),
        None => FrameName::new(name),
    };
    FrameMeta {
        tag: tag.encode(),
        name,
        image_w: image.width,
        image_h: image.height,
        captured_us: 0,
    }
}
