//! `probe`: a node that measures its links to other probes, and how long its program takes. It answers one question
//! after the other, and keeps nothing but the last answers.
//!
//! | file | is |
//! |---|---|
//! | `link.rs` | pings and bursts to another probe |
//! | `received.rs` | what came of another probe's burst |
//! | `speed.rs` | times the program in a process of its own |

mod link;
mod received;
mod speed;

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use self::received::Received;
use crate::{
    args::Args,
    console::{self, Patience},
    error::NodeError,
    statistics::tell,
    udp,
};
use tessera_plan::files::{
    events::Event,
    probe::{Answer, Ask, BURST_DATAGRAM_BYTES, DATAGRAM_BYTES_MAX, VERSION},
};
use tessera_runtime::program::Program;

/// Answers that are kept for questions that come again.
const ANSWERS_MAX: usize = 16;

/// The socket of a probe, and the buffer for what arrives.
struct Line {
    socket: UdpSocket,
    buffer: [u8; 2048],
}

impl Line {
    /// The next datagram that is one of a probe's, of those that arrive within a time; `None` if there is none. Others are
    /// ignored.
    fn receive<T>(
        &mut self,
        within: Duration,
        read: fn(&[u8]) -> Option<T>,
    ) -> Option<(T, SocketAddr, usize)> {
        // A time of zero would mean to wait for ever.
        let within = within.max(Duration::from_micros(100));
        self.socket.set_read_timeout(Some(within)).ok()?;
        let (bytes, from) = self.socket.recv_from(&mut self.buffer).ok()?;
        Some((read(&self.buffer[..bytes])?, from, bytes))
    }

    fn send(&self, to: SocketAddr, what: &impl serde::Serialize) {
        if let Ok(bytes) = serde_json::to_vec(what) {
            // What is lost is asked for again.
            let _ = self.socket.send_to(&bytes, to);
        }
    }
}

/// A question, which padding may follow.
fn question(bytes: &[u8]) -> Option<Ask> {
    if bytes.len() > DATAGRAM_BYTES_MAX.max(BURST_DATAGRAM_BYTES) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
    values.next()?.ok()
}

/// An answer.
fn answer(bytes: &[u8]) -> Option<Answer> {
    serde_json::from_slice(bytes).ok()
}

/// Runs the role until a signal ends it.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    let at = a.listen.ok_or_else(|| {
        NodeError::Usage("probe needs --listen ADDR:PORT, an address of this board".into())
    })?;
    let mut line = Line {
        socket: bind(at, a.insecure_lan)?,
        buffer: [0; 2048],
    };
    let local = line
        .socket
        .local_addr()
        .map_err(NodeError::io("no address"))?;
    tell(&Event::Listening {
        addr: local.to_string(),
        program: program.name.into(),
    });
    let mut answers: VecDeque<Answer> = VecDeque::new();
    let mut received = Received::default();
    loop {
        let Some((ask, from, bytes)) = line.receive(Duration::from_secs(60), question) else {
            continue;
        };
        let session = ask.session();
        match ask {
            Ask::Ping { number, .. } => line.send(from, &Answer::Pong { session, number }),
            Ask::Burst { round, .. } => received.add((from, session, round), bytes),
            Ask::Count { round, .. } => line.send(from, &received.counted((from, session, round))),
            Ask::Hello { .. } | Ask::Link { .. } | Ask::Speed { .. } => {
                let known = answers.iter().position(|a| a.session() == session);
                let known = known.and_then(|k| answers.remove(k));
                let found = known.unwrap_or_else(|| found(program, a, &mut line, &ask));
                line.send(from, &found);
                answers.push_back(found);
                if answers.len() > ANSWERS_MAX {
                    answers.pop_front();
                }
            }
        }
    }
}

/// Measures what is asked for.
fn found(program: &Program, a: &Args, line: &mut Line, ask: &Ask) -> Answer {
    let session = ask.session();
    let result = match ask {
        Ask::Hello { version, .. } if *version != VERSION => Err(format!(
            "this probe answers questions of version {VERSION}, not {version}; give all boards the same node"
        )),
        Ask::Hello { .. } => Ok(Answer::Here {
            session,
            program: program.name.into(),
            plan: program
                .plan_hash
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        }),
        Ask::Link { to, .. } => link::measure(line, session, *to),
        _ => speed::measure(program, a, session),
    };
    result.unwrap_or_else(|why| Answer::Refused { session, why })
}

fn bind(at: SocketAddr, insecure_lan: bool) -> Result<UdpSocket, NodeError> {
    let exposed = udp::check_bind(at, insecure_lan)?;
    let socket = UdpSocket::bind(at).map_err(NodeError::io(format!("cannot listen on {at}")))?;
    if exposed {
        let warning = format!(
            "WARNING: probing on {at} without authentication: everybody who reaches this address can make this node send \
             bursts to other probes, and compute (--insecure-lan)\n"
        );
        console::err(&warning, Patience::Brief);
    }
    Ok(socket)
}

/// What a failed step says.
fn said(what: &str) -> impl FnOnce(io::Error) -> String {
    move |e| format!("{what}: {e}")
}
