//! A source's inputs, read on a helper thread straight into slots, one at a time: decoding a
//! picture must not keep the node from answering.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{NodeError, args::Args, input::Frames, tag::Tag, wait::Waker};
use crate::shm::SlotLoan;
use tessera_protocol::{FrameMeta, store::SlotId};
use tessera_runtime::program::Program;

/// An input that was read, or could not be.
#[derive(Debug)]
pub struct Read {
    /// The slot, back.
    pub slot: SlotId,
    /// Index into the list of inputs.
    pub index: usize,
    /// What travels with the frame, without its time; or why there is none.
    pub meta: Result<FrameMeta, NodeError>,
}

/// What the thread is asked to do: read input `index` into a slot.
struct Errand {
    index: usize,
    slot: SlotId,
    loan: SlotLoan,
}

/// The inputs of an edge.
#[derive(Debug)]
pub struct Source {
    frames: Frames,
    /// The next input to be read.
    next: usize,
    /// Whether one is being read.
    busy: bool,
    todo: SyncSender<Errand>,
    done: Receiver<Read>,
}

impl Source {
    /// Starts the thread; `None` for an edge without inputs.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        program: &'static Program,
        a: &Args,
        waker: Waker,
    ) -> Result<Option<Self>, NodeError> {
        let frames = Frames::new(program, a);
        if frames.len() == 0 {
            return Ok(None);
        }
        let (todo, errands) = sync_channel(1);
        let (tell, done) = sync_channel(1);
        let reader = frames.clone();
        // Not joined at the end: an input that does not come (a pipe, a share that is gone) must
        // not keep the node from leaving. The loan keeps the slot mapped and out of use.
        std::thread::Builder::new()
            .name("source".into())
            .spawn(move || read_all(&reader, program, &errands, &tell, &waker))
            .map_err(NodeError::io("cannot start a thread"))?;
        Ok(Some(Self {
            frames,
            next: 0,
            busy: false,
            todo,
            done,
        }))
    }

    /// Whether there is an input to be read and nothing is being read.
    pub fn idle(&self) -> bool {
        !self.busy && self.next < self.frames.len()
    }

    /// Whether all inputs have been given back.
    pub fn exhausted(&self) -> bool {
        !self.busy && self.next == self.frames.len()
    }

    /// Reads the next input into `slot`, which `loan` is of; only while [`Source::idle`].
    pub fn read(&mut self, slot: SlotId, loan: SlotLoan) {
        let errand = Errand {
            index: self.next,
            slot,
            loan,
        };
        self.next += 1;
        let sent = self.todo.try_send(errand).is_ok();
        debug_assert!(sent, "the thread waits for one input at a time");
        self.busy = sent;
    }

    /// The input that has been read meanwhile.
    pub fn next(&mut self) -> Option<Read> {
        let read = self.done.try_recv().ok()?;
        self.busy = false;
        Some(read)
    }

    /// File name of input `index`.
    pub fn name(&self, index: usize) -> String {
        self.frames.name(index)
    }
}

fn read_all(
    frames: &Frames,
    program: &'static Program,
    errands: &Receiver<Errand>,
    tell: &SyncSender<Read>,
    waker: &Waker,
) {
    while let Ok(errand) = errands.recv() {
        let Errand {
            index,
            slot,
            mut loan,
        } = errand;
        let meta = catch_unwind(AssertUnwindSafe(|| {
            frames.read(index, program, loan.values_mut())
        }));
        // The slot goes back before the machine gets it.
        drop(loan);
        let meta = meta.unwrap_or_else(|_| Err(NodeError::Decoder(frames.name(index))));
        let read = Read {
            slot,
            index,
            meta: meta.map(|image| FrameMeta {
                tag: Tag {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    letterbox: image.letterbox,
                }
                .encode(),
                image_w: image.width,
                image_h: image.height,
                captured_us: 0,
            }),
        };
        if tell.send(read).is_err() {
            return;
        }
        waker.wake();
    }
}
