//! Activation functions by name.

use anyhow::{Result, bail};

use super::{Cx, Map};

/// Computes `[activation]`.
pub(super) fn layer(cx: &Cx<'_>) -> Result<Map> {
    apply(
        cx.section.text("activation").unwrap_or("linear"),
        cx.previous(),
    )
}

/// Applies the activation function `name` to every value of a map.
pub(super) fn apply(name: &str, x: &Map) -> Result<Map> {
    let mut y = x.clone();
    match name {
        "normalize_channels"
        | "normalize_channels_softmax"
        | "normalize_channels_softmax_maxval" => {
            for j in 0..x.h {
                for i in 0..x.w {
                    let pixel: Vec<f64> = (0..x.c).map(|k| x.at(k, j, i)).collect();
                    for (k, v) in channels(name, &pixel).into_iter().enumerate() {
                        *y.at_mut(k, j, i) = v;
                    }
                }
            }
        }
        _ => {
            for v in &mut y.data {
                *v = value(name, *v)?;
            }
        }
    }
    Ok(y)
}

fn channels(name: &str, x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let part = |v: f64| match name {
        "normalize_channels" => v.max(0.0),
        "normalize_channels_softmax" => v.exp(),
        _ => (v - most).exp(),
    };
    let sum: f64 = x.iter().map(|v| part(*v)).sum();
    x.iter().map(|v| part(*v) / (0.0001 + sum)).collect()
}

pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn value(name: &str, x: f64) -> Result<f64> {
    let positive = |low: f64| if x > 0.0 { x } else { low };
    Ok(match name {
        "linear" => x,
        "logistic" => logistic(x),
        "loggy" => 2.0 * logistic(x) - 1.0,
        "relu" => positive(0.0),
        "relu6" => x.clamp(0.0, 6.0),
        "leaky" | "revleaky" => positive(0.1 * x),
        "relie" => positive(0.01 * x),
        "ramp" => positive(0.0) + 0.1 * x,
        "elu" => positive(x.exp() - 1.0),
        "selu" => 1.0507 * positive(1.6732 * (x.exp() - 1.0)),
        "gelu" => 0.5 * x * (1.0 + (0.797_885 * x + 0.035_677 * x.powi(3)).tanh()),
        "tanh" => x.tanh(),
        "plse" if x < -4.0 => 0.01 * (x + 4.0),
        "plse" if x > 4.0 => 0.01 * (x - 4.0) + 1.0,
        "plse" => 0.125 * x + 0.5,
        "stair" => {
            let n = x.floor();
            let half = (x / 2.0).floor();
            if n.rem_euclid(2.0) == 0.0 {
                half
            } else {
                (x - n) + half
            }
        }
        "hardtan" => x.clamp(-1.0, 1.0),
        "lhtan" if x < 0.0 => 0.001 * x,
        "lhtan" if x > 1.0 => 0.001 * (x - 1.0) + 1.0,
        "lhtan" => x,
        "swish" => x * logistic(x),
        "mish" => {
            let softplus = match x {
                _ if x > 20.0 => x,
                _ if x < -20.0 => x.exp(),
                _ => (1.0 + x.exp()).ln(),
            };
            x * softplus.tanh()
        }
        "hard_mish" if x > 0.0 => x,
        "hard_mish" if x > -2.0 => x * x / 2.0 + x,
        "hard_mish" => 0.0,
        _ => bail!("activation {name} is not known here"),
    })
}
