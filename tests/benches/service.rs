//! What a gateway's service adds to a picture's time: requests over HTTP and by Frigate's ZeroMQ detector, one after the other,
//! to a gateway with an edge on its board and another edge, all on this machine.
//!
//! ```sh
//! cargo test -p tessera-tests --bench service -- --requests 10000
//! ```
//! Nothing else should run. The nodes are release builds whatever the client is; it only writes and reads sockets. A request's
//! *own time* is its record's latency, from the frame's entry to its record; what is over it is the service, the way between
//! both processes, decoding, and the client.

#[path = "../tests/service/client.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod client;
#[path = "../tests/service/common.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{DETECT, LONG, Served, picture};
use tessera_tests::{
    rig::SHORT,
    shipped::{SIZE, pixels},
};

/// Requests before the first that counts.
const WARM: usize = 100;

fn main() -> Result<()> {
    let mut requests = 1000;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--requests" {
            requests = words.next().context("--requests N")?.parse()?;
        }
    }
    println!("{requests} requests each, in milliseconds");
    println!("| | p50 | p99 | most | own time, p50 | p99 | over it, p50 | p99 |");
    println!("|---|---|---|---|---|---|---|---|");
    let (kind, png) = client::form(Some(&picture()), &[]);
    let (_, ppm) = client::form(Some(&small()?), &[]);
    for (name, body) in [
        ("HTTP, the demo's PNG of 640 x 480", png),
        ("HTTP, pixels of the network's size", ppm),
    ] {
        measure(name, requests, |served| {
            let mut client = served.client()?;
            let (kind, body) = (kind.clone(), body.clone());
            Ok(move || {
                let headers = [("content-type", &*kind)];
                let answer = client.ask("POST", DETECT, &headers, &body)?;
                ensure!(answer.status == 200, "{}", answer.text());
                Ok(())
            })
        })?;
    }
    measure("ZeroMQ, pixels of the network's size", requests, |served| {
        let event = served.cluster.gateway.event("detecting", SHORT)?;
        let endpoint = event["endpoint"].as_str().context("an endpoint")?;
        let mut detector = Detector::new(endpoint.trim_start_matches("tcp://"))?;
        Ok(move || detector.detect())
    })
}

/// Runs requests against a cluster of their own.
fn measure<F: FnMut() -> Result<()>>(
    name: &str,
    requests: usize,
    client: impl FnOnce(&Served) -> Result<F>,
) -> Result<()> {
    let served = Served::start(1, &["--zmq", "tcp://127.0.0.1:0", "--zmq-deadline", "60"])?;
    served.joined(2)?;
    let mut ask = client(&served)?;
    let mut took = Vec::with_capacity(requests);
    for n in 0..WARM + requests {
        let begun = Instant::now();
        ask()?;
        if n >= WARM {
            took.push(begun.elapsed());
        }
    }
    let records = served.cluster.wait_records(WARM + requests, LONG)?;
    let own = |r: &serde_json::Value| {
        let ms = r["latency_ms"].as_f64().context("a latency")?;
        Ok(Duration::from_secs_f64(ms / 1e3))
    };
    // One after the other: the n-th record is the n-th request's.
    let own: Vec<Duration> = records[WARM..].iter().map(own).collect::<Result<_>>()?;
    ensure!(own.len() == requests, "a record for each request");
    let pairs = took.iter().zip(&own);
    let over: Vec<Duration> = pairs.map(|(all, own)| all.saturating_sub(*own)).collect();
    let of = |mut all: Vec<Duration>, share: f64| {
        all.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list"
        )]
        let at = ((all.len() - 1) as f64 * share).round() as usize;
        format!("{:.2}", all[at].as_secs_f64() * 1e3)
    };
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} |",
        of(took.clone(), 0.5),
        of(took.clone(), 0.99),
        of(took, 1.0),
        of(own.clone(), 0.5),
        of(own, 0.99),
        of(over.clone(), 0.5),
        of(over, 0.99),
    );
    served.stop()
}

fn small() -> Result<Vec<u8>> {
    let [h, w] = SIZE;
    Ok([format!("P6\n{w} {h}\n255\n").as_bytes(), &pixels()?].concat())
}

/// A REQ socket, as far as one request after the other needs it.
struct Detector {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Detector {
    fn new(at: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut hello = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x00NULL".to_vec();
        hello.resize(64, 0);
        let ready = b"\x05READY\x0bSocket-Type\0\0\0\x03REQ";
        hello.extend([4, u8::try_from(ready.len())?]);
        hello.extend(ready);
        stream.write_all(&hello)?;
        let mut theirs = [0; 64 + 2];
        stream.read_exact(&mut theirs)?;
        let mut ready = vec![0; theirs[65].into()];
        stream.read_exact(&mut ready)?;
        let [h, w] = SIZE;
        let header = format!(
            "{{\"shape\":[1,{h},{w},3],\"dtype\":\"uint8\",\"model_type\":\"yologeneric\"}}"
        );
        let data = pixels()?;
        let mut request = vec![1, 0, 1, u8::try_from(header.len())?];
        request.extend(header.as_bytes());
        request.push(2);
        request.extend((data.len() as u64).to_be_bytes());
        request.extend(data);
        Ok(Self { stream, request })
    }

    fn detect(&mut self) -> Result<()> {
        self.stream.write_all(&self.request)?;
        let mut reply = [0; 2 + 9 + 480];
        self.stream.read_exact(&mut reply)?;
        ensure!(reply[..3] == [1, 0, 2] && reply[11..].iter().any(|b| *b != 0));
        Ok(())
    }
}
