//! Boxes of `[h, w, c]` maps, and copying between them.

/// A box of a map: half-open ranges of rows, columns and channels, as `[lo, hi]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region {
    /// Rows.
    pub y: [u32; 2],
    /// Columns.
    pub x: [u32; 2],
    /// Channels.
    pub c: [u32; 2],
}

impl Region {
    /// The box of nothing.
    pub const EMPTY: Self = Self {
        y: [0, 0],
        x: [0, 0],
        c: [0, 0],
    };

    /// The whole of an `h x w x c` map.
    pub const fn whole(h: u32, w: u32, c: u32) -> Self {
        Self {
            y: [0, h],
            x: [0, w],
            c: [0, c],
        }
    }

    /// Rows inside.
    pub const fn h(self) -> usize {
        self.y[1].saturating_sub(self.y[0]) as usize
    }

    /// Columns inside.
    pub const fn w(self) -> usize {
        self.x[1].saturating_sub(self.x[0]) as usize
    }

    /// Channels inside.
    pub const fn ch(self) -> usize {
        self.c[1].saturating_sub(self.c[0]) as usize
    }

    /// Number of values inside. Does not overflow for regions checked against a program.
    pub const fn len(self) -> usize {
        self.h() * self.w() * self.ch()
    }

    /// Whether nothing lies inside.
    pub const fn is_empty(self) -> bool {
        self.h() == 0 || self.w() == 0 || self.ch() == 0
    }

    /// What lies in both.
    pub fn meet(self, o: Self) -> Self {
        let axis = |a: [u32; 2], b: [u32; 2]| [a[0].max(b[0]), a[1].min(b[1])];
        let r = Self {
            y: axis(self.y, o.y),
            x: axis(self.x, o.x),
            c: axis(self.c, o.c),
        };
        if r.is_empty() { Self::EMPTY } else { r }
    }

    /// Whether `o` lies inside.
    pub fn contains(self, o: Self) -> bool {
        let axis = |a: [u32; 2], b: [u32; 2]| a[0] <= b[0] && b[1] <= a[1];
        axis(self.y, o.y) && axis(self.x, o.x) && axis(self.c, o.c)
    }
}
