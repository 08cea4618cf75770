//! Boxes of a feature map: half-open ranges of rows, columns and channels.
//!
//! Every place that speaks of a part of a map speaks of a [`Region`]: tiles, halos, objects,
//! pulls. Rows alone are never enough (a grid cuts both axes).

use serde::{Deserialize, Serialize};

/// A half-open range `lo..hi` along one axis. Serialised as `[lo, hi]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "[usize; 2]", into = "[usize; 2]")]
pub struct Span {
    /// First index inside.
    pub lo: usize,
    /// First index behind the range.
    pub hi: usize,
}

impl From<[usize; 2]> for Span {
    fn from([lo, hi]: [usize; 2]) -> Self {
        Self { lo, hi }
    }
}

impl From<Span> for [usize; 2] {
    fn from(s: Span) -> Self {
        [s.lo, s.hi]
    }
}

impl Span {
    /// The range `lo..hi`.
    pub const fn new(lo: usize, hi: usize) -> Self {
        Self { lo, hi }
    }

    /// Number of indices in the range.
    pub const fn len(self) -> usize {
        self.hi.saturating_sub(self.lo)
    }

    /// True if nothing lies inside.
    pub const fn is_empty(self) -> bool {
        self.hi <= self.lo
    }

    /// True if `o` begins and ends inside this range. That holds for empty ranges too.
    pub const fn contains(self, o: Self) -> bool {
        self.lo <= o.lo && o.hi <= self.hi
    }

    /// The intersection of both ranges. An empty one is `0..0`.
    pub fn meet(self, other: Self) -> Self {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        if lo < hi {
            Self { lo, hi }
        } else {
            Self::new(0, 0)
        }
    }

    /// The smallest range that holds both. An empty range adds nothing.
    pub fn join(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self::new(self.lo.min(other.lo), self.hi.max(other.hi)),
        }
    }
}

/// Height, width and channels of a map. Maps lie in memory as `[h, w, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[usize; 3]", into = "[usize; 3]")]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl From<[usize; 3]> for Shape {
    fn from([h, w, c]: [usize; 3]) -> Self {
        Self { h, w, c }
    }
}

impl From<Shape> for [usize; 3] {
    fn from(s: Shape) -> Self {
        [s.h, s.w, s.c]
    }
}

impl Shape {
    /// A map of `h` rows, `w` columns and `c` channels.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// Number of values in the map.
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// True if the map has no values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A box of a map: `{y, x, c}` of half-open ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Region {
    /// Rows.
    pub y: Span,
    /// Columns.
    pub x: Span,
    /// Channels.
    pub c: Span,
}

impl Region {
    /// The empty box.
    pub const EMPTY: Self = Self::new([0, 0], [0, 0], [0, 0]);

    /// Rows `y`, columns `x` and channels `c`, each as `[lo, hi]`.
    pub const fn new(y: [usize; 2], x: [usize; 2], c: [usize; 2]) -> Self {
        Self {
            y: Span::new(y[0], y[1]),
            x: Span::new(x[0], x[1]),
            c: Span::new(c[0], c[1]),
        }
    }

    /// The box of a whole map.
    pub const fn whole(s: Shape) -> Self {
        Self {
            y: Span::new(0, s.h),
            x: Span::new(0, s.w),
            c: Span::new(0, s.c),
        }
    }

    /// Number of rows.
    pub const fn h(self) -> usize {
        self.y.len()
    }

    /// Number of columns.
    pub const fn w(self) -> usize {
        self.x.len()
    }

    /// Number of channels.
    pub const fn ch(self) -> usize {
        self.c.len()
    }

    /// Number of values in the box. It cannot overflow for boxes of a plan that passed [`crate::check`], or for
    /// boxes inside of those.
    pub const fn len(self) -> usize {
        self.h() * self.w() * self.ch()
    }

    /// True if nothing lies inside.
    pub const fn is_empty(self) -> bool {
        self.y.is_empty() || self.x.is_empty() || self.c.is_empty()
    }

    /// True if `o` lies inside this box.
    pub const fn contains(self, o: Self) -> bool {
        self.y.contains(o.y) && self.x.contains(o.x) && self.c.contains(o.c)
    }

    /// The intersection of both boxes; [`Self::EMPTY`] if they do not overlap.
    pub fn meet(self, o: Self) -> Self {
        let r = Self {
            y: self.y.meet(o.y),
            x: self.x.meet(o.x),
            c: self.c.meet(o.c),
        };
        if r.is_empty() { Self::EMPTY } else { r }
    }

    /// The smallest box that holds both. An empty box adds nothing.
    pub fn join(self, o: Self) -> Self {
        match (self.is_empty(), o.is_empty()) {
            (true, _) => o,
            (_, true) => self,
            _ => Self {
                y: self.y.join(o.y),
                x: self.x.join(o.x),
                c: self.c.join(o.c),
            },
        }
    }

    /// Disjoint boxes that hold what lies inside this box and outside of `o`; at most six.
    pub fn minus(self, o: Self) -> Vec<Self> {
        let cut = self.meet(o);
        if cut.is_empty() {
            return if self.is_empty() {
                Vec::new()
            } else {
                vec![self]
            };
        }
        let sides =
            |whole: Span, cut: Span| [Span::new(whole.lo, cut.lo), Span::new(cut.hi, whole.hi)];
        let rows = sides(self.y, cut.y).map(|y| Self { y, ..self });
        let columns = sides(self.x, cut.x).map(|x| Self {
            y: cut.y,
            x,
            ..self
        });
        let channels = sides(self.c, cut.c).map(|c| Self { c, ..cut });
        let all = rows.into_iter().chain(columns).chain(channels);
        all.filter(|r| !r.is_empty()).collect()
    }

    /// The same for several boxes `others`.
    pub fn without(self, others: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut left = vec![self];
        for o in others {
            left = left.into_iter().flat_map(|r| r.minus(o)).collect();
        }
        left
    }

    /// Adds to `known`, boxes that do not overlap, what they lack of this box; returns the number of values added.
    pub fn add_to(self, known: &mut Vec<Self>) -> usize {
        let parts = self.without(known.iter().copied());
        let added = parts.iter().map(|p| p.len()).sum();
        known.extend(parts);
        added
    }

    /// Rows, columns and channels of the box.
    pub const fn shape(self) -> Shape {
        Shape::new(self.y.len(), self.x.len(), self.c.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every position of small boxes lies in exactly one of the parts, or in what was taken away.
    #[test]
    fn parts_cover_what_is_left_once() {
        let whole = Region::new([0, 4], [1, 5], [0, 3]);
        let spans = |hi: usize| (0..=hi).flat_map(move |lo| (lo..=hi).map(move |h| [lo, h]));
        for y in spans(5) {
            for x in spans(5) {
                for c in spans(3) {
                    let away = Region::new(y, x, c);
                    let parts = whole.minus(away);
                    assert!(parts.len() <= 6 && parts.iter().all(|p| !p.is_empty()));
                    let sum: usize = parts.iter().map(|p| p.len()).sum();
                    assert_eq!(sum, whole.len() - whole.meet(away).len(), "{away:?}");
                    for (k, p) in parts.iter().enumerate() {
                        assert!(whole.contains(*p) && p.meet(away).is_empty());
                        assert!(parts[..k].iter().all(|q| q.meet(*p).is_empty()));
                    }
                }
            }
        }
        let halves = [
            Region::new([0, 2], [0, 9], [0, 9]),
            Region::new([1, 9], [0, 9], [0, 9]),
        ];
        assert_eq!(whole.without(halves), []);
    }
}
