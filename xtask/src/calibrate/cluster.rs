//! `calibrate --cluster`: measures links and boards between nodes that run as probes, and writes what they find into a
//! copy of the cluster file.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tessera_plan::{
    files::{
        cluster::ClusterFile,
        probe::{Answer, Ask, VERSION},
    },
    plan::Plan,
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    boards::Board,
    cluster::{BoardValues, Cluster, rewritten},
    cost,
    options::PlanOptions,
    text::Table,
};

use crate::{
    boards,
    files::{self, Output},
    out::{note, out, outln},
    probes::{self, Asker, At, asked, session},
    progress::Step,
    workspace,
};

/// Longest wait for a probe that is there to say so.
const HELLO: Duration = Duration::from_secs(3);
/// Longest wait for a link.
const LINK: Duration = Duration::from_secs(60);
/// Longest wait for a board's speed.
const SPEED: Duration = Duration::from_secs(320);
/// Largest accepted plan, in bytes.
const PLAN_BYTES_MAX: u64 = 256 << 20;

/// A board with a probe, and what is known of it.
struct Probed<'a> {
    board: &'a Board,
    at: At,
    /// Of its best way to another board.
    bits_per_s: u64,
    delay_us: u64,
    /// Relative to its costs.
    speed: Option<f64>,
}

/// Runs the command on the cluster of `file`.
///
/// # Errors
/// When the file is wrong, a probe does not answer, or the copy cannot be written.
pub(super) fn run(file: &Path, plan: Option<&Path>, out: Option<&Path>) -> Result<()> {
    let (cluster, text) = boards::read(file)?;
    let plan = plan.map(read_plan).transpose()?;
    let usual = workspace::root()
        .join("out")
        .join(file.file_name().unwrap_or_default());
    let path = out.unwrap_or(&usual);
    let output = Output::check("--out", path)?;
    let who: ClusterFile = toml::from_str(&text)?;
    let mut probed = probed(&cluster, &who)?;
    let on_v6 = probed.iter().any(|p| p.at.addr.is_ipv6());
    let mut asker = Asker::new(&who, file.parent().unwrap_or(Path::new("")), on_v6)?;
    greet(&mut asker, &probed, plan.as_ref())?;
    links(&mut asker, &mut probed)?;
    if let Some(plan) = &plan {
        speeds(&mut asker, &mut probed, &cluster, plan)?;
    }
    let values: Vec<BoardValues<'_>> = probed.iter().map(Probed::values).collect();
    let text = rewritten(&text, &values).context("the cluster file has changed its form")?;
    output.write(text.as_bytes())?;
    out!("{}", table(&probed))?;
    outln!("wrote {}: plan with --cluster {0}", workspace::show(path))?;
    if plan.is_none() {
        note!(
            "note: speeds are measured too with --plan generated/NAME/plan.toml, of the nodes that run as probes"
        );
    }
    Ok(())
}

fn read_plan(path: &Path) -> Result<Plan> {
    let bytes = files::read(path, PLAN_BYTES_MAX, "give a plan.toml").context("--plan")?;
    let plan = Plan::from_toml(&String::from_utf8(bytes)?);
    plan.with_context(|| format!("--plan {}", workspace::show(path)))
}

/// The boards and where their probes listen: the gateway first, then the edges.
fn probed<'a>(cluster: &'a Cluster, who: &ClusterFile) -> Result<Vec<Probed<'a>>> {
    let nodes = who.nodes();
    let is_keyed = who.operator.is_some();
    let number = |board: &Board| {
        let node = (nodes.iter()).find(|n| n.board.name == board.name && !n.is_second);
        node.filter(|_| is_keyed).map(|n| n.number)
    };
    let edges = cluster.edges.iter().filter(|b| !b.is_gateway);
    let boards = std::iter::once(&cluster.gateway).chain(edges);
    boards
        .map(|board| {
            let addr = probes::of_board(&board.name, board.address.as_deref())?;
            Ok(Probed {
                board,
                at: At {
                    addr,
                    node: number(board),
                },
                bits_per_s: 0,
                delay_us: u64::MAX,
                speed: None,
            })
        })
        .collect()
}

/// Looks for all probes, and tells of all that are missing.
fn greet(asker: &mut Asker, probed: &[Probed<'_>], plan: Option<&Plan>) -> Result<()> {
    let mut missing = Vec::new();
    for p in probed {
        let (name, at) = (&p.board.name, p.at);
        let session = session();
        let hello = Ask::Hello {
            version: VERSION,
            session,
        };
        match asked(asker, at, &hello, HELLO)? {
            Some(Answer::Here {
                plan: hash,
                program,
                ..
            }) => {
                if plan.is_some_and(|plan| plan.hash != hash) {
                    bail!(
                        "the probe on {name} runs {program}, which is of another plan than --plan names"
                    );
                }
            }
            Some(Answer::Refused { why, .. }) => bail!("{name}: {why}"),
            _ if at.node.is_some() => missing.push(format!(
                "  on {name}: ./node probe --config cluster.toml --name {name}"
            )),
            _ if at.addr.ip().is_loopback() => {
                missing.push(format!("  on {name}: ./node probe --listen {}", at.addr));
            }
            _ => bail!(
                "{name} is not on this machine, so its probe needs keys: make them with cargo xtask cluster init"
            ),
        }
    }
    ensure!(
        missing.is_empty(),
        "no probe answers on {} of {} boards; end the cluster's nodes there, if they run, and start\n{}",
        missing.len(),
        probed.len(),
        missing.join("\n")
    );
    Ok(())
}

/// Measures the ways between the gateway and every edge, and between the first edge and the others.
fn links(asker: &mut Asker, probed: &mut [Probed<'_>]) -> Result<()> {
    let others = |first: usize| (first + 1..probed.len()).map(move |k| (first, k));
    let pairs: Vec<(usize, usize)> = others(0).chain(others(1)).collect();
    let step = Step::begin(format!("Measuring {} ways between boards", pairs.len()));
    for (a, b) in pairs {
        step.note(&format!(
            "{} and {}",
            probed[a].board.name, probed[b].board.name
        ));
        for (from, to) in [(a, b), (b, a)] {
            let (name, peer) = (&probed[from].board.name, &probed[to].board.name);
            let link = Ask::Link {
                session: session(),
                to: probed[to].at.addr,
                node: probed[to].at.node,
            };
            let (bits, us) = match asked(asker, probed[from].at, &link, LINK)? {
                Some(Answer::Linked {
                    bits_per_s,
                    delay_us,
                    ..
                }) => (bits_per_s, delay_us),
                Some(Answer::Refused { why, .. }) => bail!("from {name} to {peer}: {why}"),
                _ => bail!("{name} does not answer any more"),
            };
            // A way is as slow as the slower of both boards: the best of a board's ways is nearest to its own link.
            for end in [from, to] {
                let end = &mut probed[end];
                end.bits_per_s = end.bits_per_s.max(bits);
                end.delay_us = end.delay_us.min(us);
            }
        }
    }
    step.done("");
    Ok(())
}

/// Times the probes' program on every board.
fn speeds(
    asker: &mut Asker,
    probed: &mut [Probed<'_>],
    cluster: &Cluster,
    plan: &Plan,
) -> Result<()> {
    let step = Step::begin("Timing boards");
    let o = PlanOptions {
        boards: cluster.edges.clone(),
        gateway: cluster.gateway.clone(),
        ..PlanOptions::default()
    };
    for p in probed {
        step.note(&p.board.name);
        let speed = Ask::Speed { session: session() };
        let measured_s = match asked(asker, p.at, &speed, SPEED)? {
            Some(Answer::Timed { frame_us, .. }) => Duration::from_micros(frame_us).as_secs_f64(),
            Some(Answer::Refused { why, .. }) => bail!("{}: {why}", p.board.name),
            _ => bail!("{} does not answer any more", p.board.name),
        };
        // The file's own figure is in the planned time.
        let before = 1.0 / p.board.scale.at(0);
        let planned_s = cost::net_s(&plan.network, &o, p.board);
        p.speed = Some((before * planned_s / measured_s.max(1e-9)).clamp(0.001, 1000.0));
    }
    step.done("");
    Ok(())
}

impl Probed<'_> {
    fn values(&self) -> BoardValues<'_> {
        let rate = format!("\"{:.3}Mbit\"", mbit(self.bits_per_s).max(0.001));
        let mut values = vec![
            ("rate", rate),
            ("delay", format!("\"{}us\"", self.delay_us)),
        ];
        values.extend(self.speed.map(|s| ("speed", format!("{s:.3}"))));
        (&self.board.name, values)
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn mbit(bits_per_s: u64) -> f64 {
    bits_per_s as f64 / 1e6
}

fn table(probed: &[Probed<'_>]) -> String {
    let mut t = Table::new("<>>>", &["board", "Mbit/s", "delay", "speed"]);
    for p in probed {
        let speed = p.speed.map_or_else(|| "-".into(), |s| format!("{s:.3}"));
        let rate = format!("{:.1}", mbit(p.bits_per_s));
        t.row(&[&p.board.name, &rate, &format!("{} us", p.delay_us), &speed]);
    }
    t.render(2)
}
