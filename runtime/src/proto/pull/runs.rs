//! A packed box inside a packed larger box: which bytes of one are which of the other.
//!
//! A box travels packed `[h][w][c]`; at both ends it lies inside an object or a whole tensor. Runs
//! are as long as the shapes allow: pixels, rows of pixels, or everything.

use std::ops::Range;

use crate::region::Region;

/// Calls `f(outer, inner, len)` for runs of consecutive values that together are the values
/// `range` of packed `inner`: they begin at value `outer` of packed box `outer_box` and at value
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
        let y = y + (inner_box.y[0] - outer_box.y[0]) as usize;
        let x = x + (inner_box.x[0] - outer_box.x[0]) as usize;
        (y * rows_wide + x) * outer_box.ch() + (inner_box.c[0] - outer_box.c[0]) as usize
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

/// Appends the bytes `range` of packed `inner` to `out`; they lie in `outer_bytes`.
pub fn gather(
    outer_bytes: &[u8],
    outer_box: Region,
    inner_box: Region,
    range: Range<usize>,
    out: &mut Vec<u8>,
) {
    let values = range.start / 4..range.end / 4;
    each_run(outer_box, inner_box, values, |outer, _, len| {
        out.extend_from_slice(&outer_bytes[4 * outer..4 * (outer + len)]);
    });
}

/// Puts `bytes`, which begin at byte `offset` of packed `inner`, where they belong in `outer_bytes`.
pub fn scatter(
    outer_bytes: &mut [u8],
    outer_box: Region,
    inner_box: Region,
    offset: usize,
    bytes: &[u8],
) {
    let first = offset / 4;
    let values = first..first + bytes.len() / 4;
    each_run(outer_box, inner_box, values, |outer, inner, len| {
        let from = 4 * (inner - first);
        outer_bytes[4 * outer..4 * (outer + len)].copy_from_slice(&bytes[from..from + 4 * len]);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range_in(hi: u32) -> impl Strategy<Value = [u32; 2]> {
        (0..hi).prop_flat_map(move |lo| (Just(lo), lo + 1..=hi).prop_map(|(a, b)| [a, b]))
    }

    fn region() -> impl Strategy<Value = Region> {
        (range_in(7), range_in(6), range_in(5)).prop_map(|(y, x, c)| Region { y, x, c })
    }

    fn inside() -> impl Strategy<Value = (Region, Region)> {
        (region(), region(), any::<[bool; 3]>()).prop_map(|(a, b, whole)| {
            let hull = |a: [u32; 2], b: [u32; 2]| [a[0].min(b[0]), a[1].max(b[1])];
            let outer = Region {
                y: hull(a.y, b.y),
                x: hull(a.x, b.x),
                c: hull(a.c, b.c),
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

    /// Value of a position, the same in every box.
    fn values(r: Region) -> Vec<u8> {
        let mut v = Vec::new();
        for y in r.y[0]..r.y[1] {
            for x in r.x[0]..r.x[1] {
                for c in r.c[0]..r.c[1] {
                    v.extend((y * 10_000 + x * 100 + c).to_le_bytes());
                }
            }
        }
        v
    }

    proptest! {
        #[test]
        fn chunks_carry_a_box_from_one_to_another(
            (from, inner) in inside(), (mut to, _) in inside(), chunk in 1..20usize,
        ) {
            let hull = |a: [u32; 2], b: [u32; 2]| [a[0].min(b[0]), a[1].max(b[1])];
            to.y = hull(to.y, inner.y);
            to.x = hull(to.x, inner.x);
            to.c = hull(to.c, inner.c);
            let (source, packed) = (values(from), values(inner));
            let mut target = vec![0xff; 4 * to.len()];
            let mut sent = Vec::new();
            for offset in (0..packed.len()).step_by(4 * chunk) {
                let end = (offset + 4 * chunk).min(packed.len());
                let mut bytes = Vec::new();
                gather(&source, from, inner, offset..end, &mut bytes);
                scatter(&mut target, to, inner, offset, &bytes);
                sent.extend(bytes);
            }
            prop_assert_eq!(sent, packed);
            let expected = values(to);
            let mut changed = 0;
            for (t, e) in target.chunks_exact(4).zip(expected.chunks_exact(4)) {
                if t != [0xff; 4] {
                    prop_assert_eq!(t, e);
                    changed += 1;
                }
            }
            prop_assert_eq!(changed, inner.len());
        }
    }

    #[test]
    fn runs_are_as_long_as_the_shapes_allow() {
        let check = |outer, inner: Region, expected: usize| {
            let mut runs = 0;
            each_run(outer, inner, 0..inner.len(), |_, _, _| runs += 1);
            assert_eq!(runs, expected);
        };
        let whole = Region::whole(6, 5, 4);
        let inner = |y, x, c| Region { y, x, c };
        check(whole, whole, 1);
        check(whole, inner([1, 4], [0, 5], [0, 4]), 1);
        check(whole, inner([1, 4], [1, 5], [0, 4]), 3);
        check(whole, inner([1, 4], [0, 5], [1, 4]), 15);
        check(whole, inner([1, 2], [1, 2], [0, 1]), 1);
    }
}
