//! `observe`: reads a cluster's records and metrics from its gateway, and nothing else. Records are printed, one JSON line each;
//! metrics go to a file.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    line::{Line, Other},
    net,
};
use crate::{
    args::Args,
    console::{self, Patience},
    error::NodeError,
    optional,
    trust::Trust,
    udp::GatewayName,
};
use tessera_protocol::{
    Incarnation, NodeId,
    wire::{Envelope, Message, Watch, Watched, parse_watch},
};

/// Between two questions that got no answer, or nothing new.
const AGAIN: Duration = Duration::from_millis(250);
/// Between two times that metrics are read.
const METRICS_EVERY: Duration = Duration::from_secs(1);
/// Bytes after which the next question follows at once, while there are more: most of what one answer brings.
const ASK_BYTES: u64 = 6_000;
/// Longest line of a record, and longest metrics, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// An answer that has arrived.
struct Arrived {
    gateway: Incarnation,
    what: Watched,
    serial: u32,
    first: u64,
    from: u64,
    end: u64,
    bytes: Vec<u8>,
}

fn read(bytes: &[u8]) -> Option<Arrived> {
    let Ok((envelope, Message::Shown(s))) = parse_watch(bytes) else {
        return None;
    };
    Some(Arrived {
        gateway: envelope.incarnation,
        what: s.what,
        serial: s.serial,
        first: s.first,
        from: s.from,
        end: s.end,
        bytes: s.bytes.to_vec(),
    })
}

/// Where this node is in one of the texts.
#[derive(Debug, Default)]
struct Reading {
    gateway: Option<Incarnation>,
    serial: u32,
    at: u64,
    text: Vec<u8>,
}

impl Reading {
    /// Takes what follows; returns whether there is more. What comes out of turn is asked for again.
    fn take(&mut self, a: &Arrived) -> bool {
        if self.gateway != Some(a.gateway) || self.serial != a.serial {
            // Another process, or metrics of another time.
            *self = Self {
                gateway: Some(a.gateway),
                serial: a.serial,
                at: a.first,
                text: Vec::new(),
            };
        }
        if a.first > self.at {
            // What was between is kept no more.
            self.at = a.first;
            self.text.clear();
        }
        if self.text.len() + a.bytes.len() > TEXT_BYTES_MAX {
            // No record is so long: this is none.
            self.text.clear();
        }
        if a.from == self.at {
            self.at += a.bytes.len() as u64;
            self.text.extend_from_slice(&a.bytes);
        }
        self.at < a.end
    }

    fn watch(&self, what: Watched) -> Watch {
        Watch {
            what,
            serial: self.serial,
            from: self.at,
        }
    }
}

/// Runs the role until a signal ends it, or `--frames` records were read.
pub fn run(a: &Args, trust: Option<Trust>) -> Result<(), NodeError> {
    let trust = trust.ok_or_else(|| {
        NodeError::Usage("observe needs --config cluster.toml and --name NAME".into())
    })?;
    let place = trust.place();
    let host = a.gateway.clone().map(Ok).or_else(|| {
        let host = place.gateway.as_ref()?;
        Some(host.parse::<GatewayName>())
    });
    let host = host
        .transpose()
        .map_err(|e| NodeError::Usage(format!("the gateway's address: {e}")))?
        .ok_or_else(|| NodeError::Usage("give --gateway HOST:PORT".into()))?;
    let addresses = host.addresses().map_err(NodeError::io(format!("{host}")))?;
    let to = addresses
        .first()
        .copied()
        .ok_or_else(|| NodeError::Usage(format!("{host} has no address")))?;
    let own: IpAddr = match to {
        SocketAddr::V4(to) if to.ip().is_loopback() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut asks = Asks {
        line: Line::with((own, 0).into(), Some(trust.observer_links()?))?,
        to: Other {
            addr: to,
            node: Some(0),
        },
        me: Envelope {
            from: NodeId(trust.number()),
            incarnation: net::incarnation()?,
            to_incarnation: None,
            plan: 0,
        },
        out: Vec::new(),
    };
    observe(a, &mut asks)
}

fn observe(a: &Args, asks: &mut Asks) -> Result<(), NodeError> {
    let (mut records, mut metrics) = (Reading::default(), Reading::default());
    let (mut printed, mut asked) = (0u64, None::<Instant>);
    let mut measured: Option<Instant> = None;
    let mut asked_to = 0;
    let frames = a.frames.unwrap_or(u64::MAX);
    while printed < frames {
        let due = asked.is_none_or(|at| at.elapsed() >= AGAIN);
        if due {
            asked = Some(Instant::now());
            asks.ask(records.watch(Watched::Records));
            if a.stats.is_some() && measured.is_none_or(|at| at.elapsed() >= METRICS_EVERY) {
                asks.ask(metrics.watch(Watched::Metrics));
            }
        }
        let Some((arrived, ..)) = asks.line.receive(AGAIN, read) else {
            continue;
        };
        match arrived.what {
            Watched::Records => {
                let before = records.at;
                let more = records.take(&arrived);
                printed += print(&mut records.text, frames - printed)?;
                if more && records.at > before && records.at >= asked_to {
                    // One question for each answer of several parts.
                    asked_to = records.at + ASK_BYTES;
                    asks.ask(records.watch(Watched::Records));
                }
            }
            Watched::Metrics => {
                let more = metrics.take(&arrived);
                if let Some(path) = a.stats.as_ref().filter(|_| !more) {
                    optional::write(path, &metrics.text)
                        .map_err(NodeError::io(format!("{}", path.display())))?;
                    measured = Some(Instant::now());
                    (metrics.serial, metrics.at) = (0, 0);
                    metrics.text.clear();
                }
            }
        }
    }
    Ok(())
}

/// Prints whole lines, at most `most`; returns their number.
fn print(text: &mut Vec<u8>, most: u64) -> Result<u64, NodeError> {
    let mut lines = 0;
    while lines < most
        && let Some(end) = text.iter().position(|b| *b == b'\n')
    {
        let line: Vec<u8> = text.drain(..=end).collect();
        let shown = console::out(&String::from_utf8_lossy(&line), Patience::Endless);
        shown.map_err(NodeError::io("cannot print records"))?;
        lines += 1;
    }
    Ok(lines)
}

/// The way to the gateway.
struct Asks {
    line: Line,
    to: Other,
    me: Envelope,
    out: Vec<u8>,
}

impl Asks {
    /// Asks; a question that gets lost is asked again.
    fn ask(&mut self, watch: Watch) {
        Message::Watch(watch).encode(self.me, &mut self.out);
        let _ = self.line.send_bytes(self.to, &self.out);
    }
}
