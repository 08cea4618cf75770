//! Boards where nodes run as probes.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use tessera_health::{Checkup, Finding, Kind};
use tessera_plan::files::{
    cluster::ClusterFile,
    probe::{Answer, Ask, PARTS_MAX, VERSION},
};

use crate::{
    exit,
    probes::{self, Asker, At, all_asked, asked, session},
};

/// Longest wait for a probe that is there to say so.
const HELLO: Duration = Duration::from_secs(3);
/// Longest wait for a board's look at itself: 16 cameras of 20 seconds would take longer.
const HEALTH: Duration = Duration::from_secs(120);
/// Longest wait for each further part of what it says.
const PART: Duration = Duration::from_secs(5);
/// Clocks that differ by more show in records.
const CLOCK_MS: u64 = 5_000;

/// A board that was asked.
#[derive(Debug)]
pub struct BoardAt {
    /// Its name.
    pub name: String,
    /// Its number in the cluster.
    pub number: u16,
    /// Where its probe should be.
    pub at: At,
    /// What its probe said: name of the program, hash of the plan.
    pub hello: Option<(String, String)>,
}

/// The boards, and the socket that they are asked through.
pub struct Asked {
    /// The gateway's board first.
    pub boards: Vec<BoardAt>,
    /// Numbers of boards whose names lead nowhere, and what that is.
    pub nowhere: Vec<(u16, Finding)>,
    /// The socket.
    pub asker: Asker,
}

impl Asked {
    /// All boards of the file, of which none was asked.
    ///
    /// # Errors
    /// When a key cannot be had.
    pub fn new(who: &ClusterFile, folder: &Path) -> Result<Self> {
        let is_keyed = who.operator.is_some();
        let (mut boards, mut nowhere) = (Vec::new(), Vec::new());
        let nodes = who.nodes();
        for node in nodes
            .iter()
            .filter(|n| !n.is_second && !n.is_observer() && !n.board.removed)
        {
            let (name, address) = (&node.board.name, node.board.address.as_deref());
            let addr = match probes::of_board(name, address) {
                Ok(addr) => addr,
                Err(e) => {
                    nowhere.push((node.number, leads_nowhere(name, address, &e)));
                    continue;
                }
            };
            boards.push(BoardAt {
                name: node.board.name.clone(),
                number: node.number,
                at: At {
                    addr,
                    node: is_keyed.then_some(node.number),
                },
                hello: None,
            });
        }
        let on_v6 = boards.iter().any(|b| b.at.addr.is_ipv6());
        Ok(Self {
            boards,
            nowhere,
            asker: Asker::new(who, folder, on_v6)?,
        })
    }

    /// Looks for probes.
    ///
    /// # Errors
    /// When a probe is of another version.
    pub fn greet(&mut self) -> Result<()> {
        let hello = |b: &BoardAt| {
            let session = session();
            (
                b.at,
                Ask::Hello {
                    version: VERSION,
                    session,
                },
            )
        };
        let asks: Vec<_> = self.boards.iter().map(hello).collect();
        let answers = all_asked(&mut self.asker, &asks, HELLO)?;
        for (board, answer) in self.boards.iter_mut().zip(answers) {
            match answer {
                Some(Answer::Here { program, plan, .. }) => board.hello = Some((program, plan)),
                Some(Answer::Refused { why, .. }) => bail!("{}: {why}", board.name),
                _ => {}
            }
        }
        Ok(())
    }

    /// Places of the boards that answer.
    pub fn answering(&self) -> impl Iterator<Item = usize> + '_ {
        let there = |k: &usize| self.boards[*k].hello.is_some();
        (0..self.boards.len()).filter(there)
    }

    /// How the boards are, by name.
    ///
    /// # Errors
    /// When a board ends in between, or its answer is none.
    pub fn checkups(&mut self) -> Result<Vec<(String, Checkup)>> {
        let there: Vec<usize> = self.answering().collect();
        let asks: Vec<(At, Ask)> = (there.iter())
            .map(|k| {
                (
                    self.boards[*k].at,
                    Ask::Health {
                        session: session(),
                        part: 0,
                    },
                )
            })
            .collect();
        let answers = all_asked(&mut self.asker, &asks, HEALTH)?;
        let mut all = Vec::new();
        for ((k, (at, ask)), first) in there.into_iter().zip(asks).zip(answers) {
            let name = self.boards[k].name.clone();
            let checkup = self
                .whole(at, ask.session(), first)
                .with_context(|| name.clone())?;
            all.push((name, checkup));
        }
        Ok(all)
    }

    /// The whole of what a board says, whose first part is there.
    fn whole(&mut self, at: At, session: u64, first: Option<Answer>) -> Result<Checkup> {
        let (mut text, mut answer, mut part) = (String::new(), first, 0);
        loop {
            match answer {
                Some(Answer::Health {
                    parts, text: piece, ..
                }) => {
                    text += &piece;
                    part += 1;
                    if part >= parts.min(PARTS_MAX) {
                        break;
                    }
                }
                Some(Answer::Refused { why, .. }) => bail!("{why}"),
                _ => bail!("the probe does not answer any more"),
            }
            answer = asked(&mut self.asker, at, &Ask::Health { session, part }, PART)?;
        }
        serde_json::from_str(&text).context("what the probe says of its board")
    }
}

/// A board whose address cannot be looked up.
fn leads_nowhere(name: &str, address: Option<&str>, e: &anyhow::Error) -> Finding {
    let host = address.unwrap_or(name);
    Finding::fault(
        Kind::Absent,
        format!("nothing on the network is called {host}"),
        exit::with_causes(e),
        "is it on, and has it that host name? Names that end in .local need mDNS (sudo apt install libnss-mdns); or write its \
         address into its [[board]]",
    )
    .on(name)
}

/// Boards whose nodes are of another plan than most.
pub fn plans(asked: &Asked) -> Vec<Finding> {
    let here = |b: &BoardAt| Some((b.name.clone(), b.hello.clone()?.1));
    let all: Vec<(String, String)> = asked.boards.iter().filter_map(here).collect();
    others(&all)
}

/// Names whose plan is another than that of most; of the first, if none is that of most.
fn others(all: &[(String, String)]) -> Vec<Finding> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, plan) in all {
        *counts.entry(plan).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(0);
    let Some((reference, usual)) = all.iter().find(|(_, plan)| counts[plan.as_str()] == most)
    else {
        return Vec::new();
    };
    let short = |plan: &str| plan.chars().take(12).collect::<String>();
    let other = all.iter().filter(|(_, plan)| plan != usual);
    other
        .map(|(name, plan)| {
            Finding::fault(
                Kind::OtherPlan,
                "its node is of another plan, so it cannot take part",
                format!("plan {} here, {} on {reference}", short(plan), short(usual)),
                "build all nodes from one plan.toml, and copy node and weights.bin to the board",
            )
            .on(name.clone())
        })
        .collect()
}

/// A board whose clock is not that of this machine.
pub fn clock(name: &str, unix_ms: u64) -> Option<Finding> {
    let here = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    differs(
        name,
        unix_ms,
        u64::try_from(here.as_millis()).unwrap_or(u64::MAX),
    )
}

fn differs(name: &str, there_ms: u64, here_ms: u64) -> Option<Finding> {
    let by = there_ms.abs_diff(here_ms);
    let which = if there_ms > here_ms {
        "ahead"
    } else {
        "behind"
    };
    (by > CLOCK_MS).then(|| {
        Finding::fault(
            Kind::ClockDiffers,
            format!(
                "its clock is {} s {which} of this machine's, so records have wrong times",
                by / 1000
            ),
            "the time that its probe told",
            "sudo timedatectl set-ntp true on both, and a way to a time server",
        )
        .on(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_nowhere_are_found_and_others_are_asked() {
        let file = "version = 1\n\n[[board]]\nname = \"hub\"\nroles = [\"gateway\"]\naddress = \"127.0.0.1\"\n\n\
                    [[board]]\nname = \"shed\"\nroles = [\"edge\"]\naddress = \"shed.invalid\"\n";
        let file = toml::from_str(file).unwrap();
        let asked = Asked::new(&file, Path::new("")).unwrap();
        assert_eq!(asked.boards.len(), 1);
        let [(number, finding)] = &asked.nowhere[..] else {
            panic!("{:?}", asked.nowhere);
        };
        assert_eq!((*number, finding.kind), (1, Kind::Absent));
        let line = finding.line();
        assert!(line.starts_with("shed: fault: nothing on the network is called shed.invalid"));
    }

    #[test]
    fn the_odd_plan_is_named() {
        let of = |plans: &[(&str, &str)]| {
            let all: Vec<_> = plans
                .iter()
                .map(|(n, p)| (n.to_string(), p.to_string()))
                .collect();
            let found = others(&all);
            found
                .into_iter()
                .filter_map(|f| f.board)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), [] as [&str; 0]);
        assert_eq!(of(&[("hub", "a"), ("x", "a"), ("y", "a")]), [] as [&str; 0]);
        assert_eq!(of(&[("hub", "a"), ("x", "b"), ("y", "b")]), ["hub"]);
        assert_eq!(of(&[("hub", "a"), ("x", "b")]), ["x"]);
    }

    #[test]
    fn clocks() {
        assert_eq!(differs("x", 100_000, 104_000), None);
        let found = differs("x", 90_000, 100_000).unwrap();
        assert_eq!(found.kind, Kind::ClockDiffers);
        assert!(found.what.contains("10 s behind"), "{found:?}");
    }
}
