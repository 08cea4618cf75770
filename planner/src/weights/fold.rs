//! Batch-norm folding (`docs/darknet.md#batch-norm`), in double precision as Darknet's
//! `fuse_conv_batchnorm`.

use super::read::Raw;
use tessera_plan::graph::{
    Darknet, Graph, NodeWeights, Normalization, Op, ShortcutKind, Stored, WeightSource,
};

/// Divisor of a channel's normalisation.
fn deviation(darknet: Darknet, variance: f32) -> f64 {
    match darknet {
        Darknet::Alexey => (f64::from(variance) + 0.00001).sqrt(),
        Darknet::Pjreddie => f64::from(variance).sqrt() + 0.000_001,
    }
}

/// Per channel factor and addend: `y = factor * x + addend`.
fn affine(darknet: Darknet, raw: &Raw) -> Vec<(f64, f64)> {
    (0..raw.scales.len())
        .map(|i| {
            let factor = f64::from(raw.scales[i]) / deviation(darknet, raw.variance[i]);
            (
                factor,
                f64::from(raw.biases[i]) - factor * f64::from(raw.mean[i]),
            )
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are stored as float32"
)]
fn scaled(darknet: Darknet, raw: &Raw) -> NodeWeights {
    if raw.scales.is_empty() {
        return NodeWeights {
            weights: raw.weights.clone(),
            bias: raw.biases.clone(),
        };
    }
    let affine = affine(darknet, raw);
    let per = raw.weights.len() / affine.len().max(1);
    let weights = raw
        .weights
        .iter()
        .enumerate()
        .map(|(i, w)| (f64::from(*w) * affine[i / per.max(1)].0) as f32)
        .collect();
    NodeWeights {
        weights,
        bias: affine.iter().map(|(_, b)| *b as f32).collect(),
    }
}

/// Weights of a shortcut as `[inputs][c]`, normalised.
fn shortcut(
    raw: &Raw,
    inputs: usize,
    c: usize,
    per_channel: bool,
    normalization: Normalization,
) -> Vec<f32> {
    let mut w: Vec<f32> = (0..inputs * c)
        .map(|i| {
            if per_channel {
                raw.weights[i]
            } else {
                raw.weights[i / c]
            }
        })
        .collect();
    for ch in 0..c {
        let column: Vec<f32> = (0..inputs).map(|i| w[i * c + ch]).collect();
        let max = column.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let value = |x: f32| match normalization {
            Normalization::None => x,
            Normalization::Relu => x.max(0.0),
            Normalization::Softmax => (x - max).exp(),
        };
        let sum = 0.0001 + column.iter().map(|x| value(*x)).sum::<f32>();
        for (i, x) in column.iter().enumerate() {
            w[i * c + ch] = if normalization == Normalization::None {
                *x
            } else {
                value(*x) / sum
            };
        }
    }
    w
}

/// Folds the arrays of all layers into weights per node.
#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are stored as float32"
)]
pub(super) fn fold(graph: &Graph, mut raw: Vec<Raw>) -> Vec<Option<NodeWeights>> {
    // A layer's arrays are given up once nobody else shares them.
    let mut users = vec![0usize; raw.len()];
    let owner = |n: &tessera_plan::graph::Node| match &n.op {
        Op::Conv(c) => match c.source {
            WeightSource::Layer(l) => Some(l),
            WeightSource::Blur => None,
        },
        _ => Some(n.layer),
    };
    for l in graph.nodes.iter().filter_map(owner) {
        users[l] += 1;
    }
    graph
        .nodes
        .iter()
        .map(|n| {
            if let (Op::Conv(c), None) = (&n.op, owner(n)) {
                let binomial: Vec<f32> = match c.size {
                    3 => [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]
                        .map(|w| w / 16.0)
                        .to_vec(),
                    _ => vec![0.25; c.size * c.size],
                };
                return Some(NodeWeights {
                    weights: binomial.repeat(n.shape.c),
                    bias: vec![0.0; n.shape.c],
                });
            }
            let l = owner(n)?;
            users[l] -= 1;
            let r = if users[l] == 0 {
                std::mem::take(&mut raw[l])
            } else {
                raw[l].clone()
            };
            match (&n.op, &graph.layers[l].stored) {
                (Op::Conv(_) | Op::Connected { .. }, _) => Some(scaled(graph.darknet, &r)),
                (Op::Local { .. }, _) => Some(NodeWeights {
                    weights: r.weights,
                    bias: r.biases,
                }),
                (Op::BatchNorm, _) => {
                    let a = affine(graph.darknet, &r);
                    Some(NodeWeights {
                        weights: a.iter().map(|(f, _)| *f as f32).collect(),
                        bias: a.iter().map(|(_, b)| *b as f32).collect(),
                    })
                }
                (
                    Op::Shortcut {
                        kind: ShortcutKind::Weighted,
                        ..
                    },
                    Stored::Shortcut {
                        inputs,
                        c,
                        per_channel,
                        normalization,
                    },
                ) => Some(NodeWeights {
                    weights: shortcut(&r, *inputs, *c, *per_channel, *normalization),
                    bias: Vec::new(),
                }),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_equals_normalised() {
        let raw = Raw {
            biases: vec![0.5, -1.0],
            scales: vec![2.0, 0.5],
            mean: vec![0.1, -0.2],
            variance: vec![0.0, 4.0],
            weights: vec![1.0, 2.0, 3.0, 4.0],
        };
        for darknet in [Darknet::Alexey, Darknet::Pjreddie] {
            let f = scaled(darknet, &raw);
            for (ch, x) in [(0usize, [0.3f64, -0.7]), (1, [1.5, 0.2])] {
                let dot: f64 = (0..2)
                    .map(|i| f64::from(raw.weights[ch * 2 + i]) * x[i])
                    .sum();
                let s = deviation(darknet, raw.variance[ch]);
                let want = f64::from(raw.scales[ch]) * (dot - f64::from(raw.mean[ch])) / s
                    + f64::from(raw.biases[ch]);
                let got: f64 = (0..2)
                    .map(|i| f64::from(f.weights[ch * 2 + i]) * x[i])
                    .sum::<f64>()
                    + f64::from(f.bias[ch]);
                assert!(
                    (want - got).abs() <= 1e-5 * want.abs().max(1.0),
                    "{darknet:?} {ch}: {want} {got}"
                );
            }
        }
    }

    #[test]
    fn shortcut_weights_are_normalised_over_inputs() {
        let raw = Raw {
            weights: vec![1.0, 3.0],
            ..Raw::default()
        };
        let w = shortcut(&raw, 2, 1, false, Normalization::Relu);
        assert!((w[0] - 1.0 / 4.0001).abs() < 1e-6 && (w[1] - 3.0 / 4.0001).abs() < 1e-6);
        assert_eq!(
            shortcut(&raw, 2, 1, false, Normalization::None),
            vec![1.0, 3.0]
        );
        let soft = shortcut(&raw, 2, 1, false, Normalization::Softmax);
        assert!((soft[0] + soft[1] - 1.0).abs() < 1e-3 && soft[1] > soft[0]);
    }
}
