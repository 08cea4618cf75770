//! Datagrams between boards, both ways.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tessera_health::{Finding, Kind, Way, way};
use tessera_plan::files::probe::{Answer, Ask};

use super::boards::{Asked, BoardAt};
use crate::{
    probes::{asked, session},
    progress::Step,
};

/// Longest wait for a way.
const WAY: Duration = Duration::from_secs(30);
/// Longest wait for whom a probe has heard.
const HEARD: Duration = Duration::from_secs(5);

/// A way that was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    from: String,
    to: String,
    delay_us: u64,
    slow_us: u64,
    sent: u64,
    arrived: u64,
}

/// Measures the ways between the first board that answers and all others, and from each of these to the next one. Says what is
/// wrong with them.
///
/// # Errors
/// When a question has no form in JSON.
pub fn measure(all: &mut Asked, step: &Step) -> Result<(Vec<Measured>, Vec<Finding>)> {
    let (mut measured, mut found) = (Vec::new(), Vec::new());
    let there: Vec<usize> = all.answering().collect();
    for (a, b) in pairs(&there) {
        let mut refused = Vec::new();
        for (from, to) in [(a, b), (b, a)] {
            let [name, peer] = [from, to].map(|k| all.boards[k].name.clone());
            step.note(&format!("{name} to {peer}"));
            let to_at = all.boards[to].at;
            let ask = Ask::Way {
                session: session(),
                to: to_at.addr,
                node: to_at.node,
            };
            match asked(&mut all.asker, all.boards[from].at, &ask, WAY)? {
                Some(Answer::Travelled {
                    delay_us,
                    slow_us,
                    sent,
                    arrived,
                    ..
                }) => {
                    let seen = Way {
                        delay_us,
                        slow_us,
                        sent,
                        arrived,
                    };
                    found.extend(way(&name, &peer, seen));
                    measured.push(Measured {
                        from: name,
                        to: peer,
                        delay_us,
                        slow_us,
                        sent,
                        arrived,
                    });
                }
                Some(Answer::Refused { why, .. }) => refused.push(why),
                _ => refused.push("the probe does not answer any more".to_owned()),
            }
        }
        if let Some(why) = refused.first() {
            let [a_to_b, b_to_a] = [hears(all, b, a)?, hears(all, a, b)?];
            found.push(apart(&all.boards[a], &all.boards[b], [a_to_b, b_to_a], why));
        }
    }
    Ok((measured, found))
}

/// The first with all others, and each of these with the next.
fn pairs(there: &[usize]) -> Vec<(usize, usize)> {
    let Some((first, others)) = there.split_first() else {
        return Vec::new();
    };
    let star = others.iter().map(|k| (*first, *k));
    let next = others.windows(2).map(|w| (w[0], w[1]));
    star.chain(next).collect()
}

/// Whether anything of the board `from` has come to `board`; `None` if it does not say.
fn hears(all: &mut Asked, board: usize, from: usize) -> Result<Option<bool>> {
    let addr = all.boards[from].at.addr;
    let ask = Ask::Heard { session: session() };
    let answer = asked(&mut all.asker, all.boards[board].at, &ask, HEARD)?;
    Ok(match answer {
        Some(Answer::Heard { from, .. }) => Some(from.contains(&addr)),
        _ => None,
    })
}

/// Two boards that this machine reaches, and that do not reach each other. `arrives`: whether anything came from the first to
/// the second, and back.
fn apart(a: &BoardAt, b: &BoardAt, arrives: [Option<bool>; 2], why: &str) -> Finding {
    let [from, to] = match arrives {
        [Some(true), _] => [a, b],
        _ => [b, a],
    };
    let advice = "look for a firewall on both boards, and at their routes (ip route get ADDRESS on each); access points that keep guests apart do this, too";
    match arrives {
        [Some(true), Some(false)] | [Some(false), Some(true)] => Finding::fault(
            Kind::OneWay,
            format!(
                "datagrams to {} arrive, and those from there do not",
                to.name
            ),
            format!(
                "{} has heard {}, and not the other way round",
                to.name, from.at.addr
            ),
            advice,
        ),
        [Some(true), Some(true)] => Finding::fault(
            Kind::WrongKeys,
            format!(
                "it and {} hear each other and do not understand each other",
                to.name
            ),
            why,
            "copy cluster.toml to both again: each must know the other's key of now",
        ),
        _ => Finding::fault(
            Kind::Firewall,
            format!(
                "it and {} do not reach each other, though this machine reaches both",
                to.name
            ),
            why,
            advice,
        ),
    }
    .on(from.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::At;

    #[test]
    fn every_board_is_measured_with_two() {
        assert_eq!(pairs(&[]), []);
        assert_eq!(pairs(&[3]), []);
        assert_eq!(pairs(&[0, 2]), [(0, 2)]);
        assert_eq!(
            pairs(&[0, 1, 2, 4]),
            [(0, 1), (0, 2), (0, 4), (1, 2), (2, 4)]
        );
    }

    #[test]
    fn who_hears_whom_says_what_is_wrong() {
        let at = |name: &str, port| BoardAt {
            name: name.into(),
            number: port,
            at: At {
                addr: ([127, 0, 0, 1], port).into(),
                node: None,
            },
            hello: None,
        };
        let (a, b) = (at("a", 1), at("b", 2));
        let of = |arrives| {
            let f = apart(&a, &b, arrives, "no probe answers");
            (f.kind, f.board.unwrap())
        };
        assert_eq!(of([Some(true), Some(false)]), (Kind::OneWay, "a".into()));
        assert_eq!(of([Some(false), Some(true)]), (Kind::OneWay, "b".into()));
        assert_eq!(of([Some(true), Some(true)]).0, Kind::WrongKeys);
        assert_eq!(of([Some(false), Some(false)]).0, Kind::Firewall);
        assert_eq!(of([None, None]).0, Kind::Firewall);
    }
}
