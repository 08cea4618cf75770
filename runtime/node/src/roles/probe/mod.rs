//! `probe`: a node that measures its links to other probes, how long its program takes, and how its board is. It answers one question
//! after the other, and keeps nothing but the last answers.
//!
//! | file | is |
//! |---|---|
//! | `link.rs` | pings and bursts to another probe |
//! | `received.rs` | what came of another probe's burst |
//! | `speed.rs` | times the program in a process of its own |
//! | `way.rs` | loss and delay of evenly sent datagrams to another probe |
//! | `health.rs` | how the board is, in parts |

mod health;
mod link;
mod received;
mod speed;
mod way;

use std::{collections::VecDeque, io, time::Duration};

use self::{health::Told, received::Received};
use super::line::{Line, Other};
use crate::{args::Args, doctor::Doctor, error::NodeError, statistics::tell, trust::Trust};
use tessera_plan::files::{
    events::Event,
    probe::{Answer, Ask, BURST_DATAGRAM_BYTES, DATAGRAM_BYTES_MAX, VERSION},
};
use tessera_runtime::program::Program;

/// Answers that are kept for questions that come again.
const ANSWERS_MAX: usize = 16;

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
pub fn run(program: &'static Program, a: &Args, trust: Option<Trust>) -> Result<(), NodeError> {
    let at = a.listen.ok_or_else(|| {
        NodeError::Usage("probe needs --listen ADDR:PORT, an address of this board".into())
    })?;
    let doctor = Doctor::new(program, a, trust.as_ref());
    let mut line = Line::bind(at, trust)?;
    let local = line.local()?;
    tell(&Event::Listening {
        addr: local.to_string(),
        program: program.name.into(),
    });
    let mut answers: VecDeque<Answer> = VecDeque::new();
    let mut received = Received::default();
    let mut told = Told::default();
    loop {
        let Some((ask, from, bytes)) = line.receive(Duration::from_secs(60), question) else {
            continue;
        };
        let session = ask.session();
        match ask {
            Ask::Ping { number, .. } => line.send(from, &Answer::Pong { session, number }),
            Ask::Burst { round, .. } => received.add((from.addr, session, round), bytes),
            Ask::Count { round, .. } => {
                line.send(from, &received.counted((from.addr, session, round)))
            }
            Ask::Heard { .. } => {
                let heard = line.heard();
                line.send(
                    from,
                    &Answer::Heard {
                        session,
                        from: heard,
                    },
                );
            }
            Ask::Health { part, .. } => line.send(from, &told.part(&doctor, session, part)),
            Ask::Hello { .. } | Ask::Link { .. } | Ask::Speed { .. } | Ask::Way { .. } => {
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
        Ask::Link { to, node, .. } => {
            let (addr, node) = (*to, *node);
            link::measure(line, session, Other { addr, node })
        }
        Ask::Way { to, node, .. } => {
            let (addr, node) = (*to, *node);
            way::measure(line, session, Other { addr, node })
        }
        _ => speed::measure(program, a, session),
    };
    result.unwrap_or_else(|why| Answer::Refused { session, why })
}

/// What a failed step says.
fn said(what: &str) -> impl FnOnce(io::Error) -> String {
    move |e| format!("{what}: {e}")
}
