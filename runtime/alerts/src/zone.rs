//! Polygons in a picture.

/// Most corners of a zone.
pub const CORNERS_MAX: usize = 64;

/// A polygon whose corners are relative to the picture, in their order. Edges may cross: a point is inside if a ray from it
/// crosses an odd number of edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(Vec<[f32; 2]>);

impl Zone {
    /// `None` without three corners, with more than [`CORNERS_MAX`], or where one is outside of the picture.
    pub fn new(corners: Vec<[f32; 2]>) -> Option<Self> {
        let inside = |c: &[f32; 2]| c.iter().all(|v| (0.0..=1.0).contains(v));
        let is_zone = (3..=CORNERS_MAX).contains(&corners.len()) && corners.iter().all(inside);
        is_zone.then_some(Self(corners))
    }

    /// True if the point is inside. What stands below the picture's lower edge stands on that edge.
    pub fn has(&self, [x, y]: [f32; 2]) -> bool {
        let y = y.min(1.0 - f32::EPSILON);
        let next = self.0.iter().cycle().skip(1);
        let crossed = self.0.iter().zip(next).filter(|([ax, ay], [bx, by])| {
            (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
        });
        crossed.count() % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_polygons() {
        let triangle = Zone::new(vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).unwrap();
        assert!(triangle.has([0.2, 0.2]));
        assert!(!triangle.has([0.8, 0.8]));
        // A U: what lies between its arms is outside.
        let u = [
            [0.0, 0.0],
            [0.2, 0.0],
            [0.2, 0.8],
            [0.8, 0.8],
            [0.8, 0.0],
            [1.0, 0.0],
            [1.0, 1.0],
            [0.0, 1.0],
        ];
        let u = Zone::new(u.to_vec()).unwrap();
        assert!(u.has([0.1, 0.4]) && u.has([0.9, 0.4]) && u.has([0.5, 0.9]));
        assert!(!u.has([0.5, 0.4]));
        // A car at the lower edge, whose box reaches beyond.
        assert!(u.has([0.5, 1.02]));
    }

    #[test]
    fn what_is_no_polygon() {
        assert_eq!(Zone::new(vec![[0.0, 0.0], [1.0, 1.0]]), None);
        assert_eq!(Zone::new(vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]), None);
        assert_eq!(Zone::new(vec![[0.5, 0.5]; CORNERS_MAX + 1]), None);
        assert_eq!(Zone::new(vec![[f32::NAN, 0.5]; 3]), None);
    }
}
