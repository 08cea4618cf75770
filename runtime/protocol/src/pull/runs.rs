//! Runs: matching byte ranges of a packed box inside a packed larger box.
//!
//! A box travels packed `[h][w][c]`; at both ends the box lies inside an object or a whole tensor. Runs
//! are as long as the shapes allow: pixels, rows of pixels, or everything.

use std::ops::Range;

use tessera_plan::region::Region;

/// Calls `f(outer, inner, len)` for runs of consecutive values that together cover `range`, in values, of
/// the packed `inner` box. A run begins at value `outer` of packed box `outer_box` and at value
/// `inner` of packed box `inner_box`.
///
/// # Panics
/// When a box does not lie inside the other, or `range` leaves it: callers have checked.
pub fn each_run(
    outer_box: Region,
    inner_box: Region,
    range: Range<usize>,
    mut f: impl FnMut(usize, usize, usize),
) {
    assert!(outer_box.contains(inner_box) && range.end <= inner_box.len());
    let (rows_wide, whole_pixels) = (outer_box.w(), inner_box.ch() == outer_box.ch());
    let unit = if !whole_pixels {
        inner_box.ch()
    } else if inner_box.w() < rows_wide {
        inner_box.w() * inner_box.ch()
    } else {
        inner_box.len()
    };
    let first = |y: usize, x: usize| {
        let y = y + (inner_box.y.lo - outer_box.y.lo);
        let x = x + (inner_box.x.lo - outer_box.x.lo);
        (y * rows_wide + x) * outer_box.ch() + (inner_box.c.lo - outer_box.c.lo)
    };
    let mut at = range.start;
    while at < range.end {
        let (k, skip) = (at / unit, at % unit);
        let len = (unit - skip).min(range.end - at);
        let start = if whole_pixels {
            first(k, 0)
        } else {
            first(k / inner_box.w(), k % inner_box.w())
        };
        f(start + skip, at, len);
        at += len;
    }
}

/// Appends the bytes `range` of packed `inner` to `out`, read from `outer_bytes`. Each value takes
/// `value_bytes` bytes; `range` begins and ends between values.
pub fn gather(
    value_bytes: usize,
    outer_bytes: &[u8],
    outer_box: Region,
    inner_box: Region,
    range: Range<usize>,
    out: &mut Vec<u8>,
) {
    let n = value_bytes;
    let values = range.start / n..range.end / n;
    each_run(outer_box, inner_box, values, |outer, _, len| {
        out.extend_from_slice(&outer_bytes[n * outer..n * (outer + len)]);
    });
}

/// Writes `bytes`, which begin at byte `offset` of packed `inner`, to their place in `outer_bytes`.
/// Each value takes `value_bytes` bytes; `bytes` begin and end between values.
pub fn scatter(
    value_bytes: usize,
    outer_bytes: &mut [u8],
    outer_box: Region,
    inner_box: Region,
    offset: usize,
    bytes: &[u8],
) {
    let n = value_bytes;
    let first = offset / n;
    let values = first..first + bytes.len() / n;
    each_run(outer_box, inner_box, values, |outer, inner, len| {
        let from = n * (inner - first);
        outer_bytes[n * outer..n * (outer + len)].copy_from_slice(&bytes[from..from + n * len]);
    });
}

/// As [`scatter`], where only the bytes from `closed` on are open to be written: `open`, which begin with a row of
/// `outer_box`. What lies before arrived earlier, with the same values.
pub fn scatter_open(
    value_bytes: usize,
    (closed, open): (usize, &mut [u8]),
    outer_box: Region,
    inner_box: Region,
    offset: usize,
    bytes: &[u8],
) {
    let row_bytes = |r: Region| value_bytes * r.w() * r.ch();
    let closed_rows = closed / row_bytes(outer_box).max(1);
    let (mut outer, mut inner) = (outer_box, inner_box);
    outer.y.lo = (outer.y.lo + closed_rows).min(outer.y.hi);
    inner.y.lo = inner.y.lo.max(outer.y.lo).min(inner.y.hi);
    let skipped = (inner.y.lo - inner_box.y.lo) * row_bytes(inner_box);
    let first = skipped.saturating_sub(offset);
    if let Some(fresh) = bytes.get(first..).filter(|b| !b.is_empty()) {
        scatter(
            value_bytes,
            open,
            outer,
            inner,
            offset + first - skipped,
            fresh,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use tessera_plan::region::Span;

    use super::*;

    fn range_in(hi: usize) -> impl Strategy<Value = Span> {
        (0..hi).prop_flat_map(move |lo| (Just(lo), lo + 1..=hi).prop_map(|(a, b)| Span::new(a, b)))
    }

    fn region() -> impl Strategy<Value = Region> {
        (range_in(7), range_in(6), range_in(5)).prop_map(|(y, x, c)| Region { y, x, c })
    }

    fn inside() -> impl Strategy<Value = (Region, Region)> {
        (region(), region(), any::<[bool; 3]>()).prop_map(|(a, b, whole)| {
            let outer = Region {
                y: a.y.join(b.y),
                x: a.x.join(b.x),
                c: a.c.join(b.c),
            };
            // Whole axes are the common case, and the one with the longer runs.
            let inner = Region {
                y: if whole[0] { outer.y } else { b.y },
                x: if whole[1] { outer.x } else { b.x },
                c: if whole[2] { outer.c } else { b.c },
            };
            (outer, inner)
        })
    }

    /// Value of a position in its first `n` bytes, the same in every box.
    fn values(n: usize, r: Region) -> Vec<u8> {
        let mut v = Vec::new();
        for y in r.y.lo..r.y.hi {
            for x in r.x.lo..r.x.hi {
                for c in r.c.lo..r.c.hi {
                    let value = (y * 30 + x * 5 + c) as u32 * 0x0101_0101;
                    v.extend(&value.to_le_bytes()[..n]);
                }
            }
        }
        v
    }

    proptest! {
        #[test]
        fn chunks_carry_a_box_from_one_to_another(
            (from, inner) in inside(), (mut to, _) in inside(), chunk in 1..20usize, n in 0..3usize,
        ) {
            to.y = to.y.join(inner.y);
            to.x = to.x.join(inner.x);
            to.c = to.c.join(inner.c);
            let n = [1, 2, 4][n];
            let (source, packed) = (values(n, from), values(n, inner));
            let mut target = vec![0xff; n * to.len()];
            let mut sent = Vec::new();
            for offset in (0..packed.len()).step_by(n * chunk) {
                let end = (offset + n * chunk).min(packed.len());
                let mut bytes = Vec::new();
                gather(n, &source, from, inner, offset..end, &mut bytes);
                scatter(n, &mut target, to, inner, offset, &bytes);
                sent.extend(bytes);
            }
            prop_assert_eq!(sent, packed);
            let expected = values(n, to);
            let mut changed = 0;
            for (t, e) in target.chunks_exact(n).zip(expected.chunks_exact(n)) {
                if t != &[0xff; 4][..n] {
                    prop_assert_eq!(t, e);
                    changed += 1;
                }
            }
            prop_assert_eq!(changed, inner.len());
        }
    }

    proptest! {
        #[test]
        fn closed_rows_stay_as_they_are(
            (outer, inner) in inside(), chunk in 1..20usize, n in 0..3usize, rows in 0..7usize,
        ) {
            let n = [1, 2, 4][n];
            let closed = rows.min(outer.h()) * n * outer.w() * outer.ch();
            let packed = values(n, inner);
            let mut whole = vec![0xff; n * outer.len()];
            scatter(n, &mut whole, outer, inner, 0, &packed);
            let mut open = vec![0xff; n * outer.len() - closed];
            for offset in (0..packed.len()).step_by(n * chunk) {
                let end = (offset + n * chunk).min(packed.len());
                scatter_open(n, (closed, &mut open), outer, inner, offset, &packed[offset..end]);
            }
            prop_assert_eq!(&open[..], &whole[closed..]);
        }
    }

    #[test]
    fn runs_are_as_long_as_the_shapes_allow() {
        let check = |outer, inner: Region, expected: usize| {
            let mut runs = 0;
            each_run(outer, inner, 0..inner.len(), |_, _, _| runs += 1);
            assert_eq!(runs, expected);
        };
        let whole = Region::new([0, 6], [0, 5], [0, 4]);
        let inner = Region::new;
        check(whole, whole, 1);
        check(whole, inner([1, 4], [0, 5], [0, 4]), 1);
        check(whole, inner([1, 4], [1, 5], [0, 4]), 3);
        check(whole, inner([1, 4], [0, 5], [1, 4]), 15);
        check(whole, inner([1, 2], [1, 2], [0, 1]), 1);
    }
}
