//! The gateway's process: the machine under a socket, the tail on its own thread, records.

use super::program_info;
use std::{os::fd::AsFd, sync::Arc, time::Duration};

use super::{
    described::{captured, image, subject},
    gateway_state::Look,
    net::{self, Heard, Net, Sending},
    notices,
    observed::{ObservedGateway, is_of_observer},
    own_edge::OwnEdge,
    pictures::Pictures,
    record::{self, Captured},
    served::{self, Served},
    tail::{MergedFrame, Tail, TailEnd},
    turned_away::AllTurnedAway,
};
use crate::{
    alerts,
    args::Args,
    detect::ImageFrame,
    error::NodeError,
    labels,
    mqtt::{self, Broker},
    notify::Notify,
    shm::{Layout, Segment, SegmentStore, SlotView},
    sinks::{self, Found, Outputs, Writer, Written},
    statistics::{self, tell},
    trace::Trace,
    trust::Trust,
    wait::{self, Asked, Signals, Waker},
};
use tessera_plan::files::{
    events::Event,
    records::{Record, Subject},
    statistics::{GatewayFrames, GatewayStatistics, Role},
};
use tessera_protocol::{
    FrameId, Gateway, GatewayConfig, GatewayInput, GatewayOutput, Micros, NodeId, Traffic,
    store::Store,
};
use tessera_runtime::{
    program::Program,
    weights::{Use, Weights},
};

/// How long a gateway that is to end waits for what is under way: frames in the tail, records, nodes that are to
/// hear of it.
const GOODBYE_US: u64 = 1_000_000;

/// Time without a written record, though some wait, after which that is said.
const RECORDS_STAND: Duration = Duration::from_secs(5);

/// Runs the gateway role until the node ends.
pub fn run(program: &'static Program, a: &Args, trust: Option<Trust>) -> Result<(), NodeError> {
    let listen = a
        .listen
        .ok_or_else(|| NodeError::Usage("a gateway needs --listen ADDR:PORT".into()))?;
    if a.mqtt.remove {
        return mqtt::remove(program, a, trust.as_ref());
    }
    let weights = Weights::open(&a.weights, program, Use::Tail)?;
    // Before any thread starts: a thread that takes a signal by itself would end the process.
    let signals = Signals::new()?;
    let broker = Broker::open(program, a, trust.as_ref())?;
    let service = served::config(a, trust.as_ref())?;
    let alerts = alerts::open(program, a, trust.as_ref(), broker.as_ref())?;
    let edges = trust.as_ref().map_or_else(Vec::new, Trust::edges);
    let net = Net::bind(listen, trust)?;
    let own_edge = OwnEdge::start(program, a, net.socket().local(), service.is_some())?;
    let beside = broker.iter().map(Broker::sink).chain(alerts.sink).collect();
    let classes = labels::classes(program);
    let outputs = Outputs {
        waits_for_room: a.frames.is_none(),
        ..a.outputs.clone()
    };
    let records = sinks::open_beside(beside, &outputs, classes, Found::Continued)?;
    let info = Arc::new(program_info(program)?);
    let incarnation = net::incarnation()?;
    let config = GatewayConfig {
        transfer: net.socket().transfer(),
        pictures_max: alerts.stills.as_ref().map_or(0, |_| alerts::WAIT_MAX),
        ..GatewayConfig::new(incarnation)
    };
    // Nobody else maps it: the smallest job table there is.
    let slots = config.slots(&info);
    let segment = Segment::create(&Layout::new(&info, &slots, 1, 1))?;
    let store = SegmentStore::new(&segment, &slots)?;
    let waker = Waker::new()?;
    let tail = Tail::start(program, weights, a, waker.clone(), config.frames_max)?;
    let served = service.map(|how| Served::start(how, program, a, edges, waker.clone()));
    let trace = Trace::open(a, 0, 0, &info)?;
    let mut machine = Gateway::new(config, info);
    if let Some(sources) = net.sources() {
        machine.allow_sources(sources.into_iter().map(NodeId));
    }
    let mut shell = Shell {
        machine,
        trace,
        store,
        tail,
        writer: Writer::start(records, waker.clone())?,
        writer_is_over: false,
        said_records_stand: false,
        wake_at: 0,
        frames: GatewayFrames::default(),
        tails_out: 0,
        pictures: Pictures::new(alerts.stills),
        promised: 0,
        records_max: a.frames.unwrap_or(u64::MAX),
        ending: None,
        failure: None,
        own_edge,
        broker,
        observed: net.is_observed().then(|| ObservedGateway::new(incarnation)),
        served: served.transpose()?,
        flights_max: config.frames_max,
        notify: Notify::of_environment(false),
        turned_away: AllTurnedAway::default(),
    };
    shell.follow_own_edge();
    if let Some(served) = &shell.served {
        served.tell();
    }
    tell(&Event::Listening {
        addr: net.socket().local().to_string(),
        program: program.name.into(),
    });
    shell.notify.ready();
    shell.run(net, &signals, &waker, program, a)
}

/// The way in which a gateway ends.
#[derive(Clone, Copy, Debug)]
struct Ending {
    /// The time at which the gateway stops waiting for unfinished work.
    until: Micros,
    /// Whether the gateway also ends the edges.
    cluster: bool,
}

/// The frame of a record that waits to be written.
#[derive(Clone, Copy, Debug)]
enum Published {
    /// The frame has detections; the machine waits for the end of the write.
    Detections(FrameId),
    /// The gateway has dropped the frame.
    Dropped,
}

struct Shell {
    machine: Gateway,
    /// What happens, and when.
    trace: Trace,
    store: SegmentStore,
    tail: Tail,
    writer: Writer<Published>,
    /// Nothing more is written.
    writer_is_over: bool,
    /// It was said that records cannot be written.
    said_records_stand: bool,
    /// When the machine wants to be called again.
    wake_at: Micros,
    /// What was published.
    frames: GatewayFrames,
    /// Frames that the tail works at or will.
    tails_out: usize,
    /// Frames that people are to see.
    pictures: Pictures,
    /// Records that are written, wait to be, or will come from the tail.
    promised: u64,
    /// Most records there may be.
    records_max: u64,
    ending: Option<Ending>,
    /// Why the run must end.
    failure: Option<NodeError>,
    /// The edge on this board.
    own_edge: Option<OwnEdge>,
    /// Who hears of records and boards.
    broker: Option<Broker>,
    /// What observers may read, if the cluster has any.
    observed: Option<ObservedGateway>,
    /// What is spoken over HTTP, if anything.
    served: Option<Served>,
    /// Most frames that the machine takes at a time.
    flights_max: usize,
    /// The service manager.
    notify: Notify,
    /// Who was turned away lately.
    turned_away: AllTurnedAway,
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
        loop {
            net.receive(|now, from, bytes, sending| {
                if let Some(observed) = self.observed.as_mut().filter(|_| is_of_observer(bytes)) {
                    observed.heard(now, from, bytes, |to, bytes| sending.send(to, bytes));
                    return Heard::Useful;
                }
                self.trace.received(now, bytes);
                let before = self.useless();
                let input = GatewayInput::Datagram { from, bytes };
                self.machine.handle(now, input, &mut self.store);
                self.drain(now, sending);
                Heard::of(before, self.useless())
            });
            while let Some(number) = net.next_removed() {
                let (now, node) = (net.clock.now(), NodeId(number));
                let input = GatewayInput::Removed { node };
                self.machine.handle(now, input, &mut self.store);
                self.drain(now, &mut net.sending());
            }
            if self
                .observed
                .as_ref()
                .is_some_and(ObservedGateway::wants_metrics)
            {
                let line = statistics::json_line(&self.statistics(&net, program));
                let now = net.clock.now();
                if let (Some(observed), Ok(line)) = (&mut self.observed, line) {
                    observed.set_metrics(now, line);
                }
            }
            waker.clear();
            if let Some(served) = self.served.as_ref().filter(|s| s.wants_look()) {
                served.show(self.look(&net, program));
            }
            while let Some(end) = self.tail.next() {
                self.tail_ended(end, net.clock.now(), &mut net.sending());
            }
            while let Some(written) = self.writer.next() {
                self.written(written, net.clock.now(), &mut net.sending());
            }
            let now = net.clock.now();
            if now >= self.wake_at {
                self.machine
                    .handle(now, GatewayInput::Tick, &mut self.store);
                self.drain(now, &mut net.sending());
                if let Some(edge) = self.own_edge.as_mut().filter(|_| self.ending.is_none()) {
                    edge.look(now);
                    self.follow_own_edge();
                }
            }
            self.give_up_pictures(now, &mut net.sending());
            self.notify.turn(now, || takes_part(self.machine.nodes()));
            if let Some(broker) = &mut self.broker {
                broker.look(now, self.machine.nodes(), self.machine.conditions_at(now));
            }
            while let Some(asked) = signals.next() {
                match asked {
                    Asked::End(signal) => self.end(now, a.end_cluster, signal.as_str()),
                    Asked::EndCluster => self.end(now, true, "SIGUSR2"),
                    Asked::Trace => {
                        self.trace.turn();
                        self.own_edge.iter().for_each(OwnEdge::turn_trace);
                    }
                    Asked::Statistics => {
                        if let Err(e) = self.write_statistics(&net, program, a) {
                            tracing::warn!("{e}");
                        }
                    }
                }
            }
            if self.frames.detections + self.frames.dropped >= self.records_max {
                self.end(now, true, "all frames are there");
            } else if self.failure.is_some() {
                self.end(now, a.end_cluster, "an error");
            }
            self.drain(now, &mut net.sending());
            net.flush();
            self.tell_of_records();
            if self.is_done(now) {
                break;
            }
            let fds = [net.socket().as_fd(), waker.as_fd(), signals.as_fd()];
            let until = self.wake_at.min(net.wake_at()).min(self.notify.wake_at());
            let until = until.min(self.pictures.wake_at());
            let until = (self.ending).map_or(until, |e| e.until.min(until).max(now + 1_000));
            wait::wait(fds, until.saturating_sub(net.clock.now()))?;
        }
        let statistics = self.write_statistics(&net, program, a);
        if let Some(broker) = &self.broker {
            broker.stop();
        }
        self.ended(statistics)
    }

    /// Datagrams that were of no use so far.
    fn useless(&self) -> u64 {
        let stats = self.machine.stats();
        net::useless(&stats.traffic, &stats.transfer)
    }

    /// Tells the HTTP service of an edge that has been started on this board.
    fn follow_own_edge(&mut self) {
        if let (Some(served), Some(edge)) = (&self.served, &mut self.own_edge) {
            served.follow(edge);
        }
    }

    /// The gateway as it is now.
    fn look(&self, net: &Net, program: &Program) -> Look {
        let now = net.clock.now();
        Look {
            now,
            statistics: self.statistics(net, program),
            nodes: self.machine.nodes_at(now),
            flights: self.machine.frames_at(now),
            flights_max: self.flights_max,
            last_makers: self.machine.last_makers().to_vec(),
            turned_away: self.turned_away.now(now),
            records_waiting: self.writer.waiting().count(),
            records_stand: self.said_records_stand,
            ends: self.ending.is_some(),
        }
    }

    /// Says when records cannot be written, and when they can again.
    fn tell_of_records(&mut self) {
        let stand = self.writer.stands_for() >= RECORDS_STAND;
        if stand && !self.said_records_stand {
            self.said_records_stand = true;
            tracing::warn!(
                "records cannot be written: their reader or disk stands still; no more frames are taken"
            );
        } else if !stand && self.said_records_stand {
            self.said_records_stand = false;
            tracing::info!("records are written again");
        }
    }

    /// Begins to end, for the reason `why`; once.
    fn end(&mut self, now: Micros, cluster: bool, why: &str) {
        if self.ending.is_some() {
            return;
        }
        tracing::info!(
            "ends ({why}){}",
            if cluster {
                ", and its edges with it"
            } else {
                "; its edges wait for it to come back"
            }
        );
        self.notify.stopping();
        let until = now + GOODBYE_US;
        self.ending = Some(Ending { until, cluster });
        if cluster {
            self.machine
                .handle(now, GatewayInput::Stop, &mut self.store);
        }
    }

    /// Whether everything is over that the end waits for.
    fn is_done(&mut self, now: Micros) -> bool {
        let Some(ending) = self.ending else {
            return false;
        };
        let alone = !ending.cluster || self.machine.drained().alive == 0;
        if alone && self.tails_out == 0 {
            // Nothing more comes; the rest of the records goes out.
            self.writer.close();
        }
        now >= ending.until || alone && self.writer_is_over
    }

    /// The last words.
    fn ended(mut self, statistics: Result<(), NodeError>) -> Result<(), NodeError> {
        let waiting = |p: &Published| matches!(p, Published::Detections(_));
        let (frames, dropped): (Vec<_>, Vec<_>) = self.writer.waiting().partition(waiting);
        let unfinished = self.tails_out + frames.len();
        if unfinished > 0 {
            tracing::warn!(
                "{unfinished} frames are left without a record; their sources bring them again when a gateway is back"
            );
        }
        if !dropped.is_empty() {
            self.fail(NodeError::RecordsLost(dropped.len()));
        }
        match (self.failure, statistics) {
            (Some(e), Err(less)) => {
                tracing::warn!("{less}");
                Err(e)
            }
            (Some(e), Ok(())) => Err(e),
            (None, statistics) => statistics,
        }
    }

    /// Does what the machine asks for until it waits.
    fn drain(&mut self, now: Micros, sending: &mut Sending<'_>) {
        loop {
            match self.machine.poll(now, &mut self.store) {
                GatewayOutput::Send { to, bytes } => {
                    self.trace.sent(now, to, bytes);
                    sending.send(to, bytes);
                }
                GatewayOutput::RunTail {
                    frame,
                    meta,
                    age_us,
                    wrong,
                    inputs,
                } => {
                    // A frame that gets no tail stays in flight: its source brings it to the next gateway.
                    if self.takes_records() {
                        let views = inputs.iter().map(|s| self.store.lend(*s)).collect();
                        let about = (subject(frame, meta, wrong), captured(meta, age_us));
                        self.run_tail(now, frame, about, image(meta), views);
                    }
                }
                GatewayOutput::Drop {
                    frame,
                    meta,
                    age_us,
                    wrong,
                    reason,
                } => {
                    if self.promised < self.records_max {
                        self.promised += 1;
                        let subject = subject(frame, meta, wrong);
                        let captured = captured(meta, age_us);
                        let record = record::dropped(subject, captured, image(meta), reason);
                        self.publish(Published::Dropped, record);
                    }
                }
                GatewayOutput::Fetched {
                    frame,
                    meta,
                    picture,
                } => {
                    let bytes = picture.map(|slot| self.store.bytes(slot));
                    if self.pictures.end(frame, image(meta), bytes) {
                        self.frame_ended(now, frame);
                    }
                }
                GatewayOutput::Notice(notice) => {
                    self.turned_away.hear(now, &notice);
                    notices::say(notice);
                }
                GatewayOutput::WaitUntil(at) => {
                    self.wake_at = at;
                    return;
                }
            }
        }
    }

    /// Whether another frame may get its record.
    fn takes_records(&self) -> bool {
        self.ending.is_none() && self.failure.is_none() && self.promised < self.records_max
    }

    fn run_tail(
        &mut self,
        now: Micros,
        frame: FrameId,
        (subject, captured): (Subject, Captured),
        image: ImageFrame,
        inputs: Option<Vec<SlotView>>,
    ) {
        let score = self.served.as_mut().and_then(|s| s.score(&subject));
        let merged = |inputs| MergedFrame {
            frame,
            subject,
            captured,
            image,
            score,
            inputs,
        };
        if inputs.is_some_and(|inputs| self.tail.submit(merged(inputs))) {
            self.tails_out += 1;
            self.promised += 1;
        } else {
            let input = GatewayInput::TailFailed { frame };
            self.machine.handle(now, input, &mut self.store);
        }
    }

    fn tail_ended(&mut self, end: TailEnd, now: Micros, sending: &mut Sending<'_>) {
        let frame = end.frame;
        self.tails_out -= 1;
        self.frames.tail_us += end.busy_us;
        self.trace.tail_ended(now, frame, end.busy_us);
        match end.record {
            Ok(Some(record)) => self.publish(Published::Detections(frame), record),
            Ok(None) => {
                tracing::error!("the tail of {frame:?} failed");
                // Its drop record takes the place.
                self.promised -= 1;
                let input = GatewayInput::TailFailed { frame };
                self.machine.handle(now, input, &mut self.store);
                self.drain(now, sending);
            }
            // The frame stays in flight, for the next gateway.
            Err(e) => self.fail(e),
        }
    }

    fn publish(&mut self, what: Published, record: Record) {
        if let Some(observed) = &mut self.observed {
            observed.record(&record);
        }
        if let Some(served) = &mut self.served {
            served.record(&record);
        }
        if self.writer.submit(what, record).is_err() {
            self.fail(NodeError::RecordsWait);
        }
    }

    fn written(&mut self, written: Written<Published>, now: Micros, sending: &mut Sending<'_>) {
        match written {
            Written::Record(Published::Detections(frame)) => {
                if self.ending.is_none() && self.pictures.begin(frame, now) {
                    // Its source has it until it ends.
                    let input = GatewayInput::Fetch { frame };
                    self.machine.handle(now, input, &mut self.store);
                } else {
                    self.frame_ended(now, frame);
                }
                self.drain(now, sending);
            }
            Written::Record(Published::Dropped) => self.frames.dropped += 1,
            Written::Failed(e) => {
                self.writer_is_over = true;
                self.fail(e);
            }
            Written::All => self.writer_is_over = true,
        }
    }

    /// A frame has its record, and nobody needs its pixels any more.
    fn frame_ended(&mut self, now: Micros, frame: FrameId) {
        self.frames.detections += 1;
        let input = GatewayInput::TailDone { frame };
        self.machine.handle(now, input, &mut self.store);
    }

    /// Ends frames that have been waited for too long.
    fn give_up_pictures(&mut self, now: Micros, sending: &mut Sending<'_>) {
        while let Some(frame) = self.pictures.give_up(now, self.ending.is_some()) {
            self.frame_ended(now, frame);
            self.drain(now, sending);
        }
    }

    fn fail(&mut self, e: NodeError) {
        self.failure.get_or_insert(e);
    }

    /// What this node says of itself, now.
    fn statistics(&self, net: &Net, program: &Program) -> GatewayStatistics<Traffic> {
        GatewayStatistics {
            process: statistics::process(Role::Gateway, 0, program),
            counters: self.machine.stats().clone(),
            frames: self.frames,
            slots: self.store.usage(),
            socket: net.statistics(),
            sessions: net.session_statistics(),
            observed: self.observed.as_ref().map(ObservedGateway::counts),
        }
    }

    fn write_statistics(&self, net: &Net, program: &Program, a: &Args) -> Result<(), NodeError> {
        a.stats.as_ref().map_or(Ok(()), |path| {
            statistics::write(path, &self.statistics(net, program))
        })
    }
}

/// Which edges live, in words.
fn takes_part(nodes: impl Iterator<Item = (NodeId, bool)>) -> String {
    let mut alive: Vec<u16> = nodes
        .filter(|(_, alive)| *alive)
        .map(|(n, _)| n.0)
        .collect();
    if alive.is_empty() {
        return "no edge takes part yet".into();
    }
    alive.sort_unstable();
    alive.dedup();
    let numbers: Vec<String> = alive.iter().map(u16::to_string).collect();
    format!("edges take part: {}", numbers.join(" "))
}
