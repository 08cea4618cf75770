//! A running cluster as plain text.

use std::fmt::Write;

use tessera_health::Health;
use tessera_planner::text::{Table, bytes, count};

use super::seen::{Row, Seen, ranges};

/// All of it, in lines.
pub fn table(seen: &Seen) -> String {
    let s = &seen.now;
    let mut text = format!(
        "{}, plan {}, up {}\n{}\n\n",
        s.program,
        s.plan,
        time(s.up_s),
        s.why.text
    );
    let mut t = Table::new("<<>>>>><", &HEADER);
    for row in seen.rows() {
        let cells = cells(&row);
        t.row(&cells.each_ref().map(String::as_str));
    }
    text += &t.render(0);
    let _ = write!(text, "\n{}\n{}\n", frames(seen), network(seen));
    text
}

/// Names of the columns.
pub const HEADER: [&str; 8] = [
    "board",
    "state",
    "share",
    "tiles/s",
    "in flight",
    "heat",
    "free MiB",
    "tiles of the last frame",
];

/// A board's cells, in the order of [`HEADER`].
pub fn cells(row: &Row) -> [String; 8] {
    [
        row.name.clone(),
        row.state.clone(),
        format!("{:.0} %", 100.0 * row.share),
        row.per_s.map_or_else(|| "-".into(), |n| format!("{n:.1}")),
        row.in_flight.to_string(),
        heat(&row.health),
        (row.health.memory_available_bytes).map_or_else(|| "-".into(), |n| (n >> 20).to_string()),
        ranges(&row.tiles),
    ]
}

/// `61 C slowed`.
fn heat(health: &Health) -> String {
    let slowed = health.throttled == Some(true);
    match (health.temperature_c, slowed) {
        (Some(c), true) => format!("{c:.0} C slowed"),
        (Some(c), false) => format!("{c:.0} C"),
        (None, true) => "slowed".into(),
        (None, false) => "-".into(),
    }
}

/// What became of frames, and how long they took.
pub fn frames(seen: &Seen) -> String {
    let s = &seen.now;
    let mut text = format!(
        "frames: {} computed, {} dropped, {:.2} a second; {} of {} in work",
        count(s.frames.computed),
        count(s.frames.dropped),
        s.frames.per_s,
        s.queue.len(),
        s.queue_max
    );
    if let Some([least, median, most]) = seen.spread_ms() {
        let _ = write!(
            text,
            "; the last took {least:.0} to {most:.0} ms, {median:.0} in the median"
        );
    }
    text
}

/// The gateway's traffic, and hints to steal.
pub fn network(seen: &Seen) -> String {
    let net = &seen.now.network;
    let rate =
        |n: Option<f64>| n.map_or_else(String::new, |n| format!(" ({:.2} Mbit/s)", n * 8.0 / 1e6));
    format!(
        "gateway: {} in{}, {} out{}; {} chunks asked for again, {} datagrams lost; hints to steal: {} of {} given",
        bytes(net.received_bytes),
        rate(seen.rate(|s| s.network.received_bytes)),
        bytes(net.sent_bytes),
        rate(seen.rate(|s| s.network.sent_bytes)),
        net.chunks_asked_again,
        net.socket_drops
            .map_or_else(|| "?".into(), |n| n.to_string()),
        seen.now.steals.hints_given,
        seen.now.steals.hints_asked,
    )
}

/// `3 h 5 min`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a process"
)]
pub fn time(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match (s / 86_400, s / 3600 % 24, s / 60 % 60) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, min) => format!("{min} min {} s", s % 60),
        (0, h, min) => format!("{h} h {min} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times() {
        for (s, text) in [
            (7.9, "7 s"),
            (61.0, "1 min 1 s"),
            (11_100.0, "3 h 5 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(time(s), text);
        }
    }
}
