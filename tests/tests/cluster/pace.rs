//! What attacks cost a cluster in frames. Measured, not asserted: a machine that has other things to do would fail.
//!
//! `cargo test --release -p tessera-tests --test cluster pace -- --ignored --nocapture`: frames of the same time undisturbed, with an
//! attacker that takes the same processor time on this machine and aims at nobody, and under each attack, turn by turn.
//! `TESSERA_PACE_SECONDS` is the time of each.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tessera_protocol::{
    RequestId,
    wire::{self, Envelope, Message},
};
use tessera_tests::{
    faulty_edge::{Fault, FaultyEdge},
    insider::Insider,
    keys::Keys,
    rig::{Cluster, Edge},
    turning::Turning,
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::reaches,
    sealed::{setup, three},
    strangers::info_of,
};

/// What is done to the cluster meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    Nothing,
    /// 10,000 initiations a second, of a stranger.
    Initiations,
    /// As many valid datagrams as an invited board can send, to the gateway and to the source.
    Flood,
    /// An invited board takes tasks.
    Board(Fault),
}

/// Time of one run.
pub fn time() -> Duration {
    let seconds = std::env::var("TESSERA_PACE_SECONDS").ok();
    let seconds = seconds.and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// A thread that sends until it is dropped.
struct Sender {
    sent: Arc<AtomicU64>,
    _thread: Turning,
}

impl Sender {
    fn start(mut turn: impl FnMut() -> u64 + Send + 'static) -> Self {
        let sent = Arc::<AtomicU64>::default();
        let count = Arc::clone(&sent);
        let thread = Turning::start(move || {
            count.fetch_add(turn(), Ordering::Relaxed);
        });
        Self {
            sent,
            _thread: thread,
        }
    }
}

/// What an attacker hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Nodes,
    /// A socket that nobody reads.
    Nobody,
}

/// 10,000 initiations a second.
fn initiations(gateway: SocketAddr, aim: Aim) -> Result<Sender> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let unread = UdpSocket::bind("127.0.0.1:0")?;
    let to = match aim {
        Aim::Nodes => gateway,
        Aim::Nobody => unread.local_addr()?,
    };
    let mut message = [0u8; 152];
    message[0] = 1;
    let (begun, mut sent) = (Instant::now(), 0u64);
    Ok(Sender::start(move || {
        let due = begun.elapsed().as_millis() as u64 * 10;
        let n = due.saturating_sub(sent);
        for _ in 0..n {
            for byte in &mut message[4..] {
                *byte = byte.wrapping_mul(167).wrapping_add(13);
            }
            let _ = socket.send_to(&message, to);
        }
        let _open = &unread;
        sent += n;
        std::thread::sleep(Duration::from_millis(1));
        n
    }))
}

/// All that an invited board may say to source and gateway, as fast as it can.
fn flood(keys: &Keys, program: &str, gateway: SocketAddr, aim: Aim) -> Result<Sender> {
    let links = keys.links("edge-3", 5, Some(wire::sender))?;
    let mut insider = Insider::new(3, links, info_of(&node(program), program)?, gateway)?;
    let source = insider.join(1)?;
    let to_source = tessera_secure::Way {
        number: 1,
        process: Some(source.incarnation().0),
        address: source.addr(),
    };
    let unread = UdpSocket::bind("127.0.0.1:0")?;
    if aim == Aim::Nobody {
        insider.aside = Some(unread.local_addr()?);
    }
    // Who is not answered must not become slower by that: aimed at nobody, or shut out, it takes the same processor time.
    insider.never_wait()?;
    let mut seq = 0;
    Ok(Sender::start(move || {
        let _open = &unread;
        let to_gateway = insider.gateway();
        for _ in 0..20 {
            seq += 1;
            let me = Envelope {
                to_incarnation: insider.gateway_life,
                ..insider.me
            };
            insider.say(to_gateway, me, &Message::StealGateway { seq });
            let me = Envelope {
                to_incarnation: Some(source.incarnation()),
                ..insider.me
            };
            let request = RequestId(seq);
            insider.say(to_source, me, &Message::StealClient { request });
        }
        insider.beat(&[1]);
        insider.listen(Duration::from_micros(50));
        41
    }))
}

/// Frames that a cluster ends within the time.
fn frames(program: &str, attack: Attack, verify: &str, aim: Aim) -> Result<(u64, u64)> {
    let keys = three()?;
    let node = node(program);
    let some = Frames::new(&node, 3, 99)?;
    // More than can end in the time.
    let many = some.files.iter().cycle().take(30_000).cloned();
    let mut source = Edge::source(1, many);
    source.flags.extend(["--verify".into(), verify.into()]);
    let cluster = Cluster::start(&node, setup(&keys, source, 1))?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    let at = cluster.gateway.event("listening", LONG)?;
    let gateway: SocketAddr = at["addr"].as_str().context("an address")?.parse()?;
    let mut board = None;
    let mut sender = None;
    match attack {
        Attack::Nothing => {}
        Attack::Initiations => sender = Some(initiations(gateway, aim)?),
        Attack::Flood => sender = Some(flood(&keys, program, gateway, aim)?),
        Attack::Board(fault) => {
            let links = keys.links("edge-3", 9, Some(wire::sender))?;
            board = Some(FaultyEdge::start(
                3,
                fault,
                links,
                info_of(&node, program)?,
                gateway,
            )?);
            reaches(&cluster.gateway, "/counters/nodes_joined", 3)?;
        }
    }
    let ended = |c: &Cluster| -> Result<u64> {
        Ok(number(&c.gateway.ask(LONG)?, "/counters/frames_detected"))
    };
    let (before, begun) = (ended(&cluster)?, Instant::now());
    std::thread::sleep(time());
    let (after, took) = (ended(&cluster)?, begun.elapsed());
    let per_second = |n: u64| (n as f64 / took.as_secs_f64()).round() as u64;
    let did = match (&sender, &board) {
        (Some(s), _) => per_second(s.sent.load(Ordering::Relaxed)),
        (_, Some(b)) => b.tasks.load(Ordering::Relaxed),
        _ => 0,
    };
    drop((sender, board));
    Ok((
        ((after - before) as f64 * time().as_secs_f64() / took.as_secs_f64()) as u64,
        did,
    ))
}

#[test]
#[ignore = "measures; see the module"]
fn pace_under_attack() -> Result<()> {
    println!("{} s each", time().as_secs());
    println!(
        "program             attack               frames  undisturbed   share  aimed at nobody   share   datagrams/s or tasks"
    );
    for program in ["one-4x4-steal", "two-6x1-3x2-homes"] {
        for (attack, verify) in [
            (Attack::Initiations, "0"),
            (Attack::Flood, "0"),
            (Attack::Board(Fault::Noise), "0.1"),
            (Attack::Board(Fault::Never), "0"),
            (Attack::Board(Fault::Silent), "0"),
        ] {
            let (usual, _) = frames(program, Attack::Nothing, verify, Aim::Nodes)?;
            let (attacked, did) = frames(program, attack, verify, Aim::Nodes)?;
            // A board that takes tasks costs this machine nothing beside.
            let aside = match attack {
                Attack::Initiations | Attack::Flood => {
                    frames(program, attack, verify, Aim::Nobody)?.0
                }
                Attack::Nothing | Attack::Board(_) => usual,
            };
            let share = |of: u64| attacked as f64 / of.max(1) as f64 * 100.0;
            println!(
                "{program:19} {:20} {attacked:6} {usual:12} {:6.0} % {aside:16} {:6.0} %   {did}",
                format!("{attack:?}"),
                share(usual),
                share(aside),
            );
        }
    }
    Ok(())
}
