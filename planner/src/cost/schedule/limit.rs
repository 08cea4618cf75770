//! Gives up schedules that take longer than one that is known.
//!
//! Tasks at home on a board cannot end before the board's cores have computed all of them. So a board that has waited
//! too long tells early that a schedule is above a limit.

use crate::{boards::Board, cost::tasks::TaskTime};

/// So much of a limit is allowed for rounding: sums in another order differ by less than this factor.
pub(crate) const ROUNDING: f64 = 1.0 + 1e-9;

/// What a schedule may take at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Most seconds, and seconds of the channel by their weight.
    pub price: f64,
    /// What a second of the channel counts.
    pub channel_weight: f64,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self::seconds(f64::INFINITY);

    /// A limit of seconds.
    pub const fn seconds(price: f64) -> Self {
        Self {
            price,
            channel_weight: 0.0,
        }
    }
}

/// Seconds of computation that boards have yet to begin.
#[derive(Debug)]
pub(super) struct Left {
    /// Seconds of the tasks at home on each board that no core has begun, divided among its cores.
    of_board: Vec<f64>,
    cores: Vec<f64>,
    /// Seconds before which some board cannot end.
    least_s: f64,
    limit: Limit,
}

impl Left {
    /// All tasks of `homes`, a board per task; nothing without homes.
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    pub fn new(boards: &[Board], times: &[&[TaskTime]], homes: &[usize], limit: Limit) -> Self {
        let cores: Vec<f64> = boards.iter().map(|b| b.cores.max(1) as f64).collect();
        let mut of_board = vec![0.0; boards.len()];
        for (task, home) in homes.iter().enumerate() {
            of_board[*home] += times[*home][task].seconds / cores[*home];
        }
        let least_s = of_board.iter().copied().fold(0.0, f64::max);
        Self {
            of_board,
            cores,
            least_s,
            limit,
        }
    }

    /// Notes that a core begins a task of `seconds`.
    pub fn begun(&mut self, board: usize, seconds: f64) {
        self.of_board[board] -= seconds / self.cores[board];
    }

    /// Notes that a board begins no further task at `now_s`.
    pub fn waits(&mut self, board: usize, now_s: f64) {
        self.least_s = self.least_s.max(now_s + self.of_board[board]);
    }

    /// True if the schedule takes longer than the limit, by what is known at `now_s`.
    pub fn is_above(&self, now_s: f64, channel_s: f64) -> bool {
        let price = self.least_s.max(now_s) + self.limit.channel_weight * channel_s;
        price > self.limit.price * ROUNDING
    }
}
