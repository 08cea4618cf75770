//! An edge's process: the machine under a socket, worker processes below a shared segment, and a
//! source's inputs.
//!
//! This process moves objects; it touches neither weights nor arenas, so it stays small.

mod gateway_address;
mod gateway_watch;
mod progress;
mod setup;

use std::os::fd::AsFd;

use self::{
    gateway_address::GatewayAddress,
    gateway_watch::{GatewayWatch, News},
    progress::Progress,
};
use super::{
    net::{self, Heard, Net, Sending},
    notices,
};
use crate::{
    args::Args,
    condition::BoardWatch,
    error::NodeError,
    memory::BoardMemory,
    notify::Notify,
    shm::SegmentStore,
    sources::{ReadFrame, Reader, Reading, Tag},
    statistics::{self, tell},
    trace::Trace,
    udp,
    wait::{self, Asked, Signals, Waker},
    workers::{JobEnd, Workers},
};
use tessera_plan::files::{
    events::Event,
    statistics::{EdgeStatistics, Role, SourceFrames, StreamCounts, Worker},
};
use tessera_protocol::{
    Edge, EdgeInput, EdgeOutput, JobId, Micros, NodeId, Refusal, Traffic, wire::MessageKind,
};
use tessera_runtime::program::Program;

pub use setup::run;

/// Microseconds between two looks at workers that are not ready yet.
const READY_LOOK_US: u64 = 20_000;

/// What an edge says of itself, as its machine counts it.
type Statistics = EdgeStatistics<Traffic, NodeId>;

/// The machine and all that its outputs touch.
struct Shell {
    machine: Edge,
    store: SegmentStore,
    workers: Workers,
    source: Option<Reader>,
    /// What the streams among the sources have brought.
    streams: Option<Box<dyn Fn() -> Vec<StreamCounts>>>,
    /// A frame that was read while the machine had no room for it any more.
    ready: Option<Reading>,
    /// Whether the machine knows that no input is left.
    said_no_more: bool,
    /// Whether the end of all frames was told.
    said_finished: bool,
    progress: Progress,
    memory: BoardMemory,
    /// How the board is, for the gateway.
    board: BoardWatch,
    address: GatewayAddress,
    /// When the machine wants to be called again.
    wake_at: Micros,
    gateway: GatewayWatch,
    refused: Option<Refusal>,
    stopped: bool,
    /// Jobs that are over; empty between turns.
    over: Vec<(JobId, JobEnd)>,
    /// No frames are taken any more.
    drains: bool,
    /// The service manager.
    notify: Notify,
    /// What happens, and when.
    trace: Trace,
}

impl Shell {
    fn run(
        mut self,
        mut net: Net,
        signals: &Signals,
        waker: &Waker,
        program: &Program,
        a: &Args,
    ) -> Result<(), NodeError> {
        self.await_workers(&mut net, signals, program, a)?;
        self.notify.ready();
        while !self.stopped {
            net.receive(|now, from, bytes, sending| {
                self.address.heard(now, from);
                self.trace.received(now, bytes);
                let before = self.useless();
                self.handle(now, EdgeInput::Datagram { from, bytes }, sending);
                Heard::of(before, self.useless())
            });
            let now = net.clock.now();
            self.follow_gateway(now, &net, waker);
            let mut sending = net.sending();
            if let Err(e) = self.collect(now, &mut sending) {
                return Err(self.without_workers(e, program));
            }
            waker.clear();
            self.feed(now, &mut sending);
            if let Some(condition) = self.board.next() {
                self.handle(now, EdgeInput::Condition(condition), &mut sending);
            }
            if now >= self.wake_at {
                self.handle(now, EdgeInput::Tick, &mut sending);
            }
            net.flush();
            // What only statistics tell costs nothing where nobody asks for them.
            if a.stats.is_some() {
                (self.memory).look(now, || processes(&self.workers.statistics()));
            }
            self.look_for_gateway(now, &net, a);
            self.obey(&mut net, signals, program, a);
            self.notify.turn(now, || {
                status(&self.gateway, self.refused, self.drains, &self.progress)
            });
            if self.stopped {
                break;
            }
            let fds = [
                net.socket().as_fd(),
                self.workers.as_fd(),
                waker.as_fd(),
                signals.as_fd(),
            ];
            let until = self.gateway.look_at().min(self.wake_at);
            let until = until.min(self.address.look_at()).min(net.wake_at());
            let until = until.min(self.notify.wake_at());
            wait::wait(fds, until.saturating_sub(net.clock.now()))?;
        }
        self.notify.stopping();
        let mut last = self.statistics(&net, program, a);
        // They note their memory once more when they end.
        last.workers = self.workers.stop();
        let written = write(a, &last);
        match self.progress.skips() {
            0 => written,
            n => {
                if let Err(e) = written {
                    tracing::warn!("{e}");
                }
                Err(NodeError::Skipped(n))
            }
        }
    }

    /// Waits until all workers have read and checked their weights, which takes seconds where these are many: a board that
    /// joined before would get tasks that wait for that. A worker that ends meanwhile is not waited for, if another is ready.
    fn await_workers(
        &mut self,
        net: &mut Net,
        signals: &Signals,
        program: &Program,
        a: &Args,
    ) -> Result<(), NodeError> {
        while !self.stopped && !self.workers.are_ready() {
            if let Err(e) = self.workers.drain(|_, _| {}) {
                return Err(self.without_workers(e.into(), program));
            }
            self.obey(net, signals, program, a);
            wait::wait([self.workers.as_fd(), signals.as_fd()], READY_LOOK_US)?;
        }
        self.gateway = GatewayWatch::new(self.address.at(), net.clock.now());
        Ok(())
    }

    /// Does what signals ask for.
    fn obey(&mut self, net: &mut Net, signals: &Signals, program: &Program, a: &Args) {
        while let Some(asked) = signals.next() {
            match asked {
                Asked::End(signal) => {
                    tracing::info!("ends ({signal})");
                    let now = net.clock.now();
                    self.handle(now, EdgeInput::Leave, &mut net.sending());
                    net.flush();
                    self.stopped = true;
                }
                Asked::EndCluster => self.drain_frames(),
                Asked::Trace => self.trace.turn(),
                Asked::Statistics => {
                    if let Err(e) = write(a, &self.statistics(net, program, a)) {
                        tracing::warn!("{e}");
                    }
                }
            }
        }
    }

    /// Takes no more frames. Those that were taken go on; this node goes on computing for others.
    fn drain_frames(&mut self) {
        if !self.drains {
            self.drains = true;
            tracing::info!(
                "takes no more frames (SIGUSR2); {} are under way",
                self.progress.under_way()
            );
        }
    }

    /// Datagrams that were of no use so far.
    fn useless(&self) -> u64 {
        let stats = self.machine.stats();
        net::useless(&stats.traffic, &stats.transfer)
    }

    /// One input, then all that the machine asks for.
    fn handle(&mut self, now: Micros, input: EdgeInput<'_>, sending: &mut Sending<'_>) {
        self.machine.handle(now, input, &mut self.store);
        self.drain(now, sending);
    }

    fn drain(&mut self, now: Micros, sending: &mut Sending<'_>) {
        loop {
            match self.machine.poll(now, &mut self.store) {
                EdgeOutput::Send { to, bytes } => {
                    self.trace.sent(now, to, bytes);
                    sending.send(to, bytes);
                }
                EdgeOutput::Run(job) => {
                    self.trace.runs(now, &job);
                    if let Err(e) = self.workers.submit(&job, &mut self.store) {
                        tracing::error!("a job was not taken: {e}");
                        let input = EdgeInput::Failed { job: job.id };
                        self.machine.handle(now, input, &mut self.store);
                    }
                }
                EdgeOutput::Arrived { job, slot, rows } => {
                    self.workers.arrived(job, slot, rows, &mut self.store);
                }
                EdgeOutput::Abandon { job } => self.workers.abandon(job, &mut self.store),
                EdgeOutput::FrameEnded {
                    number,
                    meta,
                    outcome,
                } => {
                    self.trace.frame_ended(now, number.0);
                    self.progress.ended(now, number.0, meta, outcome);
                }
                EdgeOutput::Refused(why) => self.refused_by_gateway(why),
                EdgeOutput::Notice(notice) => notices::say(notice),
                EdgeOutput::Stopped => {
                    tracing::info!("ends (the gateway ends the cluster)");
                    self.stopped = true;
                }
                EdgeOutput::WaitUntil(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    /// Finished and lost jobs.
    fn collect(&mut self, now: Micros, sending: &mut Sending<'_>) -> Result<(), NodeError> {
        let mut over = std::mem::take(&mut self.over);
        let drained = self.workers.drain(|job, how| over.push((job, how)));
        self.trace.ended(now, &over);
        for (job, how) in over.drain(..) {
            let input = match how {
                JobEnd::Done { .. } => EdgeInput::Done { job },
                JobEnd::Failed => EdgeInput::Failed { job },
            };
            self.handle(now, input, sending);
        }
        self.over = over;
        Ok(drained?)
    }

    /// Moves the source's frames into the machine as fast as it wants them.
    fn feed(&mut self, now: Micros, sending: &mut Sending<'_>) {
        let Some(source) = self.source.as_mut().filter(|_| !self.drains) else {
            return;
        };
        if self.ready.is_none() {
            self.ready = source.next();
        }
        if let Some(reading) = self.ready.take() {
            self.take(now, reading, sending);
        }
        self.read_next();
        let is_over = self.source.as_ref().is_some_and(Reader::is_over);
        if is_over && self.ready.is_none() && !self.said_no_more {
            self.said_no_more = true;
            self.handle(now, EdgeInput::NoMoreFrames, sending);
        }
        if self.said_no_more && !self.said_finished && self.progress.all_ended() {
            self.said_finished = true;
            tell(&self.progress.event());
        }
    }

    /// Gives what was read to the machine, or keeps it until there is room.
    fn take(&mut self, now: Micros, reading: Reading, sending: &mut Sending<'_>) {
        let slot = reading.slot;
        match &reading.frame {
            None => self.machine.return_frame_slot(slot, &mut self.store),
            Some(ReadFrame {
                index,
                name,
                meta: Err(e),
                ..
            }) => {
                self.machine.return_frame_slot(slot, &mut self.store);
                self.progress.skipped();
                skipped(*index, name, e);
            }
            Some(_) if !self.machine.wants_frame() => self.ready = Some(reading),
            Some(frame @ ReadFrame { meta: Ok(meta), .. }) => {
                let mut meta = *meta;
                meta.captured_us = now.saturating_sub(frame.enters(&mut meta));
                self.progress.accepted();
                self.trace.frame_began(now);
                self.handle(now, EdgeInput::Frame { slot, meta }, sending);
            }
        }
    }

    /// Starts to read the next frame when the machine has room for it.
    fn read_next(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        if !source.is_idle() || self.ready.is_some() || !self.machine.wants_frame() {
            return;
        }
        let Some(slot) = self.machine.frame_slot(&mut self.store) else {
            return; // the next turn tries again
        };
        match self.store.lend_mut(slot) {
            Some(loan) => source.read(slot, loan),
            None => self.machine.return_frame_slot(slot, &mut self.store),
        }
    }

    /// Sends to where the gateway is now, if its name leads elsewhere than before.
    fn follow_gateway(&mut self, now: Micros, net: &Net, waker: &Waker) {
        let local = net.socket().local();
        let allowed = |to| udp::edge_address(Some(local), to, net.is_sealed()).is_ok();
        if let Some(to) = self.address.moved(now, waker, allowed) {
            tracing::warn!("the gateway is silent; its name leads to {to} now");
            self.machine.gateway_moved(to);
            self.gateway.moved(to);
        }
    }

    /// Says what changed between this node and its gateway.
    fn look_for_gateway(&mut self, now: Micros, net: &Net, a: &Args) {
        let answers = self
            .machine
            .stats()
            .traffic
            .received
            .get(MessageKind::State);
        let joined = self.machine.joined();
        match self.gateway.look(now, joined, answers.datagrams) {
            Some(News::Joined) => {
                self.refused = None;
                tell(&Event::Joined {
                    id: a.id,
                    addr: net.socket().local().to_string(),
                });
            }
            Some(News::Back) => self.refused = None,
            Some(News::Gone | News::Absent) | None => {}
        }
    }

    /// Why no worker can be had: the weights, when it is they.
    fn without_workers(&self, e: NodeError, program: &Program) -> NodeError {
        match self.workers.check_weights(program) {
            Err(why) => why.into(),
            Ok(()) => e,
        }
    }

    fn refused_by_gateway(&mut self, why: Refusal) {
        self.refused = Some(why);
    }

    /// What this node says of itself, now.
    fn statistics(&mut self, net: &Net, program: &Program, a: &Args) -> Statistics {
        let workers = self.workers.statistics();
        self.memory.look_now(&processes(&workers));
        Statistics {
            process: statistics::process(Role::Edge, a.id, program),
            counters: self.machine.stats().clone(),
            frames: SourceFrames {
                streams: self.streams.as_ref().map(|now| now()).unwrap_or_default(),
                ..self.progress.statistics()
            },
            slots: self.store.usage(),
            socket: net.statistics(),
            sessions: net.session_statistics(),
            workers,
            tasks: self.workers.work(),
            board_peak_bytes: self.memory.peak_bytes,
        }
    }
}

/// What this node does, for whoever looks after it. Tools read these words: docs/deploy.md.
fn status(
    gateway: &GatewayWatch,
    refused: Option<Refusal>,
    drains: bool,
    progress: &Progress,
) -> String {
    match (drains, progress.under_way(), refused) {
        (true, 0, _) => "drained: every frame that was taken has its record".into(),
        (true, n, _) => format!("draining: {n} frames under way"),
        (false, _, Some(why)) => format!("refused: {}", notices::advice(why)),
        (false, _, None) => gateway.state(),
    }
}

/// Ids of the workers' processes.
fn processes(workers: &[Worker]) -> Vec<u32> {
    workers.iter().filter_map(|w| w.pid).collect()
}

fn write(a: &Args, all: &Statistics) -> Result<(), NodeError> {
    a.stats
        .as_ref()
        .map_or(Ok(()), |path| statistics::write(path, all))
}

fn skipped(tag: u32, file: &str, e: &NodeError) {
    tracing::error!("skipped: {e}");
    tell(&Event::Skipped {
        tag,
        file: file.into(),
        error: e.to_string(),
    });
}
