//! `/v1/status`: the cluster as its gateway sees it, for pages and scripts.

use std::time::Instant;

use serde_json::{Value, json};
use tessera_health::Health;
use tessera_plan::files::records::Ending;

use super::Server;
use crate::{hub::LastFrame, posts::Via, shown::Shown, why::why_so_fast};

/// The rate of frames is that of so many seconds.
const RATE_S: f64 = 10.0;

/// The whole of it.
pub fn status(server: &Server, shown: &Shown) -> Value {
    let (about, state) = (&shown.about, &shown.state);
    let boards: Vec<Value> = (shown.boards().iter())
        .map(|(name, b)| {
            json!({
                "name": name,
                "number": b.number,
                "address": b.address,
                "up": b.up,
                "silent_s": b.silent_s,
                "frames_in_flight": b.frames_in_flight,
                "frames_brought": b.frames_brought,
                "has_work": b.has_work,
                "tasks": shown.tasks_of(b.number),
                "on_gateways_board": about.own_edge == Some(b.number),
                "health": b.health,
                "health_age_s": b.health.as_ref().map(|_| b.health_age_s),
            })
        })
        .collect();
    let last = server.hub.last();
    let posts: serde_json::Map<String, Value> = (shown.posts.results(Via::Http))
        .map(|(name, n)| (name.to_owned(), n.into()))
        .collect();
    let why = shown.hindrances();
    json!({
        "program": about.program,
        "target": about.target,
        "version": about.version,
        "plan": about.plan,
        "input": { "height": about.input[0], "width": about.input[1], "channels": about.input[2] },
        "up_s": state.up_s,
        "ready": why.is_empty(),
        "reasons": why,
        "why": why_so_fast(shown),
        "has_picture": server.hub.seen().borrow().is_some(),
        "boards": boards,
        "queue": state.flights.iter().map(|f| json!({
            "source": about.board(f.source),
            "frame": f.frame,
            "name": f.name,
            "age_s": f.age_s,
            "state": f.state,
            "tasks_done": f.tasks_done,
            "makers": makers(shown, &f.makers),
        })).collect::<Vec<_>>(),
        "queue_max": state.flights_max,
        "turned_away": state.turned_away.iter().map(|t| json!({
            "board": about.board(t.number),
            "address": t.address,
            "why": t.why,
            "ago_s": t.ago_s,
        })).collect::<Vec<_>>(),
        "shut_out": state.sessions.as_ref().map(|s| &s.shut_out_now),
        "handshakes_refused": state.sessions.as_ref().map(|s| &s.refused),
        "tiles": about.tiles,
        "last_makers": makers(shown, &state.last_makers),
        "frames": {
            "computed": state.frames.detections,
            "dropped": state.frames.dropped,
            "tail_s": seconds(state.frames.tail_us),
            "per_s": rate(&last, Instant::now()),
            "last": last.iter().rev().map(|f| frame(shown, f)).collect::<Vec<_>>(),
            "unseen": server.unseen(),
        },
        "steals": { "hints_asked": state.victims[0], "hints_given": state.victims[1] },
        "posts": { "in_flight": shown.posts.in_flight, "ended": posts },
        "network": {
            "sent_bytes": state.traffic[0].bytes,
            "received_bytes": state.traffic[1].bytes,
            "chunks_asked_again": state.transfer.chunks_rerequested,
            "timeouts": state.transfer.timeouts,
            "chunks": state.transfer.chunks_received,
            "receive_buffer_bytes": state.socket.receive_buffer,
            "socket_drops": state.socket.kernel_drops,
        },
        // Of the gateway's board, whether it has an edge or not.
        "health": Health::of_files(&about.root),
        "records_waiting": state.records_waiting,
        "memory_bytes": state.memory.anonymous_bytes + state.memory.file_bytes + state.memory.shared_bytes,
    })
}

fn makers(shown: &Shown, makers: &[(u64, u16)]) -> Vec<Value> {
    let maker = |(task, n): &(u64, u16)| json!({ "task": task, "board": shown.about.board(*n) });
    makers.iter().map(maker).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Frames per second, over the last ones and the time since.
fn rate(last: &[LastFrame], now: Instant) -> f64 {
    let recent = |f: &&LastFrame| now.duration_since(f.at).as_secs_f64() <= RATE_S;
    let recent: Vec<&LastFrame> = last.iter().filter(recent).collect();
    let Some(first) = recent.first() else {
        return 0.0;
    };
    // The list may hold less than the time: then it is as long as the list.
    let span = if recent.len() == last.len() && last.len() > 1 {
        now.duration_since(first.at).as_secs_f64().max(1e-3)
    } else {
        RATE_S
    };
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let n = recent.len() as f64;
    (n / span * 100.0).round() / 100.0
}

fn frame(shown: &Shown, last: &LastFrame) -> Value {
    let record = &last.record;
    let (found, dropped) = match &record.ending {
        Ending::Computed(found) => (found.detections.len(), None),
        Ending::Dropped { dropped } => (0, Some(dropped.text())),
    };
    json!({
        "source": shown.about.board(record.subject.source),
        "frame": record.subject.frame,
        "name": record.subject.file,
        "latency_ms": record.timing.map(|t| t.latency_ms),
        "captured_unix_ms": record.timing.map(|t| t.captured_unix_ms),
        "detections": found,
        "dropped": dropped,
    })
}
