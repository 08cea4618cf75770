//! The gateway as it is now, and how fast its counters move.

use std::time::Instant;

use tessera_health::Health;

use crate::gateway::{Board, Status};

/// See the module.
#[derive(Debug)]
pub struct Seen {
    /// Now.
    pub now: Status,
    at: Instant,
    /// Before, and the seconds since.
    before: Option<(Status, f64)>,
}

/// A board as a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// It takes part.
    pub up: bool,
    /// `up`, `silent 3 s`, `away`, or why it was turned away.
    pub state: String,
    /// Its tiles of the last whole frame.
    pub tiles: Vec<u64>,
    /// Its share of all tiles so far, from 0 to 1.
    pub share: f64,
    /// Its tiles per second since the look before.
    pub per_s: Option<f64>,
    /// Its frames that have no record yet.
    pub in_flight: usize,
    /// Frames that it has brought.
    pub brought: u64,
    /// It has tasks that others may take.
    pub has_work: bool,
    /// How it is, as far as it has said so lately.
    pub health: Health,
}

impl Seen {
    /// A first look.
    pub fn new(now: Status) -> Self {
        Self {
            now,
            at: Instant::now(),
            before: None,
        }
    }

    /// A further look.
    pub fn follow(&mut self, status: Status, at: Instant) {
        let seconds = at.duration_since(self.at).as_secs_f64();
        let before = std::mem::replace(&mut self.now, status);
        self.at = at;
        // A gateway that was restarted counts from nothing.
        let goes_on = self.now.up_s >= before.up_s && seconds > 0.0;
        self.before = goes_on.then_some((before, seconds));
    }

    /// How much a counter moves in a second; `None` at the first look.
    #[expect(clippy::cast_precision_loss, reason = "counts of a second")]
    pub fn rate(&self, of: impl Fn(&Status) -> u64) -> Option<f64> {
        let (before, seconds) = self.before.as_ref()?;
        Some(of(&self.now).saturating_sub(of(before)) as f64 / seconds)
    }

    /// All boards.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run")]
    pub fn rows(&self) -> Vec<Row> {
        let total: u64 = self.now.boards.iter().map(|b| b.tasks).sum();
        let row = |b: &Board| Row {
            name: b.name.clone(),
            up: b.up,
            state: self.state(b),
            tiles: (self.now.last_makers.iter())
                .filter(|m| m.board == b.name)
                .map(|m| m.task)
                .collect(),
            share: b.tasks as f64 / total.max(1) as f64,
            per_s: self.rate(|s| {
                let found = s.boards.iter().find(|o| o.number == b.number);
                found.map_or(0, |o| o.tasks)
            }),
            in_flight: b.frames_in_flight,
            brought: b.frames_brought,
            has_work: b.has_work,
            health: b.health_now().cloned().unwrap_or_else(|| {
                // The gateway looks at its own board itself.
                let own = Some(&self.now.health).filter(|_| b.on_gateways_board);
                own.cloned().unwrap_or_default()
            }),
        };
        self.now.boards.iter().map(row).collect()
    }

    fn state(&self, b: &Board) -> String {
        if let Some(away) = self.now.turned_away.iter().find(|t| t.board == b.name) {
            let why = match away.why.as_str() {
                "plan" => "another plan",
                "model" => "other weights",
                "number_in_use" => "number twice",
                _ => "bad number",
            };
            return if b.up {
                format!("up, {why}")
            } else {
                why.into()
            };
        }
        match (b.up, b.address.is_empty()) {
            (true, _) if b.silent_s >= 1.0 => format!("silent {:.0} s", b.silent_s),
            (true, _) => "up".into(),
            (false, true) => "never came".into(),
            (false, false) => format!("gone {:.0} s", b.silent_s),
        }
    }

    /// Milliseconds of the last frames, the oldest first, of those with detections.
    pub fn latencies_ms(&self) -> Vec<f64> {
        let last = self.now.frames.last.iter().rev();
        last.filter_map(|f| f.latency_ms.filter(|_| f.dropped.is_none()))
            .collect()
    }

    /// Least, median and most of them.
    pub fn spread_ms(&self) -> Option<[f64; 3]> {
        let mut all = self.latencies_ms();
        all.sort_by(f64::total_cmp);
        Some([*all.first()?, all[all.len() / 2], *all.last()?])
    }
}

/// The numbers of tiles, as `0-3 7`.
pub fn ranges(tiles: &[u64]) -> String {
    let mut sorted = tiles.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<[u64; 2]> = Vec::new();
    for tile in sorted {
        match runs.last_mut() {
            Some([_, end]) if *end + 1 == tile => *end = tile,
            _ => runs.push([tile, tile]),
        }
    }
    let text = |[first, end]: &[u64; 2]| match end - first {
        0 => first.to_string(),
        1 => format!("{first} {end}"),
        _ => format!("{first}-{end}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tiles_in_a_row_are_a_range() {
        assert_eq!(ranges(&[7, 0, 1, 2, 3, 9, 10]), "0-3 7 9 10");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn rates_begin_anew_with_the_gateway() {
        let status = |up_s, computed| {
            let mut s = Status {
                up_s,
                ..Status::default()
            };
            s.frames.computed = computed;
            s
        };
        let computed = |s: &Status| s.frames.computed;
        let mut seen = Seen::new(status(5.0, 10));
        assert_eq!(seen.rate(computed), None);
        let at = seen.at + Duration::from_secs(2);
        seen.follow(status(7.0, 16), at);
        assert_eq!(seen.rate(computed), Some(3.0));
        seen.follow(status(1.0, 2), at + Duration::from_secs(2));
        assert_eq!(seen.rate(computed), None);
    }
}
