//! Random numbers of tests, from the simulator's generator: a seed gives the same numbers everywhere.

pub use tessera_sim::RandomSource;

/// A uniform random number in 0..1, in steps of 2^-24: every value is exact in `f32`.
pub const fn unit(random: &mut RandomSource) -> f32 {
    random.below(1 << 24) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fill_their_range() {
        let mut random = RandomSource::new(3);
        let values: Vec<f32> = (0..10_000).map(|_| unit(&mut random)).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        for tenth in 0..10_u8 {
            let low = f32::from(tenth) / 10.0;
            let within = values.iter().filter(|v| (low..low + 0.1).contains(*v));
            let count = within.count();
            assert!((900..1100).contains(&count), "{count} from {low}");
        }
    }
}
