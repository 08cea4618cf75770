//! Tells of nodes that are shut out because they send far too much, and keeps their datagrams away from the socket.

use tessera_protocol::Micros;
use tessera_secure::Links;

use crate::udp::Socket;

/// See the module.
#[derive(Debug, Default)]
pub struct Floods {
    version: u64,
    /// Who is shut out: name, and until when.
    known: Vec<(String, Micros)>,
    /// The kernel does not keep datagrams away.
    is_unable: bool,
    /// Datagrams that were kept away, until the present time of it.
    kept_away: u64,
    /// The socket's drops when this time of keeping away began.
    drops_before: Option<u64>,
}

impl Floods {
    /// Does what a change of the nodes that are shut out asks for.
    pub fn follow(&mut self, links: &Links, socket: &Socket) {
        let shut = links.shut_out();
        if shut.version() == self.version {
            return;
        }
        self.version = shut.version();
        let now: Vec<_> = (shut.iter())
            .map(|s| (s.name.clone(), s.until_us))
            .collect();
        for s in shut.iter() {
            if !self.known.contains(&(s.name.clone(), s.until_us)) {
                tracing::error!(
                    "node {} ({}) sends far more than any node has to; nothing of it is taken for {} s. Look at what runs on it, or remove it: cargo xtask cluster remove {}",
                    s.number,
                    s.name,
                    s.for_us / 1_000_000,
                    s.name
                );
            }
        }
        for (name, _) in &self.known {
            if !now.iter().any(|(n, _)| n == name) {
                tracing::info!("node {name} is heard again");
            }
        }
        self.known = now;
        // What is dropped while some are kept away is theirs.
        self.kept_away = self.kept_away(socket);
        let places: Vec<u16> = shut.iter().map(|s| s.place).collect();
        if let Err(e) = socket.keep_away(&places)
            && !self.is_unable
        {
            self.is_unable = true;
            tracing::warn!("datagrams of nodes that send too much cannot be kept away: {e}");
        }
        self.drops_before = (!places.is_empty()).then(|| socket.drops()).flatten();
    }

    /// The names of the nodes that are shut out.
    pub fn names(&self) -> Vec<String> {
        self.known.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Datagrams that the kernel kept away, which it counts among those that it dropped.
    pub fn kept_away(&self, socket: &Socket) -> u64 {
        let now = self.drops_before.zip(socket.drops());
        let rose = now.map_or(0, |(before, now)| now.saturating_sub(before));
        self.kept_away + rose
    }
}
