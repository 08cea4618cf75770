//! What a gateway says under `/v1/status`, as far as it is looked at here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tessera_health::Health;

/// A gateway at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the program.
    pub program: String,
    /// Beginning of the plan's hash.
    pub plan: String,
    /// Seconds that the gateway has run.
    pub up_s: f64,
    /// Frames can be computed.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Why the cluster is as fast as it is.
    pub why: Why,
    /// The boards, by number.
    pub boards: Vec<Board>,
    /// Frames without a record.
    pub queue: Vec<Queued>,
    /// Most of them.
    pub queue_max: usize,
    /// Of the last whole frame, who computed the tiles.
    pub last_makers: Vec<Maker>,
    /// Frames that ended.
    pub frames: Frames,
    /// Hints to steal.
    pub steals: Steals,
    /// The gateway's traffic.
    pub network: Network,
    /// Nodes that were turned away lately.
    #[serde(default)]
    pub turned_away: Vec<TurnedAway>,
    /// Handshakes that were refused, by reason.
    #[serde(default)]
    pub handshakes_refused: Option<BTreeMap<String, u64>>,
    /// Resident memory of the gateway.
    pub memory_bytes: u64,
    /// The gateway's board.
    #[serde(default)]
    pub health: Health,
}

/// A sentence, and how it is meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// `good`, `slow` or `bad`.
    pub kind: String,
    /// The sentence.
    pub text: String,
}

/// A board that computes tiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Where it is; empty before it came.
    pub address: String,
    /// It takes part.
    pub up: bool,
    /// Seconds since it was heard.
    pub silent_s: f64,
    /// Frames of it that have no record yet.
    pub frames_in_flight: usize,
    /// Frames that it has brought.
    pub frames_brought: u64,
    /// It has tasks that others may take.
    pub has_work: bool,
    /// Its tasks whose outputs the gateway merged.
    pub tasks: u64,
    /// It is the edge on the gateway's board.
    pub on_gateways_board: bool,
    /// How it was when it last said so.
    #[serde(default)]
    pub health: Option<Health>,
    /// Seconds since then.
    #[serde(default)]
    pub health_age_s: Option<f64>,
}

impl Board {
    /// How it is, if it takes part and has said so lately.
    pub fn health_now(&self) -> Option<&Health> {
        let age_s = self.health_age_s.unwrap_or(0.0);
        let is_now = self.up && age_s < Health::TOLD_FOR_S;
        self.health.as_ref().filter(|_| is_now)
    }
}

/// A frame without a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The board that brought it.
    pub source: String,
    /// Its number there.
    pub frame: u32,
    /// Seconds since it was captured.
    pub age_s: f64,
    /// `waiting`, `tiles` or `tail`.
    pub state: String,
    /// Tasks that are finished.
    pub tasks_done: u64,
    /// Who has or makes the outputs.
    pub makers: Vec<Maker>,
}

/// Who computed a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Maker {
    /// The task.
    pub task: u64,
    /// The board.
    pub board: String,
}

/// Frames that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    /// With detections.
    pub computed: u64,
    /// Without.
    pub dropped: u64,
    /// Seconds in the gateway's own layers.
    pub tail_s: f64,
    /// Frames per second of late.
    pub per_s: f64,
    /// The last ones, the newest first.
    pub last: Vec<Frame>,
}

/// A frame that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The board that brought it.
    pub source: String,
    /// Its number there.
    pub frame: u32,
    /// From capture to record.
    pub latency_ms: Option<f64>,
    /// Objects found.
    pub detections: usize,
    /// Why it has none.
    pub dropped: Option<String>,
}

/// Hints to steal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steals {
    /// Asked for.
    pub hints_asked: u64,
    /// Given.
    pub hints_given: u64,
}

/// The gateway's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Payload bytes sent.
    pub sent_bytes: u64,
    /// Payload bytes received.
    pub received_bytes: u64,
    /// Chunks that came.
    #[serde(default)]
    pub chunks: u64,
    /// Chunks that were asked for again.
    pub chunks_asked_again: u64,
    /// How often a holder was silent.
    pub timeouts: u64,
    /// The receive buffer, as the kernel counts it.
    #[serde(default)]
    pub receive_buffer_bytes: usize,
    /// Datagrams that found it full.
    #[serde(default)]
    pub socket_drops: Option<u64>,
}

/// A node that may not take part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnedAway {
    /// The board of the number that it claims.
    pub board: String,
    /// Where it is.
    pub address: String,
    /// `plan`, `model`, `number_in_use` or `bad_number`.
    pub why: String,
    /// Seconds since that was said.
    pub ago_s: f64,
}
