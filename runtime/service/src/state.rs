//! What a gateway shows of itself: plain data, made by its loop at one time. Nothing in it changes afterwards.

use serde::Serialize;
use tessera_health::{Health, Root};
use tessera_plan::{
    files::{
        counters::{Count, Drops, TransferStats},
        statistics::{GatewayFrames, Memory, Sessions, SlotUsage, Socket},
    },
    limits::GATEWAY_EDGE_ID,
};

/// What is always true of a gateway's process.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Name of the compiled program.
    pub program: String,
    /// The target that it was compiled for.
    pub target: String,
    /// Version of the node.
    pub version: String,
    /// The plan's hash, in hexadecimal.
    pub plan: String,
    /// Height, width and channels of the network's input.
    pub input: [usize; 3],
    /// Names of the classes by their numbers; as many as there are classes. A class without a name has an empty one.
    pub labels: Vec<String>,
    /// Score above which records name boxes of frames that were not posted.
    pub thresh: f32,
    /// Boards that the cluster file names, by number: they have their series from the start.
    pub boards: Vec<(u16, String)>,
    /// The tasks whose outputs the gateway merges.
    pub tiles: Vec<Tile>,
    /// Number of the edge on the gateway's board, which brings posted pictures; `None` without such an edge.
    pub own_edge: Option<u16>,
    /// Where the files of the gateway's board are, which say how it is.
    pub root: Root,
}

impl About {
    /// The name of a board: the cluster file's; `gateway` for the edge on the gateway's board that has no number of its own; or `edge-N`.
    pub fn board(&self, number: u16) -> String {
        let named = self.boards.iter().find(|(n, _)| *n == number);
        match named {
            Some((_, name)) => name.clone(),
            None if number == GATEWAY_EDGE_ID => "gateway".into(),
            None => format!("edge-{number}"),
        }
    }
}

/// A task, by the part of a map that it makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tile {
    /// The task's number.
    pub task: u64,
    /// Its stage.
    pub stage: u16,
    /// Its rows, as parts of the map's height.
    pub y: [f64; 2],
    /// Its columns, as parts of the map's width.
    pub x: [f64; 2],
}

/// A node that has registered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Board {
    /// Its number.
    pub number: u16,
    /// Where it is.
    pub address: String,
    /// True while it counts as alive.
    pub up: bool,
    /// Seconds since it was heard.
    pub silent_s: f64,
    /// Frames of it that have no record yet.
    pub frames_in_flight: usize,
    /// Frames that it has brought.
    pub frames_brought: u64,
    /// True while it has tasks that others may take.
    pub has_work: bool,
    /// How the board was when it last said so.
    pub health: Option<Health>,
    /// Seconds since then.
    pub health_age_s: f64,
}

impl Board {
    /// How the board is, if it takes part and has said so lately.
    pub fn health_now(&self) -> Option<&Health> {
        let is_now = self.up && self.health_age_s < Health::TOLD_FOR_S;
        self.health.as_ref().filter(|_| is_now)
    }
}

/// A node that may not take part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TurnedAway {
    /// The number that it claims.
    pub number: u16,
    /// Where it is.
    pub address: String,
    /// Why: `plan`, `model`, `number_in_use` or `bad_number`.
    pub why: &'static str,
    /// Seconds since that was said.
    pub ago_s: f64,
}

/// A frame that has no record yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Flight {
    /// The board that brought it.
    pub source: u16,
    /// Its number there.
    pub frame: u32,
    /// What its source calls it.
    pub name: String,
    /// Seconds since it was captured.
    pub age_s: f64,
    /// `waiting` for room at the gateway, `tiles` while boards compute them, `tail` while the gateway computes the rest.
    pub state: &'static str,
    /// Tasks that are finished, of those whose outputs the tail reads.
    pub tasks_done: u64,
    /// Of those tasks, who has or makes the outputs, as far as that is known: numbers of tasks and boards.
    pub makers: Vec<(u64, u16)>,
}

/// A gateway at one time.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Seconds that the process has run.
    pub up_s: f64,
    /// Registered nodes, by number.
    pub boards: Vec<Board>,
    /// Frames without a record, the oldest first.
    pub flights: Vec<Flight>,
    /// Most frames that the gateway takes at a time.
    pub flights_max: usize,
    /// Nodes that were turned away lately.
    pub turned_away: Vec<TurnedAway>,
    /// Of the last whole frame: tasks, and the boards that computed them.
    pub last_makers: Vec<(u64, u16)>,
    /// Tasks whose outputs the gateway merged, by board.
    pub tasks_by_board: Vec<(u16, u64)>,
    /// Records that wait to be written.
    pub records_waiting: usize,
    /// True while records cannot be written.
    pub records_stand: bool,
    /// True when the gateway is about to end.
    pub ends: bool,
    /// Frames that ended.
    pub frames: GatewayFrames,
    /// Frames dropped, by reason.
    pub dropped: Drops,
    /// Incarnations that joined, that were lost, and heartbeats that were refused.
    pub nodes: [u64; 3],
    /// Requests for a victim, and those that got one.
    pub victims: [u64; 2],
    /// Datagrams sent and received.
    pub traffic: [Count; 2],
    /// Datagrams ignored.
    pub rejected: u64,
    /// Objects pulled and served.
    pub transfer: TransferStats,
    /// Room for objects.
    pub slots: SlotUsage,
    /// The socket.
    pub socket: Socket,
    /// Sessions, with keys.
    pub sessions: Option<Sessions>,
    /// Memory of the process.
    pub memory: Memory,
}
