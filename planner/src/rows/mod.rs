//! Rolling rows: a chain's rows stream through rings instead of whole maps.
//!
//! Every layer keeps a ring of just the rows that later layers still read. Work is driven from the
//! end: to make the next rows of an output, a step asks its inputs for the rows that these need, and
//! so on back to the loads; then it fires. So rows are made as late as they can be, a branch
//! (route, shortcut, upsample) keeps its rows exactly until its last reader is past them, and a layer
//! empties the ring of the one before while it is in the cache. No multiply-add is done twice.
//!
//! A ring is a whole number of row blocks high, so that the rows of a firing lie side by side. With
//! blocks as high as the maps, all this is the order of the DeepThings paper: layer by layer.

use tessera_plan::plan::{BufferIx, Firing, Order};

mod height;
mod period;

pub(crate) use height::{Layer, heights, plain_height};

/// Rows of a buffer that an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The buffer.
    pub buffer: BufferIx,
    /// First row.
    pub lo: usize,
    /// First row behind them.
    pub hi: usize,
}

/// A buffer's map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    /// Rows.
    pub h: usize,
    /// Values of a row.
    pub row: usize,
    /// Whether all rows stay: a map that lies outside the arena, whole.
    pub stays: bool,
}

/// When an operation fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// When its rows are asked for.
    Needed,
    /// That, or as soon as it can where it makes less out of a buffer that others read too: rows wait
    /// for their last reader in the form that takes the least memory.
    Smaller,
}

/// A load, step or store, as the schedule sees it.
pub(crate) struct Op<'a> {
    /// Whether its rows are there from the beginning: it never fires.
    pub there: bool,
    /// Rows that pass through it in all.
    pub h: usize,
    /// Rows of a firing.
    pub block: usize,
    /// Buffer that it fills; `None`: a store.
    pub writes: Option<BufferIx>,
    /// The row of that buffer in which its first row lies. Others fill the rows before and behind its own.
    pub at: usize,
    /// The number of its first row in firings.
    pub counts_from: usize,
    /// Rows that another operation does in its place.
    pub rest: Option<Rest>,
    /// What rows `first..end` read.
    pub reads: Box<dyn Fn(usize, usize) -> Vec<Reads> + 'a>,
}

/// The last rows of an operation, which the schedule gives to another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// The first of these rows.
    pub row: usize,
    /// The operation that does them.
    pub op: usize,
}

/// A scheduled chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// All firings.
    pub order: Order,
    /// Rows of every buffer's ring.
    pub rings: Vec<usize>,
    /// Firings (counted from 0) during which a buffer holds something: first and last.
    pub lives: Vec<[usize; 2]>,
    /// First and last firing of every operation; `None` if it never fires.
    pub spans: Vec<Option<[usize; 2]>>,
}

/// Whether some buffer has several readers, so that [`When::Smaller`] may make a difference.
pub(crate) fn branches(ops: &[Op<'_>], maps: &[Map]) -> bool {
    Run::new(ops, maps, When::Needed)
        .readers
        .iter()
        .any(|r| r.len() > 1)
}

/// Schedules `ops` over the buffers of `maps`. Every buffer is filled by one of them, or by several, each with
/// its channels, or its columns, of its rows.
pub(crate) fn schedule(ops: &[Op<'_>], maps: &[Map], when: When) -> Schedule {
    let mut run = Run::new(ops, maps, when);
    run.all();
    let rings = run
        .rings
        .iter()
        .zip(maps)
        .zip(&run.writers)
        .map(|((need, map), list)| {
            if map.stays {
                map.h
            } else {
                let block = list.iter().map(|op| ops[*op].block).fold(1, common);
                need.next_multiple_of(block).min(map.h)
            }
        })
        .collect();
    // Buffers' lives count firings, so firings are given away only afterwards.
    let mut spans = vec![None; ops.len()];
    for (now, f) in run.firings.iter().enumerate() {
        let [first, _] = spans[f.op].unwrap_or([now, now]);
        spans[f.op] = Some([first, now]);
    }
    Schedule {
        spans,
        order: period::compress(&given_away(ops, &run.firings)),
        rings,
        lives: run.lives,
    }
}

/// The firings of [`schedule`] when operations fire as they are needed, without anything else.
pub(crate) fn firings(ops: &[Op<'_>], maps: &[Map]) -> Vec<Firing> {
    let mut run = Run::new(ops, maps, When::Needed);
    run.measures = false;
    run.all();
    given_away(ops, &run.firings)
}

/// Firings with the rows that other operations do in the place of those that were scheduled.
fn given_away(ops: &[Op<'_>], firings: &[Firing]) -> Vec<Firing> {
    let parts = |f: &Firing| {
        let (end, rest) = (f.first + f.rows, ops[f.op].rest);
        let at = rest.map_or(end, |r| r.row.clamp(f.first, end));
        let part = |op: usize, first: usize, end: usize| Firing {
            op,
            first: ops[op].counts_from + first,
            rows: end - first,
            advance: 0,
        };
        let second = rest.map_or(f.op, |r| r.op);
        [part(f.op, f.first, at), part(second, at, end)]
    };
    let all = firings.iter().flat_map(parts);
    all.filter(|f| f.rows > 0).collect()
}

/// The least common multiple.
fn common(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

/// The state of the schedule as it is made.
struct Run<'a> {
    ops: &'a [Op<'a>],
    /// Operations that fill each buffer.
    writers: Vec<Vec<usize>>,
    /// Operations that read each buffer.
    readers: Vec<Vec<usize>>,
    /// For each buffer the readers that fire as soon as they can.
    eager: Vec<Vec<usize>>,
    /// Rows that each operation has done.
    done: Vec<usize>,
    firings: Vec<Firing>,
    /// Most rows of each buffer that were alive together.
    rings: Vec<usize>,
    lives: Vec<[usize; 2]>,
    /// Whether rings and lives are wanted.
    measures: bool,
}

impl<'a> Run<'a> {
    fn new(ops: &'a [Op<'a>], maps: &[Map], when: When) -> Self {
        let mut writers: Vec<Vec<usize>> = vec![Vec::new(); maps.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); maps.len()];
        for (i, op) in ops.iter().enumerate() {
            if let Some(b) = op.writes {
                writers[b.0].push(i);
            }
            for r in (op.reads)(0, op.h) {
                readers[r.buffer.0].push(i);
            }
        }
        let floats = |b: usize| maps[b].h * maps[b].row;
        let eager = (0..maps.len())
            .map(|b| {
                let smaller = |op: &usize| ops[*op].writes.is_some_and(|y| floats(y.0) < floats(b));
                let wanted = when == When::Smaller && readers[b].len() > 1;
                let list = readers[b].iter().copied();
                list.filter(|op| wanted && smaller(op)).collect()
            })
            .collect();
        Self {
            ops,
            writers,
            readers,
            eager,
            done: ops
                .iter()
                .map(|op| if op.there { op.h } else { 0 })
                .collect(),
            firings: Vec::new(),
            rings: vec![0; maps.len()],
            lives: vec![[usize::MAX, 0]; maps.len()],
            measures: true,
        }
    }

    /// Fires everything.
    fn all(&mut self) {
        let ops = self.ops;
        // What nobody reads ends the chain; ends advance side by side.
        let ends: Vec<usize> = (0..ops.len())
            .filter(|o| ops[*o].writes.is_none_or(|b| self.readers[b.0].is_empty()))
            .collect();
        let behind = |run: &Self| {
            ends.iter()
                .copied()
                .filter(|o| run.done[*o] < ops[*o].h)
                .min_by(|a, b| {
                    // done / h, compared without division.
                    (run.done[*a] * ops[*b].h).cmp(&(run.done[*b] * ops[*a].h))
                })
        };
        while let Some(op) = behind(self) {
            self.fire(op);
        }
    }

    /// The next rows of an operation, read by its next firing.
    fn next(&self, op: usize) -> (usize, usize) {
        let (first, o) = (self.done[op], &self.ops[op]);
        // Blocks begin at whole multiples of their height in the buffer, so that the ring's end divides none.
        let end = (o.at + first) / o.block * o.block + o.block - o.at;
        (first, end.min(o.h))
    }

    /// Rows that an operation must have done before the rows of its buffer before `end` are there.
    fn wanted(&self, op: usize, end: usize) -> usize {
        let o = &self.ops[op];
        end.saturating_sub(o.at).min(o.h)
    }

    /// Fires an operation once, after everything that it needs.
    fn fire(&mut self, op: usize) {
        let (first, end) = self.next(op);
        let reads = (self.ops[op].reads)(first, end);
        for r in &reads {
            // The last first: what is copied of a route's parts often waits for more rows than what is
            // written in its place, which can then come as late as these.
            for i in (0..self.writers[r.buffer.0].len()).rev() {
                let writer = self.writers[r.buffer.0][i];
                while self.done[writer] < self.wanted(writer, r.hi) {
                    self.fire(writer);
                }
            }
        }
        // What it needed may have let it fire already.
        if self.done[op] != first {
            return;
        }
        if self.measures {
            self.measure(op, [first, end], &reads);
        }
        self.firings.push(Firing {
            op,
            first,
            rows: end - first,
            advance: 0,
        });
        self.done[op] = end;
        if let Some(b) = self.ops[op].writes {
            for i in 0..self.eager[b.0].len() {
                let reader = self.eager[b.0][i];
                while self.can_fire(reader) {
                    self.fire(reader);
                }
            }
        }
    }

    /// Notes what the next firing keeps alive.
    fn measure(&mut self, op: usize, [first, end]: [usize; 2], reads: &[Reads]) {
        let now = self.firings.len();
        for b in reads.iter().map(|r| r.buffer).chain(self.ops[op].writes) {
            let [from, to] = &mut self.lives[b.0];
            (*from, *to) = (now.min(*from), now);
        }
        if let Some(b) = self.ops[op].writes {
            // Writers of a row's channels may be at different rows. Those that are done keep no row, and those that
            // have not begun have none.
            let ops = self.ops;
            let [first, end] = [first, end].map(|row| ops[op].at + row);
            let others = self.writers[b.0].iter().filter(|w| !ops[**w].there);
            let (mut least, mut most) = (first, end);
            for (w, done) in others.map(|w| (&ops[*w], self.done[*w])) {
                if done < w.h {
                    least = least.min(w.at + done);
                }
                if done > 0 {
                    most = most.max(w.at + done);
                }
            }
            let kept = self.oldest(b).min(least);
            self.rings[b.0] = self.rings[b.0].max(most - kept);
        }
    }

    /// Whether an operation has rows left to make, whole blocks of them, and all rows that the next
    /// block needs are there.
    fn can_fire(&self, op: usize) -> bool {
        let (first, end) = self.next(op);
        let there = |r: &Reads| {
            self.writers[r.buffer.0]
                .iter()
                .all(|w| self.done[*w] >= self.wanted(*w, r.hi))
        };
        first < end && (self.ops[op].reads)(first, end).iter().all(there)
    }

    /// First row of a buffer that somebody will still read.
    fn oldest(&self, buffer: BufferIx) -> usize {
        self.readers[buffer.0]
            .iter()
            .filter(|op| self.done[**op] < self.ops[**op].h)
            // All rows to come: with padding and dilation a later window may begin before an earlier one.
            .flat_map(|op| (self.ops[*op].reads)(self.done[*op], self.ops[*op].h))
            .filter(|r| r.buffer == buffer && r.lo < r.hi)
            .map(|r| r.lo)
            .min()
            .unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of `size` rows, one apart, over a map with `pad` rows around it.
    fn window(
        buffer: usize,
        h: usize,
        size: usize,
        pad: usize,
    ) -> impl Fn(usize, usize) -> Vec<Reads> {
        move |first, end| {
            vec![Reads {
                buffer: BufferIx(buffer),
                lo: first.saturating_sub(pad),
                hi: (end - 1 + size - pad).min(h),
            }]
        }
    }

    fn op<'a>(
        h: usize,
        block: usize,
        writes: Option<usize>,
        reads: impl Fn(usize, usize) -> Vec<Reads> + 'a,
    ) -> Op<'a> {
        Op {
            there: false,
            h,
            block,
            writes: writes.map(BufferIx),
            at: 0,
            counts_from: 0,
            rest: None,
            reads: Box::new(reads),
        }
    }

    /// Maps of `heights` rows of one value.
    fn maps<const N: usize>(heights: [usize; N]) -> [Map; N] {
        heights.map(|h| Map {
            h,
            row: 1,
            stays: false,
        })
    }

    #[test]
    fn a_row_waits_for_its_window_and_no_longer() {
        let ops = [
            op(8, 1, Some(0), |_, _| Vec::new()),
            op(8, 1, Some(1), window(0, 8, 3, 1)),
            op(8, 1, None, window(1, 8, 1, 0)),
        ];
        let s = schedule(&ops, &maps([8, 8]), When::Needed);
        assert_eq!(s.rings, [3, 1]);
        assert_eq!(s.order.firings().count(), 24);
    }

    #[test]
    fn blocks_as_high_as_the_map_run_layer_by_layer() {
        let ops = [
            op(8, 8, Some(0), |_, _| Vec::new()),
            op(8, 8, Some(1), window(0, 8, 3, 1)),
            op(8, 8, None, window(1, 8, 1, 0)),
        ];
        let s = schedule(&ops, &maps([8, 8]), When::Needed);
        assert_eq!(s.rings, [8, 8]);
        assert_eq!(s.lives, [[0, 1], [1, 2]]);
        assert_eq!(s.spans, [Some([0, 0]), Some([1, 1]), Some([2, 2])]);
        let order: Vec<usize> = s.order.firings().map(|f| f.op).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn maps_outside_the_arena_stay_and_are_not_copied() {
        let mut ops = [
            op(8, 1, Some(0), |_, _| Vec::new()),
            op(8, 2, Some(1), window(0, 8, 3, 1)),
            op(0, 1, None, |_, _| Vec::new()),
        ];
        ops[0].there = true;
        let maps = maps([8, 8]).map(|m| Map { stays: true, ..m });
        let s = schedule(&ops, &maps, When::Needed);
        assert_eq!(s.rings, [8, 8]);
        let order: Vec<_> = s.order.firings().map(|f| (f.op, f.first)).collect();
        assert_eq!(order, [(1, 0), (1, 2), (1, 4), (1, 6)]);
    }

    #[test]
    fn a_branch_keeps_its_rows_for_the_slower_reader() {
        // 0 -> 1 -> 2 by windows of five rows, then 3 = 2 beside 0.
        let both = |first, end| {
            vec![
                Reads {
                    buffer: BufferIx(2),
                    lo: first,
                    hi: end,
                },
                Reads {
                    buffer: BufferIx(0),
                    lo: first,
                    hi: end,
                },
            ]
        };
        let ops = [
            op(32, 1, Some(0), |_, _| Vec::new()),
            op(32, 1, Some(1), window(0, 32, 5, 2)),
            op(32, 1, Some(2), window(1, 32, 5, 2)),
            op(32, 1, Some(3), both),
            op(32, 1, None, window(3, 32, 1, 0)),
        ];
        let s = schedule(&ops, &maps([32; 4]), When::Needed);
        assert_eq!(s.rings, [5, 5, 1, 1]);
    }

    #[test]
    fn several_fill_a_map_with_rows_above_and_below_and_columns_beside() {
        // Rows 0 and 1 come from above, 2 to 8 are made, with columns beside, and row 9 comes from below.
        let made = |at, h, block, counts_from| Op {
            at,
            counts_from,
            ..op(h, block, Some(0), |_, _| Vec::new())
        };
        let ops = [
            made(0, 2, 1, 0),
            made(2, 7, 4, 2),
            made(9, 1, 1, 9),
            made(2, 7, 4, 0),
            op(8, 1, None, window(0, 10, 3, 0)),
        ];
        let s = schedule(&ops, &maps([10]), When::Needed);
        // Blocks of four rows, of which a window needs one more row than they have.
        assert_eq!(s.rings, [8]);
        let of = |op| s.order.firings().filter(move |f| f.op == op);
        let rows = |op| of(op).map(|f| [f.first, f.rows]).collect::<Vec<_>>();
        assert_eq!(rows(3), [[0, 2], [2, 4], [6, 1]]);
        assert_eq!(rows(1), [[2, 2], [4, 4], [8, 1]]);
        assert_eq!([rows(0), rows(2)], [vec![[0, 1], [1, 1]], vec![[9, 1]]]);
    }

    #[test]
    fn rows_wait_in_the_form_that_takes_least() {
        // 0 -> 1, a quarter as large; 2 = everything of 3, which pools 0; end: 1 beside 2.
        let part = |buffer, step: usize| {
            move |first: usize, end: usize| {
                vec![Reads {
                    buffer: BufferIx(buffer),
                    lo: step * first,
                    hi: step * end,
                }]
            }
        };
        let all = |_, _| {
            vec![Reads {
                buffer: BufferIx(3),
                lo: 0,
                hi: 8,
            }]
        };
        let both = |first, end| {
            [2, 1]
                .map(|buffer| Reads {
                    buffer: BufferIx(buffer),
                    lo: first,
                    hi: end,
                })
                .to_vec()
        };
        let ops = [
            op(16, 1, Some(0), |_, _| Vec::new()),
            op(16, 1, Some(1), part(0, 1)),
            op(8, 1, Some(3), part(0, 2)),
            op(8, 8, Some(2), all),
            op(8, 1, None, both),
        ];
        let maps = [(16, 8), (16, 2), (8, 8), (8, 4)].map(|(h, row)| Map {
            h,
            row,
            stays: false,
        });
        let lazy = schedule(&ops, &maps, When::Needed);
        assert_eq!(lazy.rings, [16, 1, 8, 8]);
        let eager = schedule(&ops, &maps, When::Smaller);
        assert_eq!(eager.rings, [2, 16, 8, 8]);
    }
}
