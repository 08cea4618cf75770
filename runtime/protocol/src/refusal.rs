//! Reasons why a node may not take part.

use serde::Serialize;

/// Why the gateway turned a node away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Refusal {
    /// The node was built from another plan.
    Plan,
    /// The node's weights belong to another model.
    Model,
    /// Another living node with the same id takes part.
    IdInUse,
    /// The id is the gateway's or out of range.
    BadId,
}
