//! The rows that Darknet's forward reorg reads: a fact of planner, checks and code generation.

use crate::region::Span;

/// The first row, which may lie above the map, and the number of rows that Darknet's forward reorg by `stride` reads for
/// rows `out` (not empty) of its output, which has `out_h` rows. Rows above the map are rows of its lower end in the
/// channel before, rows below it are rows of its upper end in the next channel.
///
/// Value (`row`, `col`, `s^2 k + q`) of the output lies in row `s t - (s - 1) (t mod s) + s (offset / s) - q h` of the
/// input's map, with `s` the stride, `h` the input's rows, `t = row + q h / s` and `offset = k / (C / s^2)`
/// (`reorg_cpu` in Darknet's `src/blas.c`).
pub fn reorg_rows(out: Span, stride: usize, out_h: usize) -> (isize, usize) {
    let s = stride;
    let below = s * (s - 1);
    // Rows before those of offset 0 are read by some channels: `t mod s` takes the values of `s` channels.
    let back = |row: usize| (0..s).map(move |q| (s - 1) * ((row + q * out_h) % s));
    let least = |row: usize| (row * s) as isize - back(row).max().unwrap_or(0) as isize;
    let most = |row: usize| (row * s + below) as isize - back(row).min().unwrap_or(0) as isize;
    // A row that lies `s` rows further in reads neither the first row nor the last.
    let firsts = out.lo..out.hi.min(out.lo + s);
    let lasts = out.lo.max(out.hi.saturating_sub(s))..out.hi;
    let first = firsts.map(least).min().unwrap_or(0);
    let last = lasts.map(most).max().unwrap_or(0);
    (first, (last - first).unsigned_abs() + 1)
}
