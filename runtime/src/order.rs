//! The order of a chain's work, as constants of the emitted crate.

use std::ops::Range;

/// A row block of a load, layer or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing {
    /// Number of the operation. Loads are counted first, then layers, then stores.
    pub op: usize,
    /// First row.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Rows that `first` grows by with every turn of the period.
    pub advance: usize,
}

/// A chain's firings: a prologue that fills its rings, a period, and an epilogue that empties them.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Firings that run once, at the beginning.
    pub prologue: &'static [Firing],
    /// Firings that run `repeats` times. With every turn, each firing moves down by its `advance`.
    pub period: &'static [Firing],
    /// Number of turns of the period.
    pub repeats: usize,
    /// Firings that run once, at the end.
    pub epilogue: &'static [Firing],
}

impl Firing {
    /// The firing `[op, first, rows, advance]`.
    pub const fn new([op, first, rows, advance]: [usize; 4]) -> Self {
        Self {
            op,
            first,
            rows,
            advance,
        }
    }

    /// The rows of the firing.
    pub const fn rows(&self) -> Range<usize> {
        self.first..self.first + self.rows
    }
}

impl Order {
    /// Calls `fire(op, rows)` for every firing.
    pub fn run(&self, fire: &mut dyn FnMut(usize, Range<usize>)) {
        for f in self.prologue {
            fire(f.op, f.rows());
        }
        for turn in 0..self.repeats {
            for f in self.period {
                let first = f.first + turn * f.advance;
                fire(f.op, first..first + f.rows);
            }
        }
        for f in self.epilogue {
            fire(f.op, f.rows());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Firing, Order};

    #[test]
    fn turns_move_down() {
        const ORDER: Order = Order {
            prologue: &[Firing::new([0, 0, 3, 0])],
            period: &[Firing::new([0, 3, 2, 2]), Firing::new([1, 0, 1, 1])],
            repeats: 2,
            epilogue: &[Firing::new([1, 2, 1, 0])],
        };
        let mut seen = Vec::new();
        ORDER.run(&mut |op, rows| seen.push((op, rows.start, rows.end)));
        assert_eq!(
            seen,
            [
                (0, 0, 3),
                (0, 3, 5),
                (1, 0, 1),
                (0, 5, 7),
                (1, 1, 2),
                (1, 2, 3)
            ]
        );
    }
}
