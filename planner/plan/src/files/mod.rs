//! Files that one crate writes and another reads, as structs: a field that is renamed on one side does not
//! compile on the other.
//!
//! | module | file | written by | read by |
//! |---|---|---|---|
//! | [`weights`] | the header of `weights.bin` | codegen | nodes |
//! | [`records`] | one JSON line a frame | gateways, `solo` | `xtask`, tests, whoever uses detections |
//! | [`statistics`] | `--stats FILE`, one JSON object | nodes | `xtask`, tests |
//! | [`events`] | standard output of nodes, one JSON line an event | nodes | `xtask`, tests |
//! | [`names`] | names of classes, one a line | people; `xtask`, beside `weights.bin` | nodes, `xtask` |
//! | [`pairing`] | datagrams of a board that joins, one JSON object each | boards, `xtask` | both |
//! | [`probe`] | datagrams of `probe` nodes, one JSON object each | probes, `xtask` | both |
//! | [`cluster`] | `cluster.toml`, who takes part | people, `xtask` | nodes, the planner |
//! | [`alerts`] | `[[alert]]` of `cluster.toml` | people | nodes, the planner |
//! | [`sources`] | `--source`, `[[source]]` of `cluster.toml` | people | nodes, the planner, `xtask` |
//! | [`counters`] | the part of statistics that the state machines count | nodes | as above |

pub mod alerts;
pub mod cluster;
pub mod counters;
pub mod events;
pub mod names;
pub mod pairing;
pub mod probe;
pub mod records;
pub mod sources;
pub mod statistics;
pub mod weights;
