//! `join`: this board makes its key pair, and gets the cluster file and the cluster's secret from the operator's machine, which
//! `cargo xtask cluster pair` waits on. A code that a person types is what both know (`tessera_secure::PairingCode`).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use super::line::{Line, Other};
use crate::{
    console::{self, Patience},
    error::NodeError,
    trust,
    udp::GatewayName,
};
use tessera_plan::files::pairing::{Answer, Ask, Membership};
use tessera_secure::{PairingCode, Side};

/// How long an answer is waited for, and between two questions.
const WITHIN: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(300);
/// Most parts of an answer: a cluster file has at most 1 MiB.
const PARTS_MAX: u32 = 1 << 13;

/// Joins, and writes the files into `folder`.
pub fn run(code: &PairingCode, at: &GatewayName, folder: &Path) -> Result<(), NodeError> {
    trust::may_join(folder)?;
    let addresses = at.addresses().map_err(NodeError::io(format!("{at}")))?;
    let to = addresses.first().copied();
    let to = to.ok_or_else(|| NodeError::Join(format!("{at} has no address")))?;
    let own = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let links = code.links(Side::Board, trust::random()?);
    let mut asks = Asks {
        line: Line::with((own, 0).into(), Some(links))?,
        to: Other {
            addr: to,
            node: Some(Side::OTHER),
        },
    };
    let pair = trust::KeyPair::new()?;
    let [key, edge_key] = pair.public();
    let join = Ask::Join { key, edge_key };
    let Answer::Joined { name, parts } = asks.ask(&join, |a| matches!(a, Answer::Joined { .. }))?
    else {
        return Err(NodeError::Join("another answer".into()));
    };
    if parts > PARTS_MAX {
        return Err(NodeError::Join("the cluster file is too long".into()));
    }
    let mut text = Vec::new();
    for number in 0..parts {
        let is_it = |a: &Answer| matches!(a, Answer::Part { number: n, .. } if *n == number);
        if let Answer::Part { hex, .. } = asks.ask(&Ask::Part { number }, is_it)? {
            let bytes = bytes_of(&hex);
            text.extend(bytes.ok_or_else(|| NodeError::Join("a damaged answer".into()))?);
        }
    }
    let membership: Membership =
        serde_json::from_slice(&text).map_err(|e| NodeError::Join(e.to_string()))?;
    pair.write(folder, &name, &membership)?;
    // The operator's machine need not wait any longer; if this gets lost, it does.
    for _ in 0..3 {
        asks.line.send(asks.to, &Ask::Done);
    }
    let config = folder.join("cluster.toml");
    let text = format!(
        "joined as {name}: start the node with --config {} --name {name}\n",
        config.display()
    );
    let _ = console::out(&text, Patience::Endless);
    Ok(())
}

/// The operator's machine, to be asked.
struct Asks {
    line: Line,
    to: Other,
}

impl Asks {
    /// Asks until an answer that `is_it` comes.
    fn ask(&mut self, ask: &Ask, is_it: impl Fn(&Answer) -> bool) -> Result<Answer, NodeError> {
        let end = Instant::now() + WITHIN;
        while Instant::now() < end {
            self.line.send(self.to, ask);
            let again = Instant::now() + AGAIN;
            while Instant::now() < again {
                let left = again.saturating_duration_since(Instant::now());
                let read = |bytes: &[u8]| serde_json::from_slice::<Answer>(bytes).ok();
                match self.line.receive(left, read) {
                    Some((Answer::Refused { why }, ..)) => return Err(NodeError::Join(why)),
                    Some((answer, ..)) if is_it(&answer) => return Ok(answer),
                    _ => {}
                }
            }
        }
        Err(NodeError::Join(format!(
            "nobody answers at {}; is cargo xtask cluster pair running there, and is the code right?",
            self.to.addr
        )))
    }
}

/// Bytes of hexadecimal digits.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok();
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        assert_eq!(bytes_of("00ff7a"), Some(vec![0, 255, 122]));
        assert_eq!(bytes_of(""), Some(vec![]));
        for wrong in ["0", "0g", "é0"] {
            assert_eq!(bytes_of(wrong), None);
        }
    }
}
