//! What a node in its `probe` role is asked and answers: one JSON object a datagram.
//!
//! `calibrate --cluster` measures links with it, `doctor --cluster` asks how boards and the ways between them are.
//!
//! ```text
//!  calibrate ──Link──> probe A ──Ping, Burst, Count──> probe B
//!            <─Linked─         <──Pong, Counted──────
//! ```
//!
//! A probe sends bursts only to a node that answers its pings, so that nobody else can be flooded through it; bytes and
//! time of a measurement are bounded. Everything may come twice or not at all: questions are repeated, and a question
//! of a session that was answered gets the same answer again.
//!
//! With keys, these datagrams travel in sessions (`docs/security.md`): between boards, and between boards and the operator,
//! whose number is [`OPERATOR`].

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The number, among peers, of the machine that asks.
pub const OPERATOR: u16 = u16::MAX;
/// Version of the questions.
pub const VERSION: u32 = 3;
/// Bytes of a burst's datagrams, as large as those of transfers.
pub const BURST_DATAGRAM_BYTES: usize = 1400;
/// Most bytes of one burst.
pub const BURST_BYTES_MAX: u64 = 8 << 20;
/// Longest datagram that is not of a burst.
pub const DATAGRAM_BYTES_MAX: usize = 1400;
/// Most letters of a text that one answer holds; its form in JSON may be up to twice as long.
pub const PART_LETTERS_MAX: usize = 500;
/// Most parts of a text.
pub const PARTS_MAX: u32 = 256;
/// Port of a probe whose address names none.
pub const PORT: u16 = 7400;

/// What a probe is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum Ask {
    /// Who is there?
    Hello {
        /// [`VERSION`] of whoever asks.
        version: u32,
        /// A random number that names the question.
        session: u64,
    },
    /// How fast is the way to another probe?
    Link {
        /// Names the question.
        session: u64,
        /// Where the other probe listens.
        to: SocketAddr,
        /// The other probe's number in the cluster, with keys.
        #[serde(default)]
        node: Option<u16>,
    },
    /// How long does the whole network take on one thread?
    Speed {
        /// Names the question.
        session: u64,
    },
    /// How well do evenly sent datagrams travel to another probe?
    Way {
        /// Names the question.
        session: u64,
        /// Where the other probe listens.
        to: SocketAddr,
        /// The other probe's number in the cluster, with keys.
        #[serde(default)]
        node: Option<u16>,
    },
    /// How is the board? Looks at it once a session, for seconds.
    Health {
        /// Names the question.
        session: u64,
        /// Which part of the answer, from 0.
        part: u32,
    },
    /// Whose datagrams have arrived of late?
    Heard {
        /// Names the question.
        session: u64,
    },
    /// From probe to probe: answer at once.
    Ping {
        /// The sender's measurement.
        session: u64,
        /// Counts the pings.
        number: u32,
    },
    /// From probe to probe: one of many datagrams, padded to [`BURST_DATAGRAM_BYTES`].
    Burst {
        /// The sender's measurement.
        session: u64,
        /// Counts the measurement's bursts.
        round: u32,
    },
    /// From probe to probe: what came of a burst?
    Count {
        /// The sender's measurement.
        session: u64,
        /// Which of its bursts.
        round: u32,
    },
}

/// What a probe answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// To [`Ask::Hello`].
    Here {
        /// The question.
        session: u64,
        /// Name of the compiled program.
        program: String,
        /// Hash of its plan, in hex.
        plan: String,
    },
    /// To [`Ask::Link`].
    Linked {
        /// The question.
        session: u64,
        /// Median time of a message one way, half of there and back.
        delay_us: u64,
        /// Payload bits per second at which the largest burst arrived.
        bits_per_s: u64,
        /// Bytes sent in all bursts.
        sent_bytes: u64,
        /// Bytes of them that did not arrive.
        lost_bytes: u64,
    },
    /// To [`Ask::Speed`].
    Timed {
        /// The question.
        session: u64,
        /// Microseconds of the fastest of a few frames.
        frame_us: u64,
    },
    /// To [`Ask::Way`].
    Travelled {
        /// The question.
        session: u64,
        /// Half of the median time there and back.
        delay_us: u64,
        /// Half of the time there and back that nine of ten do not exceed.
        slow_us: u64,
        /// Datagrams sent, of [`BURST_DATAGRAM_BYTES`] each.
        sent: u64,
        /// Datagrams of these that arrived.
        arrived: u64,
    },
    /// To [`Ask::Health`].
    Health {
        /// The question.
        session: u64,
        /// Which part this is.
        part: u32,
        /// Number of parts, at most [`PARTS_MAX`].
        parts: u32,
        /// The part: at most [`PART_LETTERS_MAX`] letters of JSON, a checkup of the crate `tessera-health`.
        text: String,
    },
    /// To [`Ask::Heard`].
    Heard {
        /// The question.
        session: u64,
        /// Addresses from which a datagram came in the last seconds, whatever was in it.
        from: Vec<SocketAddr>,
    },
    /// To [`Ask::Ping`].
    Pong {
        /// The sender's measurement.
        session: u64,
        /// Which ping.
        number: u32,
    },
    /// To [`Ask::Count`].
    Counted {
        /// The sender's measurement.
        session: u64,
        /// Which burst.
        round: u32,
        /// Bytes that arrived behind the burst's first datagram.
        bytes: u64,
        /// Microseconds from the first datagram to the last.
        took_us: u64,
    },
    /// What was asked for cannot be measured.
    Refused {
        /// The question.
        session: u64,
        /// Why not.
        why: String,
    },
}

impl Ask {
    /// The question, or the sender's measurement.
    pub const fn session(&self) -> u64 {
        match self {
            Self::Hello { session, .. }
            | Self::Link { session, .. }
            | Self::Speed { session }
            | Self::Way { session, .. }
            | Self::Health { session, .. }
            | Self::Heard { session }
            | Self::Ping { session, .. }
            | Self::Burst { session, .. }
            | Self::Count { session, .. } => *session,
        }
    }
}

impl Answer {
    /// The question, or the asker's measurement.
    pub const fn session(&self) -> u64 {
        match self {
            Self::Here { session, .. }
            | Self::Linked { session, .. }
            | Self::Timed { session, .. }
            | Self::Travelled { session, .. }
            | Self::Health { session, .. }
            | Self::Heard { session, .. }
            | Self::Pong { session, .. }
            | Self::Counted { session, .. }
            | Self::Refused { session, .. } => *session,
        }
    }
}
