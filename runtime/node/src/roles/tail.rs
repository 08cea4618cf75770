//! The tail on a thread of its own, so that the gateway keeps answering while it computes.
//!
//! The thread owns the team, the arena and the maps; the loop hands it merged frames and hears of
//! written records. Both queues hold at most as many entries as frames may be in flight.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use super::{
    NodeError,
    args::Args,
    output::{self, Subject, Thresholds},
    records::Records,
    wait::Waker,
};
use crate::{detect::ImageFrame, shm::SlotView};
use tessera_plan::dataflow::Port;
use tessera_protocol::FrameId;
use tessera_runtime::{
    arena::ArenaMemory,
    io::{Arena, Piece, TaskIo},
    program::Program,
    team::Team,
    weights::Weights,
};

/// A merged frame.
#[derive(Debug)]
pub struct Job {
    /// Which.
    pub frame: FrameId,
    /// As its record names it.
    pub subject: Subject,
    /// The picture it was made from.
    pub image: ImageFrame,
    /// Whole tensors, one per input of the tail.
    pub inputs: Vec<SlotView>,
}

/// How a job ended.
#[derive(Debug)]
pub struct Finished {
    /// Which frame.
    pub frame: FrameId,
    /// Whether its record is written; an error is one of the record file.
    pub written: Result<bool, NodeError>,
    /// Microseconds of computing.
    pub busy_us: u64,
}

/// The running thread.
#[derive(Debug)]
pub struct Tail {
    jobs: Option<SyncSender<Job>>,
    finished: Receiver<Finished>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Work {
    program: &'static Program,
    weights: Weights,
    team: Team,
    arena: ArenaMemory,
    maps: Vec<Vec<f32>>,
    thresholds: Thresholds,
    dump: Option<PathBuf>,
    records: Arc<Mutex<Records>>,
}

impl Tail {
    /// Starts the thread and its team; `most` jobs may wait.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn start(
        program: &'static Program,
        weights: Weights,
        a: &Args,
        records: Arc<Mutex<Records>>,
        waker: Waker,
        most: usize,
    ) -> Result<Self, NodeError> {
        let work = Work {
            program,
            weights,
            team: Team::new(a.threads).map_err(NodeError::Threads)?,
            arena: ArenaMemory::new(program.tail.arena_floats),
            maps: whole(program, program.tail.outputs)
                .iter()
                .map(|p| vec![0.0; p.region.len()])
                .collect(),
            thresholds: Thresholds {
                score: a.thresh,
                nms: a.nms,
            },
            dump: a.dump.clone(),
            records,
        };
        let (jobs, todo) = sync_channel(most);
        let (tell, finished) = sync_channel(most + 1);
        let thread = std::thread::Builder::new()
            .name("tail".into())
            .spawn(move || run(work, &todo, &tell, &waker))
            .map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self {
            jobs: Some(jobs),
            finished,
            thread: Some(thread),
        })
    }

    /// Hands over a job; `false` when too many wait or the thread is gone.
    pub fn submit(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|j| j.try_send(job).is_ok())
    }

    /// A finished job; `None` when there is none yet.
    pub fn next(&self) -> Option<Finished> {
        self.finished.try_recv().ok()
    }

    fn end(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(mut work: Work, todo: &Receiver<Job>, tell: &SyncSender<Finished>, waker: &Waker) {
    while let Ok(job) = todo.recv() {
        let begun = Instant::now();
        // A driver that panics costs its frame; the next one overwrites all that it touched.
        let written = catch_unwind(AssertUnwindSafe(|| work.frame(&job))).unwrap_or(Ok(false));
        let frame = job.frame;
        // The slots go back before the machine hears that it may free them.
        drop(job);
        let finished = Finished {
            frame,
            written,
            busy_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        if tell.send(finished).is_err() {
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
    /// Computes a frame and writes its record; `false` when it does not fit the program.
    fn frame(&mut self, job: &Job) -> Result<bool, NodeError> {
        let p = self.program;
        let (ports_in, ports_out) = (whole(p, p.tail.inputs), whole(p, p.tail.outputs));
        let fits = |(view, port): (&SlotView, &Port)| view.floats().len() == port.region.len();
        if job.inputs.len() != ports_in.len() || !job.inputs.iter().zip(&ports_in).all(fits) {
            return Ok(false);
        }
        let pieces: Vec<[Piece<'_>; 1]> = job
            .inputs
            .iter()
            .zip(&ports_in)
            .map(|(view, port)| {
                [Piece {
                    region: port.region,
                    data: view.floats(),
                }]
            })
            .collect();
        let inputs: Vec<&[Piece<'_>]> = pieces.iter().map(<[_; 1]>::as_slice).collect();
        let mut outputs: Vec<&mut [f32]> = self.maps.iter_mut().map(Vec::as_mut_slice).collect();
        (p.tail.run)(&mut TaskIo {
            ports_in: &ports_in,
            ports_out: &ports_out,
            inputs: &inputs,
            outputs: &mut outputs,
            weights: self.weights.floats(),
            arena: Arena::new(self.arena.floats()),
            team: &self.team,
        });
        let maps: Vec<&[f32]> = self.maps.iter().map(Vec::as_slice).collect();
        if let Some(dir) = &self.dump {
            let made = p.tail.outputs.iter().copied().zip(maps.iter().copied());
            let read = pieces.iter().map(|[piece]| piece.data);
            output::dump(p, dir, p.tail.inputs.iter().copied().zip(read).chain(made))?;
        }
        let record = output::record(p, &job.subject, job.image, &maps, self.thresholds);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.write(&record)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
