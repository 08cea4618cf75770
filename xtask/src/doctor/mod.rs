//! `cargo xtask doctor`: what is likely to be wrong with this machine as a board, or with a cluster, each in one line.
//!
//! | file | looks at |
//! |---|---|
//! | `file.rs` | the cluster file and its keys |
//! | `running.rs` | the running cluster, as its gateway tells of it |
//! | `boards.rs` | boards where nodes run as probes |
//! | `ways.rs` | datagrams between these boards, both ways |
//! | `silent.rs` | boards that do not answer |

mod boards;
mod file;
mod running;
mod silent;
mod ways;

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use tessera_health::{
    Aims, Board, Checkup, Finding, Health, Kind, Root, Severity, board, facts, lines,
};

use crate::{
    boards as described, exit,
    flags::DoctorArgs,
    gateway::Target,
    out::{note, out, outln},
    progress::Step,
};

/// Between two looks at what is counted.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// All that was seen, for `--json`.
#[derive(Debug, Default, Serialize)]
struct Seen {
    findings: Vec<Finding>,
    /// How boards are, by name; those that could be asked.
    boards: Vec<(String, Health)>,
    /// Ways that were measured.
    ways: Vec<ways::Measured>,
    /// A running cluster told of itself.
    gateway_answers: bool,
}

/// Runs the command.
///
/// # Errors
/// When a file is wrong, or a fault was found.
pub fn run(a: &DoctorArgs) -> Result<()> {
    let seen = match &a.cluster {
        Some(path) => cluster(a, path)?,
        None if a.gateway.at.is_some() => bail!("--at goes with --cluster FILE"),
        None => here(&a.root),
    };
    if a.json {
        outln!("{}", serde_json::to_string(&seen)?)?;
    } else if seen.findings.is_empty() {
        outln!("nothing is wrong")?;
    } else {
        out!("{}", lines(&seen.findings))?;
    }
    let is_fault = |f: &&Finding| f.severity == Severity::Fault;
    match seen.findings.iter().filter(is_fault).count() {
        0 => Ok(()),
        faults => bail!("{faults} fault(s) found; docs/doctor.md has a row for each"),
    }
}

/// This machine.
fn here(root: &Path) -> Seen {
    let root = Root::new(root);
    let before = Board::read(&root, "node");
    std::thread::sleep(LOOK);
    let now = Board::read(&root, "node");
    let aims = Aims {
        addresses: facts::addresses(),
        packet_bytes: facts::PACKET_BYTES,
        receive: facts::receive_buffer(facts::RECEIVE_BYTES),
        ..Aims::default()
    };
    Seen {
        findings: board(&before, &now, &aims),
        boards: vec![("this machine".into(), Health::from(&now))],
        ..Seen::default()
    }
}

fn cluster(a: &DoctorArgs, path: &Path) -> Result<Seen> {
    let who = described::entries(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut seen = Seen {
        findings: file::check(&who, folder),
        ..Seen::default()
    };
    let token = a.gateway.token.as_deref();
    let target = match &a.gateway.at {
        Some(at) => Some(Target::new(at, token)?),
        None => Target::of(&who, folder, token)?,
    };
    // By number: a gateway without keys does not know the file's names.
    let mut up: Vec<u16> = Vec::new();
    if let Some(target) = &target {
        let step = Step::begin("Asking the gateway");
        let looked = running::look(target);
        step.done("");
        match looked {
            Ok((before, now)) => {
                seen.gateway_answers = true;
                seen.findings.extend(running::check(&before, &now));
                up.push(0);
                up.extend(now.boards.iter().filter(|b| b.up).map(|b| b.number));
                let nodes = who.nodes();
                let gateway = nodes.iter().find(|n| n.number == 0).map(|n| n.name());
                seen.boards
                    .extend(gateway.map(|name| (name, now.health.clone())));
                let told = now.boards.iter();
                let told = told.filter_map(|b| Some((b.name.clone(), b.health_now()?.clone())));
                seen.boards.extend(told);
            }
            // Where the file promises a service, and probes may run instead of the cluster.
            Err(e) if a.gateway.at.is_none() => note!("note: {e}"),
            Err(e) => return Err(e.into()),
        }
    }
    let step = Step::begin("Looking for probes");
    let mut asked = match boards::Asked::new(&who, folder) {
        Ok(asked) => asked,
        // That is why: nobody can be asked before it is put right.
        Err(e) if seen.findings.iter().any(|f| f.kind == Kind::ClusterFile) => {
            note!("note: no board was asked: {}", exit::with_causes(&e));
            return Ok(seen);
        }
        Err(e) => return Err(e),
    };
    // A board that takes part was found by another way.
    let nowhere = asked.nowhere.drain(..).filter(|(n, _)| !up.contains(n));
    seen.findings.extend(nowhere.map(|(_, finding)| finding));
    asked.greet()?;
    step.done(&format!(
        "{} of {} boards run one",
        asked.answering().count(),
        asked.boards.len()
    ));
    seen.findings.extend(boards::plans(&asked));
    if asked.answering().count() > 0 {
        let step = Step::begin("Asking the boards how they are");
        for (name, checkup) in asked.checkups()? {
            step.note(&name);
            told(&mut seen, name, checkup);
        }
        step.done("");
        let step = Step::begin("Measuring the ways between them");
        let (measured, findings) = ways::measure(&mut asked, &step)?;
        step.done(&format!("{} ways", measured.len()));
        seen.ways = measured;
        seen.findings.extend(findings);
    }
    let silent = asked.boards.iter().filter(|b| b.hello.is_none());
    let silent: Vec<_> = silent.filter(|b| !up.contains(&b.number)).collect();
    let running = asked.boards.len() - silent.len() - asked.answering().count();
    // Of a board that should run and does not, the gateway has told.
    for board in silent {
        let told = |f: &Finding| f.board.as_deref() == Some(&board.name);
        if !seen.gateway_answers || !seen.findings.iter().any(told) {
            seen.findings
                .push(silent::check(board, who.operator.is_some()));
        }
    }
    if running > 0 {
        note!(
            "note: {running} board(s) run the cluster, so only the gateway was asked of them; for their memory and network run \
             node doctor there, or start a node probe beside them (docs/doctor.md)"
        );
    }
    Ok(seen)
}

/// Takes what a board said of itself.
fn told(seen: &mut Seen, name: String, checkup: Checkup) {
    // It says itself what the gateway may have heard of its power and heat.
    seen.boards.retain(|(known, _)| *known != name);
    seen.findings
        .retain(|f| f.board.as_ref() != Some(&name) || !f.kind.is_told());
    let findings = checkup.findings.into_iter();
    seen.findings.extend(findings.map(|f| f.on(name.clone())));
    seen.findings.extend(boards::clock(&name, checkup.unix_ms));
    seen.boards.push((name, checkup.health));
}
