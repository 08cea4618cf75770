//! Order statistics of repeated timings.

/// Order statistics of a list of timings, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// The shortest time: the speed of an undisturbed machine.
    pub min_s: f64,
    /// The median time.
    pub median_s: f64,
    /// The longest time.
    pub max_s: f64,
    /// The interquartile range: third quartile minus first quartile.
    pub spread_s: f64,
}

impl Times {
    /// Computes the statistics of a list of seconds; `None` for an empty list.
    pub fn of(list: &[f64]) -> Option<Self> {
        let mut v = list.to_vec();
        v.sort_by(f64::total_cmp);
        let last = v.len().checked_sub(1)?;
        Some(Self {
            min_s: v[0],
            median_s: v[v.len() / 2],
            max_s: v[last],
            spread_s: v[3 * last / 4] - v[last / 4],
        })
    }

    /// The spread as a share of the median.
    pub fn spread(&self) -> f64 {
        self.spread_s / self.median_s.max(1e-12)
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn quartiles_bound_the_middle_half() {
        assert_eq!(Times::of(&[]), None);
        let one = Times::of(&[3.0]).unwrap();
        assert_eq!((one.min_s, one.median_s, one.spread_s), (3.0, 3.0, 0.0));
        let list: Vec<f64> = (0..=8).rev().map(f64::from).collect();
        let t = Times::of(&list).unwrap();
        assert_eq!((t.min_s, t.median_s, t.max_s), (0.0, 4.0, 8.0));
        assert_eq!((t.spread_s, t.spread()), (4.0, 1.0));
    }
}
