//! An edge's process: the machine under a socket, worker processes below a shared segment, and a
//! source's inputs.
//!
//! This process moves objects; it touches neither weights nor arenas, so it stays small.

mod progress;
mod setup;

use std::os::fd::AsFd;

use serde_json::{Value, json};

use self::progress::Progress;
use super::{
    NodeError,
    args::Args,
    net::{Net, Sending},
    source::{Read, Source},
    stats,
    tag::Tag,
    wait::{self, Asked, Signals, Waker},
    workers::{Finished, Workers},
};
use crate::shm::SegmentStore;
use tessera_protocol::{Edge, EdgeInput, EdgeOutput, JobId, Micros, Refusal, store::Store};
use tessera_runtime::program::Program;

pub use setup::run;

/// Between two lines about a gateway that does not answer.
const STILL_WAITING_US: Micros = 10_000_000;

/// The machine and all that its outputs touch.
struct Shell {
    machine: Edge,
    store: SegmentStore,
    workers: Workers,
    source: Option<Source>,
    /// An input that was read while the machine had no room for it any more.
    ready: Option<Read>,
    /// Whether the machine knows that no input is left.
    said_no_more: bool,
    /// Whether the end of all frames was told.
    said_finished: bool,
    progress: Progress,
    /// When the machine wants to be called again.
    wake_at: Micros,
    /// When to complain next about a gateway that does not answer; none: it has answered.
    complain_at: Option<Micros>,
    refused: Option<Refusal>,
    stopped: bool,
    /// Values of a frame.
    frame_bytes: usize,
    /// Jobs that are over; empty between turns.
    over: Vec<(JobId, Finished)>,
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
        while !self.stopped {
            net.receive(|now, from, bytes, sending| {
                self.handle(now, EdgeInput::Datagram { from, bytes }, sending);
            });
            let now = net.clock.now();
            let mut sending = net.sending();
            self.collect(now, &mut sending)?;
            waker.clear();
            self.feed(now, &mut sending);
            if now >= self.wake_at {
                self.handle(now, EdgeInput::Tick, &mut sending);
            }
            net.flush();
            self.tell(now, &net, a);
            while let Some(asked) = signals.next() {
                match asked {
                    Asked::End => {
                        self.handle(now, EdgeInput::Leave, &mut net.sending());
                        net.flush();
                        self.stopped = true;
                    }
                    Asked::Stats => {
                        let mut all = self.stats(&net, program, a);
                        all["workers"] = json!(self.workers.stats());
                        write(a, &all)?;
                    }
                }
            }
            if self.stopped {
                break;
            }
            let fds = [
                net.socket().as_fd(),
                self.workers.as_fd(),
                waker.as_fd(),
                signals.as_fd(),
            ];
            let until = self
                .complain_at
                .map_or(self.wake_at, |c| c.min(self.wake_at));
            wait::wait(fds, until.saturating_sub(net.clock.now()))?;
        }
        let mut all = self.stats(&net, program, a);
        // They note their memory once more when they end.
        all["workers"] = json!(self.workers.stop());
        write(a, &all)?;
        match self.progress.skips() {
            0 => Ok(()),
            n => Err(NodeError::Skipped(n)),
        }
    }

    /// One input, then all that the machine asks for.
    fn handle(&mut self, now: Micros, input: EdgeInput<'_>, sending: &mut Sending<'_>) {
        self.machine.handle(now, input, &mut self.store);
        self.drain(now, sending);
    }

    fn drain(&mut self, now: Micros, sending: &mut Sending<'_>) {
        loop {
            match self.machine.poll(now, &mut self.store) {
                EdgeOutput::Send { to, bytes } => sending.send(to, bytes),
                EdgeOutput::Run(job) => {
                    if let Err(e) = self.workers.submit(&job, &mut self.store) {
                        eprintln!("error: a job was not taken: {e}");
                        let input = EdgeInput::Failed { job: job.id };
                        self.machine.handle(now, input, &mut self.store);
                    }
                }
                EdgeOutput::FrameEnded {
                    number,
                    meta,
                    outcome,
                } => self.progress.ended(now, number, meta, outcome),
                EdgeOutput::Refused(why) => self.refused_by_gateway(why),
                EdgeOutput::Stopped => self.stopped = true,
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
        for (job, how) in over.drain(..) {
            let input = match how {
                Finished::Done { .. } => EdgeInput::Done { job },
                Finished::Failed => EdgeInput::Failed { job },
            };
            self.handle(now, input, sending);
        }
        self.over = over;
        Ok(drained?)
    }

    /// Moves the source's inputs into the machine as fast as it wants them.
    fn feed(&mut self, now: Micros, sending: &mut Sending<'_>) {
        let Some(source) = &mut self.source else {
            return;
        };
        if self.ready.is_none() {
            self.ready = source.next();
        }
        if let Some(read) = self.ready.take() {
            match read.meta {
                Err(e) => {
                    self.store.free(read.slot);
                    self.progress.skipped();
                    skipped(read.index, &source.name(read.index), &e);
                }
                Ok(_) if !self.machine.wants_frame() => self.ready = Some(read),
                Ok(mut meta) => {
                    meta.captured_us = now;
                    self.progress.accepted();
                    let slot = read.slot;
                    self.handle(now, EdgeInput::Frame { slot, meta }, sending);
                }
            }
        }
        self.read_next();
        let exhausted = self.source.as_ref().is_some_and(Source::exhausted);
        if exhausted && self.ready.is_none() && !self.said_no_more {
            self.said_no_more = true;
            self.handle(now, EdgeInput::NoMoreFrames, sending);
        }
        if self.said_no_more && !self.said_finished && self.progress.all_ended() {
            self.said_finished = true;
            stats::event(&self.progress.event());
        }
    }

    /// Starts to read the next input when the machine has room for it.
    fn read_next(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        if !source.idle() || self.ready.is_some() || !self.machine.wants_frame() {
            return;
        }
        let Some(slot) = self.store.alloc(self.frame_bytes) else {
            return; // the next turn tries again
        };
        match self.store.lend_mut(slot) {
            Some(loan) => source.read(slot, loan),
            None => self.store.free(slot),
        }
    }

    /// Says what changed between this node and its gateway.
    fn tell(&mut self, now: Micros, net: &Net, a: &Args) {
        if self.complain_at.is_some() && self.machine.joined() {
            self.complain_at = None;
            let addr = net.socket().local().to_string();
            stats::event(&json!({ "event": "joined", "id": a.id, "addr": addr }));
        }
        if let Some(at) = self.complain_at
            && now >= at
        {
            self.complain_at = Some(now + STILL_WAITING_US);
            if let Some(gateway) = a.gateway {
                eprintln!(
                    "waiting for the gateway at {gateway}; is it running, and with this address?"
                );
            }
        }
    }

    fn refused_by_gateway(&mut self, why: Refusal) {
        if self.refused.replace(why) != Some(why) {
            eprintln!(
                "error: the gateway will not have this node: {}",
                advice(why)
            );
        }
    }

    /// All but the workers'.
    fn stats(&self, net: &Net, program: &Program, a: &Args) -> Value {
        let mut all = stats::of_process("edge", a.id, program);
        all["counters"] = json!(self.machine.stats());
        all["socket"] = net.stats();
        all["frames"] = self.progress.stats();
        all["slots"] = json!(self.store.usage());
        all
    }
}

fn write(a: &Args, all: &Value) -> Result<(), NodeError> {
    a.stats
        .as_ref()
        .map_or(Ok(()), |path| stats::write(path, all))
}

/// What to do about a refusal.
fn advice(why: Refusal) -> &'static str {
    match why {
        Refusal::Plan => "it runs another plan; build every node from the same plan.toml",
        Refusal::Model => {
            "its weights are another model's; give every node the weights.bin written with the plan"
        }
        Refusal::Superseded => {
            "a later node has registered under the same number; give every edge an --id of its own"
        }
        Refusal::BadId => "its number cannot be used; give it another --id, from 1",
    }
}

fn skipped(index: usize, file: &str, e: &NodeError) {
    eprintln!("error: skipped: {e}");
    stats::event(
        &json!({ "event": "skipped", "tag": index, "file": file, "error": e.to_string() }),
    );
}
