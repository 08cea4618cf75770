//! Runs the tail on its own thread, so that the gateway keeps answering while the tail computes.
//!
//! The thread owns the team, the arena and the maps; the loop hands it merged frames and gets their
//! records. Both queues hold at most as many entries as frames may be in flight.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Instant,
};

use super::{
    dump::dump,
    record::{self, Captured, Reporting},
};
use crate::{args::Args, detect::ImageFrame, error::NodeError, shm::SlotView, wait::Waker};
use tessera_plan::{
    dataflow::Port,
    element::ElementType,
    files::records::{Record, Subject},
};
use tessera_protocol::FrameId;
use tessera_runtime::{
    arena::{AlignedBytes, ArenaMemory},
    io::{Arena, InputPiece, PieceBytes, TaskIo},
    program::Program,
    team::Team,
    weights::Weights,
};

/// A frame whose tiles have been merged into whole tensors.
#[derive(Debug)]
pub struct MergedFrame {
    /// The frame's id for the machine.
    pub frame: FrameId,
    /// The frame's identity in its record.
    pub subject: Subject,
    /// The frame's capture time.
    pub captured: Captured,
    /// The picture that the frame was made from.
    pub image: ImageFrame,
    /// Score above which the record names boxes; `None` for the usual one.
    pub score: Option<f32>,
    /// Whole input tensors of the tail, in the order of its inputs.
    pub inputs: Vec<SlotView>,
}

/// The end of a frame's tail.
#[derive(Debug)]
pub struct TailEnd {
    /// The id of the frame.
    pub frame: FrameId,
    /// The frame's record; `None` when the frame does not fit the program. An error ends the node.
    pub record: Result<Option<Record>, NodeError>,
    /// Microseconds that the tail computed.
    pub busy_us: u64,
}

/// The running thread of the tail and its queues.
#[derive(Debug)]
pub struct Tail {
    frames: SyncSender<MergedFrame>,
    ends: Receiver<TailEnd>,
}

/// Everything that the thread computes with.
struct Work {
    program: &'static Program,
    weights: Weights,
    team: Team,
    arena: ArenaMemory,
    /// The tail's outputs, each a whole map.
    maps: Vec<AlignedBytes>,
    elements_out: Vec<ElementType>,
    reporting: Reporting,
    dump: Option<PathBuf>,
}

impl Tail {
    /// Starts the thread and its team; at most `waiting_max` frames may wait.
    ///
    /// # Errors
    /// When the system cannot start the threads.
    pub fn start(
        program: &'static Program,
        weights: Weights,
        a: &Args,
        waker: Waker,
        waiting_max: usize,
    ) -> Result<Self, NodeError> {
        let tensor = |t: &u16| &program.tensors[*t as usize];
        let outputs = || program.tail.outputs.iter().map(tensor);
        let work = Work {
            program,
            weights,
            team: Team::new(a.threads).map_err(NodeError::Threads)?,
            arena: ArenaMemory::new(program.tail.arena_floats),
            maps: outputs().map(|t| AlignedBytes::new(t.bytes())).collect(),
            elements_out: outputs().map(|t| t.element).collect(),
            reporting: Reporting::new(program, a)?,
            dump: a.dump.clone(),
        };
        let (frames, todo) = sync_channel(waiting_max);
        let (tell, ends) = sync_channel(waiting_max + 1);
        // Not joined at the end: a frame that takes long must not keep the node from leaving.
        std::thread::Builder::new()
            .name("tail".into())
            .spawn(move || run(work, &todo, &tell, &waker))
            .map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self { frames, ends })
    }

    /// Hands a frame to the thread; `false` when too many frames wait or the thread has ended.
    pub fn submit(&self, frame: MergedFrame) -> bool {
        self.frames.try_send(frame).is_ok()
    }

    /// The next frame whose tail has ended; `None` when there is none yet.
    pub fn next(&self) -> Option<TailEnd> {
        self.ends.try_recv().ok()
    }
}

fn run(mut work: Work, todo: &Receiver<MergedFrame>, tell: &SyncSender<TailEnd>, waker: &Waker) {
    while let Ok(merged) = todo.recv() {
        let begun = Instant::now();
        // A driver that panics costs its frame; the next one overwrites all that it touched.
        let record = catch_unwind(AssertUnwindSafe(|| work.frame(&merged))).unwrap_or(Ok(None));
        let frame = merged.frame;
        // The slots go back before the machine hears that it may free them.
        drop(merged);
        let end = TailEnd {
            frame,
            record,
            busy_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        if tell.send(end).is_err() {
            return;
        }
        waker.wake();
    }
}

fn whole(p: &Program, tensors: &[u16]) -> Vec<Port> {
    let port = |&tensor: &u16| Port {
        tensor,
        region: p.tensors[tensor as usize].region(),
    };
    tensors.iter().map(port).collect()
}

impl Work {
    /// Computes a frame's record; `None` when it does not fit the program.
    fn frame(&mut self, merged: &MergedFrame) -> Result<Option<Record>, NodeError> {
        let p = self.program;
        let (ports_in, ports_out) = (whole(p, p.tail.inputs), whole(p, p.tail.outputs));
        let tensor = |port: &Port| &p.tensors[port.tensor as usize];
        let fits = |(view, port): (&SlotView, &Port)| view.bytes().len() == tensor(port).bytes();
        let views = merged.inputs.iter().zip(&ports_in);
        if merged.inputs.len() != ports_in.len() || !views.clone().all(fits) {
            return Ok(None);
        }
        let pieces: Vec<[InputPiece<'_>; 1]> = views
            .map(|(view, port)| {
                [InputPiece {
                    region: port.region,
                    element: tensor(port).element,
                    bytes: PieceBytes::Here(view.bytes()),
                }]
            })
            .collect();
        let inputs: Vec<&[InputPiece<'_>]> = pieces.iter().map(<[_; 1]>::as_slice).collect();
        loop {
            let maps = self.maps.iter_mut();
            let mut outputs: Vec<&mut [u8]> = maps.map(AlignedBytes::bytes_mut).collect();
            (p.tail.run)(&mut TaskIo {
                ports_in: &ports_in,
                ports_out: &ports_out,
                inputs: &inputs,
                outputs: &mut outputs,
                elements_out: &self.elements_out,
                made: None,
                weights: self.weights.floats(),
                arena: Arena::new(self.arena.floats()),
                team: &self.team,
            });
            // Written to meanwhile, and still the right weights: once more.
            if !self.weights.recheck(p)? {
                break;
            }
        }
        let maps: Vec<&[u8]> = self.maps.iter().map(AlignedBytes::bytes).collect();
        if let Some(dir) = &self.dump {
            let made = p.tail.outputs.iter().copied().zip(maps.iter().copied());
            let read = merged.inputs.iter().map(SlotView::bytes);
            let all = p.tail.inputs.iter().copied().zip(read).chain(made);
            if let Err(e) = dump(p, dir, all) {
                tracing::warn!("a frame is not dumped: {e}");
            }
        }
        let subject = merged.subject.clone();
        let (captured, image) = (merged.captured, merged.image);
        let how = Reporting {
            score: merged.score.unwrap_or(self.reporting.score),
            ..self.reporting.clone()
        };
        let record = record::computed(p, subject, captured, image, &maps, &how);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests;
