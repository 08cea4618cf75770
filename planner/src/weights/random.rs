//! Deterministic random weights as a Darknet file: for planning, benchmarks and tests without a
//! trained model.
//!
//! Weights are He-scaled (He et al. 2015, eq. 10) so that activations keep their size through
//! many layers; batch-norm statistics match what such a layer sees, with some spread.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use tessera_plan::graph::{Graph, Stored};

struct Draw(ChaCha8Rng);

impl Draw {
    /// Uniform in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit float32 exactly")]
    fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    fn between(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.unit()
    }

    /// Uniform with mean 0 and the given standard deviation: half-width `sqrt(3) * deviation`.
    fn spread(&mut self, deviation: f32) -> f32 {
        let a = deviation * 3f32.sqrt();
        self.between(-a, a)
    }
}

/// A weights file for `graph` with header 0.2.5. Equal seeds give equal files.
#[expect(clippy::cast_precision_loss, reason = "fan-ins fit float32")]
pub fn random_file(graph: &Graph, seed: u64) -> Vec<u8> {
    let mut d = Draw(ChaCha8Rng::seed_from_u64(seed));
    let mut bytes =
        Vec::with_capacity(20 + 4 * graph.layers.iter().map(|l| l.weights).sum::<usize>());
    for word in [0i32, 2, 5] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0u64.to_le_bytes());
    for (i, layer) in graph.layers.iter().enumerate() {
        let mut put = |v: f32| bytes.extend(v.to_le_bytes());
        // Convolutions before detection layers give mild logits.
        let feeds_head = graph.layers.get(i + 1).is_some_and(|l| {
            matches!(
                l.kind.as_str(),
                "yolo" | "region" | "Gaussian_yolo" | "detection"
            )
        });
        match layer.stored {
            Stored::Nothing => {}
            Stored::Conv {
                n, k, batch_norm, ..
            } => {
                let he = (2.0 / k as f32).sqrt() * if feeds_head { 0.5 } else { 1.0 };
                (0..n).for_each(|_| put(d.between(-0.1, 0.1)));
                if batch_norm {
                    statistics(&mut d, n, &mut put);
                }
                (0..n * k).for_each(|_| put(d.spread(he)));
            }
            Stored::Connected {
                inputs,
                outputs,
                batch_norm,
            } => {
                let he = (2.0 / inputs as f32).sqrt();
                (0..outputs).for_each(|_| put(d.between(-0.1, 0.1)));
                (0..inputs * outputs).for_each(|_| put(d.spread(he)));
                if batch_norm {
                    statistics(&mut d, outputs, &mut put);
                }
            }
            Stored::BatchNorm { c } => {
                (0..c).for_each(|_| put(d.between(-0.1, 0.1)));
                statistics(&mut d, c, &mut put);
            }
            Stored::Local { positions, n, k } => {
                let he = (2.0 / k as f32).sqrt();
                (0..positions * n).for_each(|_| put(d.between(-0.1, 0.1)));
                (0..positions * n * k).for_each(|_| put(d.spread(he)));
            }
            Stored::Shortcut {
                inputs,
                c,
                per_channel,
                ..
            } => {
                (0..inputs * if per_channel { c } else { 1 })
                    .for_each(|_| put(d.between(0.5, 1.0)));
            }
        }
    }
    bytes
}

/// Scales around 1, small means, variances around 1.
fn statistics(d: &mut Draw, n: usize, put: &mut impl FnMut(f32)) {
    (0..n).for_each(|_| put(d.between(0.8, 1.2)));
    (0..n).for_each(|_| put(d.between(-0.2, 0.2)));
    (0..n).for_each(|_| put(d.between(0.7, 1.4)));
}
