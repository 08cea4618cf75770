//! A node's trace (`--trace FILE`): what it computed, fetched and handed over, and when, as events that Perfetto draws.
//!
//! Everything is seen where the loop hands it on: datagrams as they leave and arrive, jobs as they end. The state machines know
//! nothing of it. Without the flag there is one look at an option for each of these; with it, the loop makes an event and hands
//! it to a thread that writes, and loses it when that thread lags behind.

mod file;
mod time;
mod transfers;
mod workers;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tessera_protocol::{
    FrameId, Job, JobId, Micros, NodeId, ProgramInfo, To,
    wire::{Envelope, Message, parse},
};
use tessera_trace::{Event, Phase, clock, tracks};

use self::{file::File, time::time, transfers::Transfers, workers::WorkerTracks};
use crate::{args::Args, error::NodeError, workers::JobEnd};

/// A node's trace, if it makes one now.
#[derive(Debug)]
pub struct Trace {
    now: Option<Box<Tracer>>,
    /// Where one goes that is asked for later.
    when_asked: Option<PathBuf>,
    node: u16,
    workers: usize,
    info: Arc<ProgramInfo>,
    /// Frames that have entered.
    frames: u32,
}

#[derive(Debug)]
struct Tracer {
    node: NodeId,
    pid: u32,
    info: Arc<ProgramInfo>,
    file: File,
    workers: WorkerTracks,
    /// Frames that entered before the trace began.
    frames_before: u32,
    pulls: Transfers,
    serves: Transfers,
}

impl Trace {
    /// The trace of a node, 0 being the gateway, as its flags ask for it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(
        a: &Args,
        node: u16,
        workers: usize,
        info: &Arc<ProgramInfo>,
    ) -> Result<Self, NodeError> {
        let mut trace = Self {
            now: None,
            when_asked: a.trace_when_asked.clone(),
            node,
            workers,
            info: Arc::clone(info),
            frames: 0,
        };
        trace.now = a.trace.as_deref().map(|p| trace.begin(p)).transpose()?;
        Ok(trace)
    }

    /// Ends the trace that is made, or begins one in the file for it; does nothing without such a file.
    pub fn turn(&mut self) {
        if let Some(tracer) = self.now.take() {
            // The end of the file may wait for the disk, and the loop must not.
            let thread = std::thread::Builder::new().name("trace end".into());
            let _ = thread.spawn(move || drop(tracer));
            return;
        }
        let Some(path) = self.when_asked.clone() else {
            tracing::warn!("SIGPROF asks for a trace, and there is no --trace-when-asked FILE");
            return;
        };
        match self.begin(&path) {
            Ok(tracer) => self.now = Some(tracer),
            Err(e) => tracing::warn!("{e}"),
        }
    }

    fn begin(&self, path: &Path) -> Result<Box<Tracer>, NodeError> {
        let (node, info) = (self.node, &self.info);
        let pid = tracks::process(node);
        let mut file = File::create(path)?;
        let name = match node {
            0 => "gateway".to_owned(),
            n => format!("edge {n}"),
        };
        file.put(Event::naming(pid, 0, "process_name", &name));
        let mut thread = |tid, name: &str| file.put(Event::naming(pid, tid, "thread_name", name));
        thread(tracks::CLOCK, "clock");
        if node == 0 {
            thread(tracks::TAIL, "tail");
        } else {
            thread(tracks::LEASES, "leases given");
            thread(tracks::FRAMES, "frames");
            for worker in 0..self.workers {
                let at = u32::try_from(worker).unwrap_or(u32::MAX);
                thread(tracks::WORKERS + at, &format!("worker {worker}"));
            }
        }
        Ok(Box::new(Tracer {
            node: NodeId(node),
            pid,
            info: Arc::clone(info),
            file,
            workers: WorkerTracks::default(),
            frames_before: self.frames,
            pulls: Transfers::new(tracks::PULLS, "fetches"),
            serves: Transfers::new(tracks::SERVES, "hands over"),
        }))
    }

    /// A datagram leaves.
    #[inline]
    pub fn sent(&mut self, now: Micros, to: To, bytes: &[u8]) {
        if let Some(t) = &mut self.now {
            t.sent(now, to.node, bytes);
        }
    }

    /// A datagram has arrived.
    #[inline]
    pub fn received(&mut self, now: Micros, bytes: &[u8]) {
        if let Some(t) = &mut self.now {
            t.received(now, bytes);
        }
    }

    /// A job goes to the workers.
    #[inline]
    pub fn runs(&mut self, now: Micros, job: &Job) {
        if let Some(t) = &mut self.now {
            t.workers.queued(now, job);
        }
    }

    /// Jobs have ended, as far as this turn of the loop has seen.
    #[inline]
    pub fn ended(&mut self, now: Micros, over: &[(JobId, JobEnd)]) {
        if let Some(t) = &mut self.now
            && !over.is_empty()
        {
            let (node, pid, file) = (t.node, t.pid, &mut t.file);
            t.workers.ended(now, over, |done| {
                let event = Event::new(
                    Phase::Slice,
                    pid,
                    tracks::WORKERS + done.worker,
                    format!("task {}", done.task.0),
                )
                .cat("compute")
                .between(done.begin, done.end)
                .with("frame", done.frame.number.0)
                .with("source", done.frame.source.0)
                .with("waited_us", done.waited_us);
                let owner = done.frame.source;
                file.put(if owner == node {
                    event
                } else {
                    let flow = tracks::lease(owner.0, done.frame.number.0, done.task.0, node.0);
                    event.flowing_in(flow)
                });
            });
        }
    }

    /// A frame of this node's has entered the cluster.
    #[inline]
    pub fn frame_began(&mut self, now: Micros) {
        self.frame(Phase::Begin, now, self.frames);
        self.frames = self.frames.wrapping_add(1);
    }

    /// A frame of this node's has its record.
    #[inline]
    pub fn frame_ended(&mut self, now: Micros, number: u32) {
        self.frame(Phase::End, now, number);
    }

    fn frame(&mut self, ph: Phase, now: Micros, number: u32) {
        // What entered before has no beginning here.
        if let Some(t) = &mut self.now
            && number >= t.frames_before
        {
            let event = Event::new(ph, t.pid, tracks::FRAMES, format!("frame {number}"));
            t.file.put(Event {
                id: Some(number.into()),
                ..event.cat("frame").at(time(now))
            });
        }
    }

    /// The gateway's own layers of a frame are computed.
    #[inline]
    pub fn tail_ended(&mut self, now: Micros, frame: FrameId, busy_us: u64) {
        if let Some(t) = &mut self.now {
            let (begin, end) = t.workers.slot(0, now, busy_us);
            let event = Event::new(Phase::Slice, t.pid, tracks::TAIL, "tail")
                .cat("compute")
                .between(begin, end)
                .with("frame", frame.number.0)
                .with("source", frame.source.0);
            t.file.put(event);
        }
    }
}

impl Tracer {
    fn note(&mut self, now: Micros, name: &str, edge: NodeId, seq: u32) {
        let event = Event::new(Phase::Instant, self.pid, tracks::CLOCK, name);
        self.file
            .put(event.at(time(now)).with("edge", edge.0).with("seq", seq));
    }

    fn sent(&mut self, now: Micros, to: NodeId, bytes: &[u8]) {
        let Ok((_, message)) = parse(bytes, &self.info) else {
            return;
        };
        match message {
            Message::Heartbeat(m) => self.note(now, clock::SENT, self.node, m.seq),
            Message::State(m) if m.seq != 0 => self.note(now, clock::TOLD, to, m.seq),
            Message::Lease(m) => {
                let flow = tracks::lease(self.node.0, m.number.0, m.task.0, to.0);
                let event = Event::new(
                    Phase::Slice,
                    self.pid,
                    tracks::LEASES,
                    format!("task {} to {}", m.task.0, to.0),
                )
                .cat("lease")
                .between(time(now), time(now + 1))
                .with("frame", m.number.0);
                self.file.put(event.flowing_out(flow));
            }
            Message::Pull(m) => {
                let flow = tracks::pull(self.node.0, m.pull.0, to.0);
                self.pulls.begin(now, (to, m.pull), &m, flow, true);
            }
            Message::Data(m) => {
                let done = self
                    .serves
                    .bytes(now, (to, m.pull), m.offset, m.bytes.len());
                self.put(done);
            }
            _ => {}
        }
    }

    fn received(&mut self, now: Micros, bytes: &[u8]) {
        let Ok((Envelope { from, .. }, message)) = parse(bytes, &self.info) else {
            return;
        };
        match message {
            Message::Heartbeat(m) => self.note(now, clock::HEARD, from, m.seq),
            Message::State(m) if m.seq != 0 => self.note(now, clock::ANSWERED, self.node, m.seq),
            Message::Pull(m) => {
                let flow = tracks::pull(from.0, m.pull.0, self.node.0);
                self.serves.begin(now, (from, m.pull), &m, flow, false);
            }
            Message::Data(m) => {
                let done = self
                    .pulls
                    .bytes(now, (from, m.pull), m.offset, m.bytes.len());
                self.put(done);
            }
            _ => {}
        }
    }

    fn put(&mut self, done: Option<transfers::Transferred>) {
        let Some(done) = done else { return };
        if done.is_new_lane {
            let name = format!("{} {}", done.what, done.lane + 1);
            let named = Event::naming(self.pid, done.tid, "thread_name", &name);
            self.file.put(named);
        }
        let event = Event::new(Phase::Slice, self.pid, done.tid, done.name)
            .cat("transfer")
            .between(time(done.begin), time(done.end))
            .with("frame", done.frame.number.0)
            .with("source", done.frame.source.0)
            .with("node", done.with.0)
            .with("bytes", done.bytes);
        self.file.put(if done.flows_out {
            event.flowing_out(done.flow)
        } else {
            event.flowing_in(done.flow)
        });
    }
}
