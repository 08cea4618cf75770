//! Nodes that run as probes, and how they are asked.

mod asker;

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::{SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tessera_plan::files::probe::{Answer, Ask, PORT};

pub use asker::{Asker, At};

/// Time between repeats of a question.
const AGAIN: Duration = Duration::from_millis(500);

/// A number that names a question.
pub fn session() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Where the probe of a board listens: at its `address` in the cluster file, else at the host of its name.
///
/// # Errors
/// When nobody knows the host.
pub fn of_board(name: &str, address: Option<&str>) -> Result<SocketAddr> {
    self::address(address.unwrap_or(name)).with_context(|| format!("board {name:?}"))
}

fn address(host: &str) -> Result<SocketAddr> {
    let found = match host.to_socket_addrs() {
        Ok(found) => Ok(found),
        Err(_) => (host, PORT).to_socket_addrs(),
    };
    let mut found: Vec<SocketAddr> = found
        .with_context(|| format!("cannot find {host}"))?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .with_context(|| format!("no address of {host}"))
}

/// Asks until an answer of the question's session comes; `None` if none comes in time.
///
/// # Errors
/// When the question has no form in JSON.
pub fn asked(asker: &mut Asker, to: At, ask: &Ask, within: Duration) -> Result<Option<Answer>> {
    let found = all_asked(asker, &[(to, ask.clone())], within)?;
    Ok(found.into_iter().next().flatten())
}

/// Asks several probes at the same time, each until its answer comes. Answers stand in the order of the questions; `None` for
/// those that do not come in time.
///
/// # Errors
/// When a question has no form in JSON.
pub fn all_asked(
    asker: &mut Asker,
    asks: &[(At, Ask)],
    within: Duration,
) -> Result<Vec<Option<Answer>>> {
    let begun = Instant::now();
    let mut answers: Vec<Option<Answer>> = vec![None; asks.len()];
    while begun.elapsed() < within && answers.iter().any(Option::is_none) {
        for ((to, ask), answer) in asks.iter().zip(&answers) {
            if answer.is_none() {
                asker.send(*to, &serde_json::to_vec(ask)?);
            }
        }
        let sent = Instant::now();
        while sent.elapsed() < AGAIN && answers.iter().any(Option::is_none) {
            let Some(answer) = asker.receive(AGAIN.saturating_sub(sent.elapsed())) else {
                continue;
            };
            let of = |(_, ask): &(At, Ask)| is_answer(ask, &answer);
            if let Some(at) = asks.iter().position(of) {
                answers[at] = Some(answer);
            }
        }
    }
    Ok(answers)
}

/// True if `answer` is of the question's session, and of its part.
fn is_answer(ask: &Ask, answer: &Answer) -> bool {
    let part = match (ask, answer) {
        (Ask::Health { part: asked, .. }, Answer::Health { part, .. }) => asked == part,
        _ => true,
    };
    part && answer.session() == ask.session()
}
