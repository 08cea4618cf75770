//! Why the cluster is as fast as it is, in one sentence.

use serde::Serialize;

use crate::shown::Shown;

/// A sentence, and how it is meant: `bad` when nothing is computed, `slow` when something could be better, else `good`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// How it is meant.
    pub kind: &'static str,
    /// The sentence.
    pub text: String,
}

/// Share of the tail's time in a frame's above which the tail is what binds.
const TAIL_SHARE: f64 = 0.6;
/// Share of the even one below which a board computes little.
const LITTLE: f64 = 0.4;
/// Share of chunks that were asked for again above which the network loses much.
const LOSS: f64 = 0.02;
/// Tasks before shares mean anything.
const TASKS_MIN: u64 = 50;

fn why(kind: &'static str, text: String) -> Why {
    Why { kind, text }
}

/// What binds now. The first that holds is told: what keeps all frames from being computed, what slows all boards, what
/// slows one.
#[expect(clippy::cast_precision_loss, reason = "counts of a process")]
pub fn why_so_fast(shown: &Shown) -> Why {
    let state = &shown.state;
    if let Some(first) = shown.hindrances().into_iter().next() {
        return why("bad", format!("Nothing is computed: {first}."));
    }
    let boards = shown.boards();
    let gone: Vec<&str> = (boards.iter())
        .filter(|(_, b)| !b.up)
        .map(|(name, _)| &**name)
        .collect();
    if !gone.is_empty() {
        let are = if gone.len() == 1 { "is" } else { "are" };
        let text = format!(
            "{} {are} not there, so the others compute more.",
            gone.join(", ")
        );
        return why("slow", text);
    }
    let received = state.transfer.chunks_received;
    let again = state.transfer.chunks_rerequested;
    if received >= TASKS_MIN && again as f64 > LOSS * received as f64 {
        let text = format!(
            "The network loses much: {:.0} % of what the gateway fetches is asked for again.",
            100.0 * again as f64 / received as f64
        );
        return why("slow", text);
    }
    let times: Vec<_> = shown.tally.sources.values().map(|s| &s.times).collect();
    let (frames, sum_s) = times
        .iter()
        .fold((0, 0.0), |(n, s), t| (n + t.count(), s + t.sum_s));
    let tail_s = state.frames.tail_us as f64 / 1e6;
    if frames > 0 && sum_s > 0.0 && tail_s > TAIL_SHARE * sum_s {
        let text = format!(
            "The gateway's own layers take {:.0} % of a frame's time: more --threads, or a later offload point, would help.",
            100.0 * (tail_s / sum_s).min(1.0)
        );
        return why("slow", text);
    }
    let trouble = |(name, b): &(String, crate::state::Board)| {
        let trouble = b.health_now()?.trouble()?;
        Some(format!("{name} {trouble}."))
    };
    if let Some(text) = boards.iter().find_map(trouble) {
        return why("slow", text);
    }
    let total: u64 = state.tasks_by_board.iter().map(|(_, n)| n).sum();
    let even = total as f64 / boards.len().max(1) as f64;
    let least = boards.iter().min_by_key(|(_, b)| shown.tasks_of(b.number));
    if let Some((name, b)) = least.filter(|_| total >= TASKS_MIN)
        && (shown.tasks_of(b.number) as f64) < LITTLE * even
    {
        let share = 100.0 * shown.tasks_of(b.number) as f64 / total as f64;
        let text = format!(
            "{name} computes only {share:.0} % of the tiles: the plan gives it few, or it is slow, far away or often busy."
        );
        return why("slow", text);
    }
    if state.flights.len() >= state.flights_max && state.flights_max > 0 {
        let text = "As many frames wait as may: sources bring more than the boards compute.";
        return why("slow", text.into());
    }
    if frames == 0 {
        return why("good", "All boards are there and wait for frames.".into());
    }
    why(
        "good",
        "All boards are there, and none holds the others up.".into(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        state::{About, Board, State},
        tally::{Tally, tests::record},
    };

    fn shown(change: impl FnOnce(&mut Shown)) -> Why {
        let board = |number| Board {
            number,
            up: true,
            ..Board::default()
        };
        let mut shown = Shown {
            about: Arc::new(About::default()),
            state: State {
                boards: vec![board(1), board(2)],
                tasks_by_board: vec![(1, 60), (2, 40)],
                flights_max: 8,
                ..State::default()
            },
            ..Shown::default()
        };
        change(&mut shown);
        why_so_fast(&shown)
    }

    #[test]
    fn what_binds_is_named() {
        assert_eq!(shown(|_| ()).kind, "good");
        let none = shown(|s| s.state.boards.clear());
        assert_eq!(none.kind, "bad");
        assert!(none.text.contains("no board has joined"), "{none:?}");
        let gone = shown(|s| s.state.boards[1].up = false);
        assert_eq!(
            gone.text,
            "edge-2 is not there, so the others compute more."
        );
        let lossy = shown(|s| {
            s.state.transfer.chunks_received = 1000;
            s.state.transfer.chunks_rerequested = 50;
        });
        assert!(lossy.text.contains("5 % of what"), "{lossy:?}");
        let slow = shown(|s| s.state.tasks_by_board = vec![(1, 95), (2, 5)]);
        let hot = |age_s| {
            shown(|s| {
                s.state.boards[1].health = Some(tessera_health::Health {
                    temperature_c: Some(81.2),
                    throttled: Some(true),
                    ..Default::default()
                });
                s.state.boards[1].health_age_s = age_s;
            })
        };
        assert_eq!(
            hot(3.0).text,
            "edge-2 is slowed down because of heat (81 degrees): it needs a heat sink and a fan."
        );
        assert_eq!(hot(300.0).kind, "good", "that was long ago");
        assert!(
            slow.text.starts_with("edge-2 computes only 5 %"),
            "{slow:?}"
        );
        let tail = shown(|s| {
            let mut tally = Tally::default();
            tally.add(&s.about, &record(1, 1000.0, &[]));
            s.tally = tally;
            s.state.frames.tail_us = 700_000;
        });
        assert!(tail.text.contains("70 % of a frame's time"), "{tail:?}");
    }
}
