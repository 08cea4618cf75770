//! What `/metrics` answers: one gateway at one time, as Prometheus and OpenMetrics read it.

mod classic;
mod process;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use tessera_health::Health;
use tessera_plan::files::records::DropReason;

use crate::{
    posts::Via,
    shown::Shown,
    state::Board,
    tally::{BOUNDS_S, Times},
};

/// Labels of a sample.
type Labels<'a> = Vec<(&'a str, String)>;

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' older text.
    Classic,
    /// OpenMetrics.
    OpenMetrics,
}

impl Form {
    /// The form that a client takes, by its `Accept` header: OpenMetrics where it is named, else the older text.
    pub fn accepted(accept: Option<&str>) -> Self {
        let named = accept.is_some_and(|a| a.contains("application/openmetrics-text"));
        if named {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The `Content-Type` of the form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics of `shown`.
///
/// # Errors
/// Never: the text goes to memory.
pub fn text(shown: &Arc<Shown>, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(Arc::clone(shown))));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(match form {
        Form::OpenMetrics => out,
        Form::Classic => classic::from_openmetrics(&out),
    })
}

/// One scrape.
#[derive(Debug)]
struct Scrape(Arc<Shown>);

/// Writes families one after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// Counters of a name, without the `_total` that the format adds.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            each(&mut family, &labels, |sample| {
                // Whole numbers look like some.
                if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a whole number in range"
                    )]
                    let whole = value as u64;
                    sample.encode_counter(&whole, NONE)
                } else {
                    sample.encode_counter(&value, NONE)
                }
            })?;
        }
        Ok(())
    }

    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            each(&mut family, &labels, |sample| sample.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// An information metric, without the `_info` that the format adds.
    fn info(&mut self, name: &str, help: &str, labels: &Labels<'_>) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        family.encode_info(labels)
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, &'a Times)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, times) in samples {
            let bounds = BOUNDS_S.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
            each(&mut family, &labels, |sample| {
                let none: Option<&std::collections::HashMap<usize, Exemplar<Labels<'_>, f64>>> =
                    None;
                sample.encode_histogram(times.sum_s, times.count(), &buckets, none)
            })?;
        }
        Ok(())
    }
}

/// No sample of ours has an exemplar.
const NONE: Option<&Exemplar<[(&str, &str); 0], f64>> = None;

/// Gives `write` the family's encoder with these labels, or the family's own where there are none.
fn each(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() {
        return write(family);
    }
    write(&mut family.encode_family(labels)?)
}

fn none() -> Labels<'static> {
    Vec::new()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a process stay below 2^53, as floats of the format do"
)]
const fn number(n: u64) -> f64 {
    n as f64
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = &*self.0;
        let mut out = Families(encoder);
        about(&mut out, shown)?;
        frames(&mut out, shown)?;
        boards(&mut out, shown)?;
        network(&mut out, shown)?;
        posts(&mut out, shown)?;
        process::encode(&mut out, shown)
    }
}

fn about(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let about = &shown.about;
    let labels = vec![
        ("version", about.version.clone()),
        ("model", about.program.clone()),
        ("target", about.target.clone()),
        ("plan", about.plan.clone()),
    ];
    out.info("tessera_build", "What this gateway runs", &labels)
}

fn frames(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let sources = &shown.tally.sources;
    let ended = sources.iter().flat_map(|(name, s)| {
        let of = |result: &str| vec![("source", name.clone()), ("result", result.to_owned())];
        let dropped = DropReason::ALL.iter().zip(s.dropped).map(move |(r, n)| {
            let result = match r {
                DropReason::SourceLost => "source_lost",
                DropReason::TaskFailed => "task_failed",
                DropReason::TailFailed => "tail_failed",
            };
            (
                vec![("source", name.clone()), ("result", result.to_owned())],
                number(n),
            )
        });
        std::iter::once((of("ok"), number(s.computed))).chain(dropped)
    });
    out.counters(
        "tessera_frames",
        "Frames that ended, by their source",
        ended,
    )?;
    out.histograms(
        "tessera_frame_duration_seconds",
        "Time from a frame's capture to its record, of frames with detections",
        sources
            .iter()
            .map(|(name, s)| (vec![("source", name.clone())], &s.times)),
    )?;
    let class = |n: u32| {
        let label = shown.about.labels.get(n as usize);
        let label = label.filter(|l| !l.is_empty()).cloned();
        label.unwrap_or_else(|| format!("class {n}"))
    };
    out.counters(
        "tessera_detections",
        "Objects found, by source and class",
        (shown.tally.detections.iter()).map(|((source, n), count)| {
            let labels = vec![("source", source.clone()), ("class", class(*n))];
            (labels, number(*count))
        }),
    )?;
    let state = &shown.state;
    let in_state = |name: &str| state.flights.iter().filter(|f| f.state == name).count();
    out.gauges(
        "tessera_queue_frames",
        "Frames without a record, by what they wait for",
        ["waiting", "tiles", "tail"].map(|name| {
            (
                vec![("state", name.to_owned())],
                number(in_state(name) as u64),
            )
        }),
    )?;
    out.gauges(
        "tessera_queue_frames_max",
        "Most frames that the gateway takes at a time",
        [(none(), number(state.flights_max as u64))],
    )?;
    out.gauges(
        "tessera_records_waiting",
        "Records that wait to be written",
        [(none(), number(state.records_waiting as u64))],
    )?;
    out.counters(
        "tessera_tail_seconds",
        "Time that the gateway computed behind the offload point",
        [(none(), number(state.frames.tail_us) / 1e6)],
    )
}

fn boards(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let boards = shown.boards();
    let each = |value: fn(&crate::state::Board) -> f64| {
        let boards = boards.iter();
        boards.map(move |(name, b)| (vec![("edge", name.clone())], value(b)))
    };
    out.gauges(
        "tessera_edge_up",
        "1 while the edge takes part",
        each(|b| f64::from(u8::from(b.up))),
    )?;
    out.gauges(
        "tessera_edge_silent_seconds",
        "Time since the edge was heard",
        each(|b| b.silent_s),
    )?;
    out.gauges(
        "tessera_edge_frames_in_flight",
        "Frames of the edge that have no record yet",
        each(|b| number(b.frames_in_flight as u64)),
    )?;
    out.gauges(
        "tessera_edge_has_work",
        "1 while the edge has tasks that others may take",
        each(|b| f64::from(u8::from(b.has_work))),
    )?;
    out.counters(
        "tessera_edge_tasks",
        "Tasks of the edge whose outputs the gateway merged",
        (boards.iter()).map(|(name, b)| {
            let labels = vec![("edge", name.clone())];
            (labels, number(shown.tasks_of(b.number)))
        }),
    )?;
    health(out, &boards)?;
    let nodes = shown.state.nodes;
    let events = [
        ("joined", nodes[0]),
        ("lost", nodes[1]),
        ("refused", nodes[2]),
    ];
    out.counters(
        "tessera_node_events",
        "Processes that joined or were lost, and heartbeats that were refused",
        events.map(|(event, n)| (vec![("event", event.to_owned())], number(n))),
    )?;
    let [asked, given] = shown.state.victims;
    out.counters(
        "tessera_steal_hints",
        "Idle boards that asked the gateway whom to take work from, and those that got an answer",
        [("asked", asked), ("given", given)]
            .map(|(event, n)| (vec![("event", event.to_owned())], number(n))),
    )
}

/// What boards say of themselves. A measurement that a board does not know, or has not told lately, has no sample: sums and means
/// over boards are of those that do.
fn health(out: &mut Families<'_>, boards: &[(String, Board)]) -> fmt::Result {
    let each = |value: fn(&Health) -> Option<f64>| {
        boards.iter().filter_map(move |(name, b)| {
            let value = value(b.health_now()?)?;
            Some((vec![("edge", name.clone())], value))
        })
    };
    out.gauges(
        "tessera_edge_temperature_celsius",
        "Temperature of the board's processor",
        each(|h| h.temperature_c),
    )?;
    let throttled = boards.iter().flat_map(|(name, b)| {
        let power = b.health_now().map(Health::power).unwrap_or_default();
        THROTTLED.iter().map(move |(reason, bit)| {
            let labels = vec![("edge", name.clone()), ("reason", (*reason).to_owned())];
            (labels, f64::from(u8::from(power.bit(*bit))))
        })
    });
    out.gauges(
        "tessera_edge_throttled",
        "1 while the board's firmware says so: a Raspberry Pi that is slowed down, by reason",
        throttled,
    )?;
    out.gauges(
        "tessera_edge_memory_bytes",
        "Memory of the board",
        each(|h| h.memory_bytes.map(number)),
    )?;
    out.gauges(
        "tessera_edge_memory_available_bytes",
        "Memory of the board that new processes can have",
        each(|h| h.memory_available_bytes.map(number)),
    )?;
    out.gauges(
        "tessera_edge_busy_ratio",
        "Share of the board's processor time that was used in the last ten seconds, from 0 to 1",
        each(|h| h.busy),
    )?;
    out.gauges(
        "tessera_edge_wifi_signal_dbm",
        "Strength of the board's Wi-Fi signal",
        each(|h| h.signal_dbm),
    )
}

/// Bits of the firmware's word that tell of now.
const THROTTLED: [(&str, u32); 4] = [
    ("under_voltage", 0),
    ("capped", 1),
    ("throttled", 2),
    ("soft_limit", 3),
];

fn network(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let state = &shown.state;
    let one = |n: u64| [(none(), number(n))];
    let [sent, received] = state.traffic;
    out.counters(
        "tessera_link_sent_bytes",
        "Bytes of the gateway's datagrams, without IP and UDP headers",
        one(sent.bytes),
    )?;
    out.counters(
        "tessera_link_received_bytes",
        "Bytes of datagrams that the gateway acted upon",
        one(received.bytes),
    )?;
    out.counters(
        "tessera_link_sent_datagrams",
        "Datagrams that the gateway sent",
        one(sent.datagrams),
    )?;
    out.counters(
        "tessera_link_received_datagrams",
        "Datagrams that the gateway acted upon",
        one(received.datagrams),
    )?;
    out.counters(
        "tessera_link_rejected_datagrams",
        "Datagrams that the gateway ignored",
        one(state.rejected),
    )?;
    out.counters(
        "tessera_link_retransmits",
        "Chunks that the gateway asked for again",
        one(state.transfer.chunks_rerequested),
    )?;
    out.counters(
        "tessera_link_timeouts",
        "How often the gateway heard nothing of a board that it pulled from",
        one(state.transfer.timeouts),
    )?;
    out.counters(
        "tessera_socket_dropped_datagrams",
        "Datagrams that the kernel dropped because the receive buffer was full",
        one(state.socket.kernel_drops.unwrap_or(0)),
    )?;
    out.gauges(
        "tessera_slots_bytes",
        "Bytes of objects that the gateway holds",
        [(none(), number(state.slots.bytes as u64))],
    )?;
    let sessions = state.sessions.clone().unwrap_or_default();
    let results = [
        ("established", sessions.established),
        ("sent", sessions.initiations_sent),
        ("answered", sessions.initiations_answered),
        ("given_up", sessions.given_up),
    ];
    out.counters(
        "tessera_handshakes",
        "Handshakes of sessions between nodes",
        results.map(|(result, n)| (vec![("result", result.to_owned())], number(n))),
    )?;
    let unopened = sessions.refused.get("shut_out").copied().unwrap_or(0);
    let ends = [
        ("opened", sessions.floods),
        ("unopened", unopened),
        ("kept_away", sessions.kept_away),
    ];
    out.counters(
        "tessera_flood_datagrams",
        "Datagrams dropped because their sender sent more than a node has to",
        ends.map(|(end, n)| (vec![("end", end.to_owned())], number(n))),
    )?;
    out.gauges(
        "tessera_edge_shut_out",
        "1 for a board of which nothing is taken for a while because it sends far too much",
        (sessions.shut_out_now.iter()).map(|name| (vec![("edge", name.clone())], number(1))),
    )
}

fn posts(out: &mut Families<'_>, shown: &Shown) -> fmt::Result {
    let results = |via| {
        let each = shown.posts.results(via);
        each.map(|(result, n)| (vec![("result", result.to_owned())], number(n)))
    };
    out.counters(
        "tessera_http_pictures",
        "Posted pictures, by what became of them",
        results(Via::Http),
    )?;
    out.counters(
        "tessera_zmq_pictures",
        "Pictures of Frigate's ZeroMQ detector, by what became of them",
        results(Via::Zmq),
    )?;
    out.gauges(
        "tessera_http_pictures_in_flight",
        "Posted pictures that wait for their detections",
        [(none(), number(shown.posts.in_flight))],
    )
}

/// Labels are a list of pairs.
const _: fn(&Labels<'_>) = |l| {
    fn takes(_: &impl EncodeLabelSet) {}
    takes(l);
};

#[cfg(test)]
mod tests;
