//! The progress of a task: which part of its work it can do with some rows of its inputs, and which rows of its outputs are
//! made when a part of its work is done.
//!
//! A chain fires row blocks in a fixed order, and a low map may be one block. So a task may read the first half of its
//! input before it can do any of its last layer's work, and make all rows of its output in its last firing.
//! Schedules and simulations ask this; no result depends on it.

/// The progress of one class of tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Per input, ascending: rows, and the share of the work, from 0 to 1, that can be done without the last of them.
    inputs: Vec<Vec<(usize, f64)>>,
    /// Per output, ascending: rows, and the share of the work after which they are made.
    outputs: Vec<Vec<(usize, f64)>>,
}

impl Progress {
    /// The share of the work, from 0 to 1, that needs only the first `rows` rows of an input.
    pub fn share_with_rows(&self, input: usize, rows: usize) -> f64 {
        let points = self.inputs.get(input).map_or(&[][..], Vec::as_slice);
        let next = points.partition_point(|(end, _)| *end <= rows);
        points.get(next).map_or(1.0, |(_, share)| *share)
    }

    /// The first rows of an input with which more can be done than with `rows` of them.
    pub fn next_rows(&self, input: usize, rows: usize) -> usize {
        let points = self.inputs.get(input).map_or(&[][..], Vec::as_slice);
        let now = self.share_with_rows(input, rows);
        // A point says how far it gets without the point's rows, but with those of the point before.
        let more = points.partition_point(|(_, share)| *share <= now);
        more.checked_sub(1).map_or(rows, |k| points[k].0)
    }

    /// Rows of an output that are made when this share of the work is done.
    pub fn rows_made(&self, output: usize, share: f64) -> usize {
        let points = self.outputs.get(output).map_or(&[][..], Vec::as_slice);
        let next = points.partition_point(|(_, made)| *made <= share);
        next.checked_sub(1).map_or(0, |k| points[k].0)
    }

    /// The share of the work after which the first `rows` rows of an output are made.
    pub fn share_made(&self, output: usize, rows: usize) -> f64 {
        let points = self.outputs.get(output).map_or(&[][..], Vec::as_slice);
        if rows == 0 {
            return 0.0;
        }
        let next = points.partition_point(|(end, _)| *end < rows);
        points.get(next).map_or(1.0, |(_, share)| *share)
    }
}

#[cfg(feature = "schema")]
mod of_chain {
    use super::Progress;
    use crate::plan::{BufferIx, Chain};

    /// Multiply-adds in whose time a value is moved: few boards do more than 20 of them, or fewer than 8.
    const MACS_PER_VALUE: f64 = 16.0;
    /// Parts of the work that are told apart.
    const PARTS: f64 = 128.0;

    impl Progress {
        /// The progress of a chain's tiles, by the order of its firings. The work of a firing is its part of the layer's
        /// multiply-adds, and of the values that it writes.
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        pub fn of(chain: &Chain) -> Self {
            let (loads, steps) = (chain.loads.len(), chain.steps.len());
            let values = |buffer: BufferIx, rows: usize| {
                let b = &chain.buffers[buffer];
                (rows * b.w * b.c) as f64 * MACS_PER_VALUE
            };
            let mut progress = Self {
                inputs: vec![Vec::new(); loads],
                outputs: vec![Vec::new(); chain.stores.len()],
            };
            let mut done = 0.0;
            for f in chain.order.firings() {
                if let Some(load) = chain.loads.get(f.op) {
                    let Some(view) = load else { continue };
                    let end = (f.first + f.rows).saturating_sub(view.y);
                    progress.inputs[f.op].push((end, done));
                    done += values(view.buffer, f.rows);
                } else if let Some(s) = chain.steps.get(f.op - loads) {
                    let part = f.rows as f64 / s.out.h.max(1) as f64;
                    done += s.macs as f64 * part + values(s.out.buffer, f.rows);
                } else if let Some(Some(view)) = chain.stores.get(f.op - loads - steps) {
                    done += values(view.buffer, f.rows);
                    progress.outputs[f.op - loads - steps].push((f.first + f.rows, done));
                }
            }
            let all = done.max(1.0);
            for points in progress.inputs.iter_mut().chain(&mut progress.outputs) {
                points.iter_mut().for_each(|p| p.1 /= all);
            }
            progress.inputs.iter_mut().for_each(|p| thin(p, true));
            progress.outputs.iter_mut().for_each(|p| thin(p, false));
            progress
        }
    }

    /// Leaves out points close to others: of inputs the later ones' shares, of outputs the earlier ones' rows, so that
    /// what is left promises less than is true, never more.
    fn thin(points: &mut Vec<(usize, f64)>, inputs: bool) {
        let mut kept: Vec<(usize, f64)> = Vec::new();
        for &(rows, share) in points.iter() {
            let same = |last: &(usize, f64)| ((share * PARTS) as u32) == ((last.1 * PARTS) as u32);
            match kept.last_mut() {
                // Rows behind the last point's: without them it gets at least as far.
                Some(last) if same(last) && inputs => last.0 = rows,
                Some(last) if same(last) => *last = (rows, share),
                _ => kept.push((rows, share)),
            }
        }
        *points = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        // Two rows, a fifth of the work; two more, all but the last three tenths, which need row 5.
        Progress {
            inputs: vec![vec![(2, 0.0), (4, 0.2), (5, 0.7)]],
            outputs: vec![vec![(1, 0.5), (3, 1.0)]],
        }
    }

    #[test]
    fn rows_allow_shares() {
        let p = progress();
        let shares: Vec<f64> = (0..7).map(|rows| p.share_with_rows(0, rows)).collect();
        assert_eq!(shares, [0.0, 0.0, 0.2, 0.2, 0.7, 1.0, 1.0]);
        assert_eq!(p.share_with_rows(1, 0), 1.0);
        let next: Vec<usize> = (0..6).map(|rows| p.next_rows(0, rows)).collect();
        assert_eq!(next, [2, 2, 4, 4, 5, 5]);
    }

    #[test]
    fn shares_make_rows() {
        let p = progress();
        let rows = [0.0, 0.49, 0.5, 0.99, 1.0].map(|share| p.rows_made(0, share));
        assert_eq!(rows, [0, 0, 1, 1, 3]);
        let shares = [0, 1, 2, 3, 4].map(|rows| p.share_made(0, rows));
        assert_eq!(shares, [0.0, 0.5, 1.0, 1.0, 1.0]);
    }
}
