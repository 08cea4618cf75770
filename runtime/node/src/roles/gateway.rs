//! The gateway's process: the machine under a socket, the tail on its own thread, records.

use std::{
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;

use super::{
    NodeError,
    args::Args,
    check_cpu,
    net::{self, Net, Sending},
    output::{self, Subject},
    records::Records,
    stats,
    tag::Tag,
    tail::{self, Finished, Tail},
    wait::{self, Asked, Signals, Waker},
};
use crate::{
    detect::ImageFrame,
    shm::{Layout, Segment, SegmentStore},
};
use tessera_protocol::{
    FrameId, FrameMeta, Gateway, GatewayConfig, GatewayInput, GatewayOutput, Micros, ProgramInfo,
};
use tessera_runtime::{
    program::Program,
    weights::{Use, Weights},
};

/// How long a gateway that was told to end waits for its nodes to hear it.
const GOODBYE_US: u64 = 1_000_000;

/// Runs the role.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    check_cpu(program)?;
    let listen = a
        .listen
        .ok_or_else(|| NodeError::Usage("a gateway needs --listen ADDR:PORT".into()))?;
    // Before any thread starts: all inherit the signal mask.
    let signals = Signals::new()?;
    let net = Net::bind(listen, a.insecure_lan)?;
    let weights = Weights::open(&a.weights, program, Use::Tail)?;
    let records = Arc::new(Mutex::new(Records::open(a.records.as_deref())?));
    let info = Arc::new(ProgramInfo {
        plan_hash: program.plan_hash,
        model_digest: program.model_digest,
        graph: program.task_graph()?,
    });
    let config = GatewayConfig {
        transfer: net.socket().transfer(),
        ..GatewayConfig::new(net::incarnation())
    };
    // Nobody else maps it: the smallest job table there is.
    let slots = config.slots(&info);
    let segment = Segment::create(&Layout::new(&info, &slots, 1, 1))?;
    let store = SegmentStore::new(&segment, &slots)?;
    let waker = Waker::new()?;
    let tail = Tail::start(
        program,
        weights,
        a,
        Arc::clone(&records),
        waker.clone(),
        config.frames_max,
    )?;
    let shell = Shell {
        machine: Gateway::new(config, info),
        store,
        tail,
        records,
        wake_at: 0,
        counts: Counts::default(),
        failure: None,
    };
    stats::event(&json!({
        "event": "listening", "addr": net.socket().local().to_string(), "program": program.name,
    }));
    shell.run(net, &signals, &waker, program, a)
}

/// What the gateway published.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    detections: u64,
    drops: u64,
    tail_us: u64,
    tails_out: usize,
}

struct Shell {
    machine: Gateway,
    store: SegmentStore,
    tail: Tail,
    records: Arc<Mutex<Records>>,
    /// When the machine wants to be called again.
    wake_at: Micros,
    counts: Counts,
    /// Why the run must end.
    failure: Option<NodeError>,
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
        let mut goodbye: Option<Micros> = None;
        loop {
            net.receive(|now, from, bytes, sending| {
                let input = GatewayInput::Datagram { from, bytes };
                self.machine.handle(now, input, &mut self.store);
                self.drain(now, sending);
            });
            waker.clear();
            while let Some(finished) = self.tail.next() {
                self.tail_ended(finished, net.clock.now(), &mut net.sending());
            }
            let now = net.clock.now();
            if now >= self.wake_at {
                self.machine
                    .handle(now, GatewayInput::Tick, &mut self.store);
                self.drain(now, &mut net.sending());
            }
            let mut asked_to_end = false;
            while let Some(asked) = signals.next() {
                match asked {
                    Asked::End => asked_to_end = true,
                    Asked::Stats => self.write_stats(&net, program, a)?,
                }
            }
            let enough = a.frames.is_some_and(|n| self.counts.records() >= n);
            if goodbye.is_none() && (asked_to_end || enough || self.failure.is_some()) {
                goodbye = Some(now + GOODBYE_US);
                self.machine
                    .handle(now, GatewayInput::Stop, &mut self.store);
                self.drain(now, &mut net.sending());
            }
            net.flush();
            if let Some(until) = goodbye {
                let heard = self.machine.drained().alive == 0 || now >= until;
                if heard && self.counts.tails_out == 0 {
                    break;
                }
            }
            let fds = [net.socket().as_fd(), waker.as_fd(), signals.as_fd()];
            let until = goodbye.map_or(self.wake_at, |g| g.min(self.wake_at).max(now + 1_000));
            wait::wait(fds, until.saturating_sub(net.clock.now()))?;
        }
        self.write_stats(&net, program, a)?;
        self.failure.map_or(Ok(()), Err)
    }

    /// Does what the machine asks for until it waits.
    fn drain(&mut self, now: Micros, sending: &mut Sending<'_>) {
        loop {
            match self.machine.poll(now, &mut self.store) {
                GatewayOutput::Send { to, bytes } => sending.send(to, bytes),
                GatewayOutput::RunTail {
                    frame,
                    meta,
                    inputs,
                } => {
                    let views = inputs.iter().map(|s| self.store.lend(*s)).collect();
                    let job = |inputs| tail::Job {
                        frame,
                        subject: subject(frame, meta),
                        image: image(meta),
                        inputs,
                    };
                    let views: Option<Vec<_>> = views;
                    if views.is_some_and(|v| self.tail.submit(job(v))) {
                        self.counts.tails_out += 1;
                    } else {
                        let input = GatewayInput::TailFailed { frame };
                        self.machine.handle(now, input, &mut self.store);
                    }
                }
                GatewayOutput::Drop {
                    frame,
                    meta,
                    reason,
                } => {
                    self.counts.drops += 1;
                    let record = output::drop_record(&subject(frame, meta), image(meta), reason);
                    let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(e) = records.write(&record) {
                        self.failure.get_or_insert(e);
                    }
                }
                GatewayOutput::WaitUntil(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    fn tail_ended(&mut self, finished: Finished, now: Micros, sending: &mut Sending<'_>) {
        let frame = finished.frame;
        self.counts.tails_out -= 1;
        self.counts.tail_us += finished.busy_us;
        let input = match finished.written {
            Ok(true) => {
                self.counts.detections += 1;
                GatewayInput::TailDone { frame }
            }
            Ok(false) => GatewayInput::TailFailed { frame },
            Err(e) => {
                self.failure.get_or_insert(e);
                GatewayInput::TailFailed { frame }
            }
        };
        self.machine.handle(now, input, &mut self.store);
        self.drain(now, sending);
    }

    fn write_stats(&self, net: &Net, program: &Program, a: &Args) -> Result<(), NodeError> {
        let Some(path) = &a.stats else {
            return Ok(());
        };
        let mut all = stats::of_process("gateway", 0, program);
        all["counters"] = json!(self.machine.stats());
        all["socket"] = net.stats();
        all["frames"] = json!({
            "detections": self.counts.detections, "dropped": self.counts.drops, "tail_us": self.counts.tail_us,
        });
        all["slots"] = json!(self.store.usage());
        stats::write(path, &all)
    }
}

impl Counts {
    fn records(&self) -> u64 {
        self.detections + self.drops
    }
}

fn subject(frame: FrameId, meta: FrameMeta) -> Subject {
    Subject {
        source: frame.source.0,
        epoch: Some(frame.incarnation.0),
        frame: frame.number,
        tag: Tag::decode(meta.tag).index,
        file: None,
    }
}

fn image(meta: FrameMeta) -> ImageFrame {
    ImageFrame {
        width: meta.image_w,
        height: meta.image_h,
        letterbox: Tag::decode(meta.tag).letterbox,
    }
}
