//! The gateway's process: the machine under a socket, the tail on its own thread, records.

use super::program_info;
use std::{os::fd::AsFd, sync::Arc};

use super::{
    net::{self, Net, Sending},
    record,
    tail::{MergedFrame, Tail, TailEnd},
};
use crate::{
    args::Args,
    detect::ImageFrame,
    error::NodeError,
    shm::{Layout, Segment, SegmentStore},
    sinks::{self, Records},
    sources::Tag,
    statistics::{self, tell},
    wait::{self, Asked, Signals, Waker},
};
use tessera_plan::files::{
    events::Event,
    records::Subject,
    statistics::{GatewayFrames, GatewayStatistics, Role},
};
use tessera_protocol::{
    FrameId, FrameMeta, Gateway, GatewayConfig, GatewayInput, GatewayOutput, Micros, Traffic,
};
use tessera_runtime::{
    program::Program,
    weights::{Use, Weights},
};

/// How long a gateway that was told to end waits for its nodes to hear it.
const GOODBYE_US: u64 = 1_000_000;

/// Runs the role.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    let listen = a
        .listen
        .ok_or_else(|| NodeError::Usage("a gateway needs --listen ADDR:PORT".into()))?;
    // Before any thread starts: all inherit the signal mask.
    let signals = Signals::new()?;
    let net = Net::bind(listen, a.insecure_lan)?;
    let weights = Weights::open(&a.weights, program, Use::Tail)?;
    let records = sinks::open(a.records.as_deref())?;
    let info = Arc::new(program_info(program)?);
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
        records.clone(),
        waker.clone(),
        config.frames_max,
    )?;
    let shell = Shell {
        machine: Gateway::new(config, info),
        store,
        tail,
        records,
        wake_at: 0,
        frames: GatewayFrames::default(),
        tails_out: 0,
        failure: None,
    };
    tell(&Event::Listening {
        addr: net.socket().local().to_string(),
        program: program.name.into(),
    });
    shell.run(net, &signals, &waker, program, a)
}

struct Shell {
    machine: Gateway,
    store: SegmentStore,
    tail: Tail,
    records: Records,
    /// When the machine wants to be called again.
    wake_at: Micros,
    /// What was published.
    frames: GatewayFrames,
    /// Frames that the tail works at or will.
    tails_out: usize,
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
            while let Some(end) = self.tail.next() {
                self.tail_ended(end, net.clock.now(), &mut net.sending());
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
                    Asked::Statistics => self.write_statistics(&net, program, a)?,
                }
            }
            let records = self.frames.detections + self.frames.dropped;
            let enough = a.frames.is_some_and(|n| records >= n);
            if goodbye.is_none() && (asked_to_end || enough || self.failure.is_some()) {
                goodbye = Some(now + GOODBYE_US);
                self.machine
                    .handle(now, GatewayInput::Stop, &mut self.store);
                self.drain(now, &mut net.sending());
            }
            net.flush();
            if let Some(until) = goodbye {
                let heard = self.machine.drained().alive == 0 || now >= until;
                if heard && self.tails_out == 0 {
                    break;
                }
            }
            let fds = [net.socket().as_fd(), waker.as_fd(), signals.as_fd()];
            let until = goodbye.map_or(self.wake_at, |g| g.min(self.wake_at).max(now + 1_000));
            wait::wait(fds, until.saturating_sub(net.clock.now()))?;
        }
        self.write_statistics(&net, program, a)?;
        let flushed = self.records.flush();
        self.failure.map_or(flushed, Err)
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
                    let merged = |inputs| MergedFrame {
                        frame,
                        subject: subject(frame, meta),
                        image: image(meta),
                        inputs,
                    };
                    let views: Option<Vec<_>> = views;
                    if views.is_some_and(|v| self.tail.submit(merged(v))) {
                        self.tails_out += 1;
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
                    self.frames.dropped += 1;
                    let record = record::dropped(subject(frame, meta), image(meta), reason);
                    if let Err(e) = self.records.accept(&record) {
                        self.failure.get_or_insert(e);
                    }
                }
                GatewayOutput::Notice(_) => {}
                GatewayOutput::WaitUntil(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    fn tail_ended(&mut self, end: TailEnd, now: Micros, sending: &mut Sending<'_>) {
        let frame = end.frame;
        self.tails_out -= 1;
        self.frames.tail_us += end.busy_us;
        let input = match end.written {
            Ok(true) => {
                self.frames.detections += 1;
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

    /// What this node says of itself, now.
    fn statistics(&self, net: &Net, program: &Program) -> GatewayStatistics<Traffic> {
        GatewayStatistics {
            process: statistics::process(Role::Gateway, 0, program),
            counters: self.machine.stats().clone(),
            frames: self.frames,
            slots: self.store.usage(),
            socket: net.statistics(),
        }
    }

    fn write_statistics(&self, net: &Net, program: &Program, a: &Args) -> Result<(), NodeError> {
        a.stats.as_ref().map_or(Ok(()), |path| {
            statistics::write(path, &self.statistics(net, program))
        })
    }
}

fn subject(frame: FrameId, meta: FrameMeta) -> Subject {
    Subject {
        source: frame.source.0,
        epoch: Some(frame.incarnation.0),
        frame: frame.number.0,
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
