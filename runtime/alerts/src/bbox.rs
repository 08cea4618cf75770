//! Boxes relative to a picture: overlap, and where an object stands.

/// A box: centre x, centre y, width, height, relative to the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BBox {
    /// Centre, from the left.
    pub x: f32,
    /// Centre, from the top.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl BBox {
    /// `None` if a value is no number, or the box is empty: networks with broken weights find such.
    pub fn new([x, y, w, h]: [f32; 4]) -> Option<Self> {
        let is_box = [x, y, w, h].iter().all(|v| v.is_finite()) && w > 0.0 && h > 0.0;
        is_box.then_some(Self { x, y, w, h })
    }

    /// Area of the intersection by that of the union, from 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let overlap = |a: f32, a_len: f32, b: f32, b_len: f32| {
            let lo = (a - a_len / 2.0).max(b - b_len / 2.0);
            let hi = (a + a_len / 2.0).min(b + b_len / 2.0);
            (hi - lo).max(0.0)
        };
        let inter =
            overlap(self.x, self.w, other.x, other.w) * overlap(self.y, self.h, other.y, other.h);
        let union = self.w * self.h + other.w * other.h - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// Where the object stands: the middle of the lower edge.
    pub fn foot(&self) -> [f32; 2] {
        [self.x, self.y + self.h / 2.0]
    }

    /// The box moved by `[dx, dy]`.
    pub fn moved(&self, [dx, dy]: [f32; 2]) -> Self {
        Self {
            x: self.x + dx,
            y: self.y + dy,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps() {
        let a = BBox::new([0.5, 0.5, 0.2, 0.2]).unwrap();
        assert!((a.iou(&a) - 1.0).abs() < 1e-6);
        // Half of each is common: a third of the union.
        assert!((a.iou(&a.moved([0.1, 0.0])) - 1.0 / 3.0).abs() < 1e-5);
        assert_eq!(a.iou(&a.moved([0.3, 0.0])), 0.0);
        assert!((a.foot()[1] - 0.6).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_box() {
        assert_eq!(BBox::new([0.5, 0.5, 0.0, 0.2]), None);
        assert_eq!(BBox::new([f32::NAN, 0.5, 0.1, 0.2]), None);
        assert_eq!(BBox::new([0.5, f32::INFINITY, 0.1, 0.2]), None);
    }
}
