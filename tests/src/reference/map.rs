//! A tensor in Darknet's order.

use anyhow::{Result, ensure};

/// A tensor in C, H, W order: channels of rows of columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Number of channels.
    pub c: usize,
    /// Number of rows.
    pub h: usize,
    /// Number of columns.
    pub w: usize,
    /// The `c * h * w` values, in C, H, W order.
    pub data: Vec<f64>,
}

impl Map {
    /// Makes a map of `data` in C, H, W order.
    ///
    /// # Errors
    /// When the length of `data` is not `c * h * w`, or is zero.
    pub fn new(c: usize, h: usize, w: usize, data: Vec<f64>) -> Result<Self> {
        ensure!(c * h * w > 0, "an empty map: {c} x {h} x {w}");
        ensure!(
            data.len() == c * h * w,
            "{} values for {c} x {h} x {w}",
            data.len()
        );
        Ok(Self { c, h, w, data })
    }

    pub(super) fn zeros(c: usize, h: usize, w: usize) -> Self {
        Self {
            c,
            h,
            w,
            data: vec![0.0; c * h * w],
        }
    }

    /// Makes a map with the value `f(channel, row, column)` at each place.
    pub(super) fn from_fn(
        c: usize,
        h: usize,
        w: usize,
        f: impl Fn(usize, usize, usize) -> f64,
    ) -> Self {
        let mut map = Self::zeros(c, h, w);
        for k in 0..c {
            for j in 0..h {
                for i in 0..w {
                    *map.at_mut(k, j, i) = f(k, j, i);
                }
            }
        }
        map
    }

    pub(super) fn at(&self, c: usize, y: usize, x: usize) -> f64 {
        self.data[(c * self.h + y) * self.w + x]
    }

    pub(super) fn at_mut(&mut self, c: usize, y: usize, x: usize) -> &mut f64 {
        &mut self.data[(c * self.h + y) * self.w + x]
    }

    /// The value at channel `c`, row `y` and column `x`; `None` outside of the map.
    pub(super) fn get(&self, c: usize, y: i64, x: i64) -> Option<f64> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.h && x < self.w).then(|| self.at(c, y, x))
    }

    pub(super) fn same_shape(&self, other: &Self) -> bool {
        (self.c, self.h, self.w) == (other.c, other.h, other.w)
    }

    /// The values as float32.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|v| *v as f32).collect()
    }
}
