//! What a board that joins a cluster asks the operator's machine, and what that answers: one JSON object a datagram, in a session
//! whose keys follow from a code. Everything may come twice or not at all: questions are repeated.
//!
//! ```text
//!  board ──Join (its public keys)──> operator, who writes them into cluster.toml
//!        <─Joined (its name)───────
//!        ──Part k──────────────────>
//!        <─Part k──────────────────  of cluster.toml and the cluster's secret
//!        ──Done────────────────────>
//! ```

use serde::{Deserialize, Serialize};

/// Port at which `cargo xtask cluster pair` listens, unless it is told another.
pub const PORT: u16 = 7401;
/// Most bytes of a part of the text.
pub const PART_BYTES: usize = 500;
/// Most bytes of a question or an answer.
pub const DATAGRAM_BYTES_MAX: usize = 1400;

/// What the board asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum Ask {
    /// To be let in, with the keys that it has made.
    Join {
        /// The board's public key.
        key: String,
        /// The public key of the edge on a gateway's board.
        edge_key: String,
    },
    /// For a part of the [`Membership`], as JSON.
    Part {
        /// Which, from 0.
        number: u32,
    },
    /// Nothing more.
    Done,
}

/// What the operator's machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// The board is in the file.
    Joined {
        /// Its name there.
        name: String,
        /// Number of parts.
        parts: u32,
    },
    /// A part of the [`Membership`].
    Part {
        /// Which, from 0.
        number: u32,
        /// The bytes, two hexadecimal digits each.
        hex: String,
    },
    /// The pairing is over.
    Done,
    /// The board is not let in.
    Refused {
        /// Why.
        why: String,
    },
}

/// What a board needs to take part, besides its own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The text of `cluster.toml`.
    pub cluster: String,
    /// The text of the cluster's secret.
    pub secret: String,
}
