//! The running cluster, as its gateway tells of it.

use std::{thread, time::Duration};

use tessera_health::{Finding, Kind, told};

use crate::gateway::{Status, Target, Trouble};

/// Between two looks at what is counted.
const LOOK: Duration = Duration::from_secs(3);
/// Chunks between two looks before a share of them means anything, and the share.
const CHUNKS_MIN: u64 = 200;
const LOSS: f64 = 0.02;
/// Handshakes that fail for want of the right keys, and what that means.
const HANDSHAKES: [(&str, &str); 3] = [
    (
        "bad_mac1",
        "a node speaks to this gateway with another secret, or means another gateway's key",
    ),
    (
        "bad_handshake",
        "a node's handshake cannot be read: it has another secret",
    ),
    (
        "unknown_peer",
        "a node has a key that the gateway's cluster file does not list",
    ),
];

/// Two looks, a few seconds apart.
///
/// # Errors
/// [`Trouble`].
pub fn look(target: &Target) -> Result<(Status, Status), Trouble> {
    let before = target.status()?;
    thread::sleep(LOOK);
    Ok((before, target.status()?))
}

/// What is wrong by two looks.
pub fn check(before: &Status, now: &Status) -> Vec<Finding> {
    let mut found = turned_away(now);
    found.extend(handshakes(before, now));
    let away: Vec<&str> = now.turned_away.iter().map(|t| t.board.as_str()).collect();
    for board in now.boards.iter().filter(|b| !b.up) {
        // Why it does not take part is told.
        if away.contains(&board.name.as_str()) {
            continue;
        }
        let seen = match board.address.is_empty() {
            true => "the gateway never heard of it".to_owned(),
            false => format!(
                "the gateway heard it {:.0} s ago from {}",
                board.silent_s, board.address
            ),
        };
        found.push(
            Finding::fault(
                Kind::BoardMissing,
                "the board does not take part",
                seen,
                "look at its node's last words (journalctl -u tessera), and run node doctor there",
            )
            .on(board.name.clone()),
        );
    }
    // That no board is there is told by board.
    for why in now
        .reasons
        .iter()
        .filter(|why| !why.starts_with("no board"))
    {
        found.push(Finding::fault(
            Kind::NotReady,
            "the cluster computes nothing",
            why,
            "look at the gateway's last words (journalctl -u tessera)",
        ));
    }
    found.extend(network(before, now));
    for board in &now.boards {
        let of_it = board.health_now().map(told).unwrap_or_default();
        found.extend(of_it.into_iter().map(|f| f.on(board.name.clone())));
    }
    found
}

fn turned_away(now: &Status) -> Vec<Finding> {
    let of = |t: &crate::gateway::TurnedAway| {
        let (kind, what, advice) = match t.why.as_str() {
            "plan" => (
                Kind::OtherPlan,
                "its node is of another plan, so the gateway does not take it",
                "build all nodes from one plan.toml, and copy node and weights.bin to the board",
            ),
            "model" => (
                Kind::OtherModel,
                "its weights are another model's, so the gateway does not take it",
                "copy the weights.bin that was written with the plan",
            ),
            "number_in_use" => (
                Kind::NumberInUse,
                "two nodes say that they are this board",
                "end one of them, or give every edge its own --id or key",
            ),
            _ => (
                Kind::BadNumber,
                "its number cannot be used",
                "give it another --id, from 1",
            ),
        };
        let seen = format!(
            "the gateway turned {} away {:.0} s ago: {}",
            t.address, t.ago_s, t.why
        );
        Finding::fault(kind, what, seen, advice).on(t.board.clone())
    };
    now.turned_away.iter().map(of).collect()
}

fn handshakes(before: &Status, now: &Status) -> Vec<Finding> {
    let count = |s: &Status, why: &str| {
        let all = s.handshakes_refused.as_ref();
        all.and_then(|r| r.get(why)).copied().unwrap_or(0)
    };
    let of = |(why, what): &(&str, &str)| {
        let rose = count(now, why).saturating_sub(count(before, why));
        (rose > 0).then(|| {
            Finding::fault(
                Kind::WrongKeys,
                *what,
                format!("the gateway refused {rose} handshakes in {} s: {why}", LOOK.as_secs()),
                "copy cluster.toml, cluster.secret and NAME.key to that board again, and restart its node",
            )
        })
    };
    HANDSHAKES.iter().filter_map(of).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn network(before: &Status, now: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    let (then, net) = (&before.network, &now.network);
    let drops = net.socket_drops.zip(then.socket_drops);
    let drops = drops.map_or(0, |(now, then)| now.saturating_sub(then));
    if drops > 0 {
        found.push(Finding::fault(
            Kind::SocketDrops,
            "the gateway loses datagrams because its receive buffer is full",
            format!(
                "drops rose by {drops} in {} s; the buffer has {} bytes",
                LOOK.as_secs(),
                net.receive_buffer_bytes / 2
            ),
            "as root on its board: echo net.core.rmem_max=4194304 > /etc/sysctl.d/60-tessera.conf; sysctl --system; then start the node again",
        ));
    }
    let chunks = net.chunks.saturating_sub(then.chunks);
    let again = net
        .chunks_asked_again
        .saturating_sub(then.chunks_asked_again);
    if chunks >= CHUNKS_MIN && again as f64 > LOSS * chunks as f64 && drops == 0 {
        found.push(Finding::fault(
            Kind::Loss,
            format!(
                "the network loses {:.0} % of what the gateway fetches",
                100.0 * again as f64 / chunks as f64
            ),
            format!(
                "of {chunks} chunks in {} s, {again} were asked for again",
                LOOK.as_secs()
            ),
            "look for the board with weak Wi-Fi or drops: node doctor on each; use wires",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use tessera_health::Health;

    use super::*;
    use crate::gateway::{Board, TurnedAway};

    fn healthy() -> Status {
        Status {
            ready: true,
            boards: vec![Board {
                name: "porch".into(),
                up: true,
                ..Board::default()
            }],
            handshakes_refused: Some([("bad_mac1".to_owned(), 4)].into()),
            ..Status::default()
        }
    }

    fn kinds(change: impl FnOnce(&mut Status)) -> Vec<Kind> {
        let before = healthy();
        let mut now = healthy();
        change(&mut now);
        check(&before, &now).iter().map(|f| f.kind).collect()
    }

    #[test]
    fn what_a_gateway_tells() {
        assert_eq!(kinds(|_| ()), []);
        assert_eq!(kinds(|s| s.boards[0].up = false), [Kind::BoardMissing]);
        let hot = |age_s| {
            kinds(|s| {
                s.boards[0].health = Some(Health {
                    temperature_c: Some(81.0),
                    throttle_flags: Some(0x4_0004),
                    ..Health::default()
                });
                s.boards[0].health_age_s = Some(age_s);
            })
        };
        assert_eq!(hot(4.0), [Kind::Throttled, Kind::Hot]);
        assert_eq!(hot(400.0), [], "that was long ago");
        for (why, kind) in [
            ("plan", Kind::OtherPlan),
            ("model", Kind::OtherModel),
            ("number_in_use", Kind::NumberInUse),
            ("bad_number", Kind::BadNumber),
        ] {
            let told = kinds(|s| {
                // Told once, with its reason.
                s.boards[0].up = false;
                s.turned_away.push(TurnedAway {
                    board: "porch".into(),
                    why: why.into(),
                    ..TurnedAway::default()
                });
            });
            assert_eq!(told, [kind]);
        }
        let refused = |s: &mut Status| {
            s.handshakes_refused = Some([("bad_mac1".to_owned(), 5)].into());
        };
        assert_eq!(kinds(refused), [Kind::WrongKeys]);
        assert_eq!(
            kinds(|s| s.reasons.push("records cannot be written".into())),
            [Kind::NotReady]
        );
        let lossy = |s: &mut Status| {
            s.network.chunks = 1000;
            s.network.chunks_asked_again = 30;
        };
        assert_eq!(kinds(lossy), [Kind::Loss]);
        let before = Status {
            network: crate::gateway::Network {
                socket_drops: Some(1),
                ..Default::default()
            },
            ..healthy()
        };
        let mut now = before.clone();
        now.network.socket_drops = Some(2);
        assert_eq!(check(&before, &now)[0].kind, Kind::SocketDrops);
    }
}
