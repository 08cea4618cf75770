//! Ranges of rows that go on at the map's other end: what Darknet's reorg needs of its input.
//!
//! Such a range is a [`Span`] whose end may lie behind the map's: of 38 rows, `37..51` are row 37 and rows 0 to
//! 12. It begins inside the map and has no more rows than the map. Only layers that make each row out of the same
//! row pass it on; every other layer computes the whole map instead ([`super::StageGraph::trace`]).

use tessera_plan::{
    graph::{Node, Op},
    region::Span,
};

/// Whether a range of a map of `extent` rows goes on at the map's other end.
pub const fn wraps(s: Span, extent: usize) -> bool {
    s.hi > extent
}

/// A range of `len` rows from `lo` on, which may lie above the map; the whole map if it has no more rows.
pub fn range(lo: isize, len: usize, extent: usize) -> Span {
    if len >= extent {
        return Span::new(0, extent);
    }
    let lo = lo.rem_euclid(extent.max(1) as isize) as usize;
    Span::new(lo, lo + len)
}

/// The same range, which may begin behind the map's end, from its place inside the map on.
pub const fn inside(s: Span, extent: usize) -> Span {
    if s.lo >= extent && extent > 0 {
        Span::new(s.lo - extent, s.hi - extent)
    } else {
        s
    }
}

/// The rows of the map in a range: those up to the map's end, then those from its beginning on.
pub fn runs(s: Span, extent: usize) -> [Span; 2] {
    [
        Span::new(s.lo, s.hi.min(extent)),
        Span::new(0, s.hi.saturating_sub(extent)),
    ]
}

/// Where `part` begins in `held`; `None` if its rows do not follow each other there.
pub fn offset(held: Span, part: Span, extent: usize) -> Option<usize> {
    [part.lo, part.lo + extent]
        .iter()
        .filter_map(|lo| lo.checked_sub(held.lo))
        .find(|at| at + part.len() <= held.len())
}

/// The shortest range that holds both, each in rows that follow each other, or the whole map.
pub fn join(a: Span, b: Span, extent: usize) -> Span {
    if !wraps(a, extent) && !wraps(b, extent) || a.is_empty() || b.is_empty() {
        return a.join(b);
    }
    let from = |first: Span, second: Span| {
        let at = (second.lo + extent - first.lo) % extent;
        let len = first.len().max(at + second.len());
        range(first.lo as isize, len, extent)
    };
    let (ab, ba) = (from(a, b), from(b, a));
    if ba.len() < ab.len() { ba } else { ab }
}

/// Whether a layer makes each row out of the same row of its inputs.
pub fn is_row_wise(node: &Node) -> bool {
    match &node.op {
        Op::Conv(c) => (c.size, c.stride_y, c.pad) == (1, 1, 0),
        Op::Concat(_)
        | Op::MaxPoolDepth { .. }
        | Op::BatchNorm
        | Op::Activate(_)
        | Op::Sam { .. }
        | Op::Lrn { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_on_at_the_other_end() {
        assert_eq!(range(-1, 14, 38), Span::new(37, 51));
        assert_eq!(range(25, 14, 38), Span::new(25, 39));
        assert_eq!(range(-1, 38, 38), Span::new(0, 38));
        let top = Span::new(37, 51);
        assert_eq!(runs(top, 38), [Span::new(37, 38), Span::new(0, 13)]);
        assert_eq!(offset(top, Span::new(0, 13), 38), Some(1));
        assert_eq!(offset(top, Span::new(37, 38), 38), Some(0));
        assert_eq!(offset(top, Span::new(13, 14), 38), None);
        assert_eq!(offset(Span::new(0, 38), top, 38), None);
    }

    /// Every pair of ranges of a small map: both lie in what joins them, and nothing shorter holds both.
    #[test]
    fn joined_ranges_hold_both() {
        let extent = 7;
        let all: Vec<Span> = (0..extent)
            .flat_map(|lo| (1..extent).map(move |len| Span::new(lo, lo + len)))
            .collect();
        for &a in &all {
            for &b in &all {
                if !wraps(a, extent) && !wraps(b, extent) {
                    continue;
                }
                let joined = join(a, b, extent);
                let holds =
                    |s: Span| offset(s, a, extent).is_some() && offset(s, b, extent).is_some();
                let shortest = all.iter().filter(|s| holds(**s)).map(|s| s.len()).min();
                assert_eq!(joined.len(), shortest.unwrap_or(extent), "{a:?} {b:?}");
                assert!(holds(joined) || joined == Span::new(0, extent));
            }
        }
    }
}
