//! The arrays of every layer, in file order.

use super::{
    error::{WeightsError, WeightsWarning},
    header::Header,
};
use tessera_plan::graph::{Graph, Stored};

/// A layer's arrays as the file holds them, matrices already in Darknet's canonical order.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    pub biases: Vec<f32>,
    pub scales: Vec<f32>,
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
    pub weights: Vec<f32>,
}

/// float32 values that the cfg needs.
pub(super) fn floats(graph: &Graph) -> usize {
    graph.layers.iter().map(|l| l.weights).sum()
}

/// Reads floats one array after the other.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(
        &mut self,
        layer: usize,
        array: &'static str,
        n: usize,
    ) -> Result<Vec<f32>, WeightsError> {
        // The length of the whole was checked against the sum of all arrays.
        let (mine, rest) = self.bytes.split_at((4 * n).min(self.bytes.len()));
        self.bytes = rest;
        let v: Vec<f32> = mine
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        if let Some(index) = v.iter().position(|x| !x.is_finite()) {
            return Err(WeightsError::Value {
                layer,
                array,
                index,
                value: v[index],
            });
        }
        if let Some(index) = v.iter().position(|x| array == "variance" && *x < 0.0) {
            return Err(WeightsError::Value {
                layer,
                array,
                index,
                value: v[index],
            });
        }
        Ok(v)
    }
}

/// `[rows][cols]` to `[cols][rows]`.
fn transpose(v: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols)
        .flat_map(|c| (0..rows).map(move |r| v[r * cols + c]))
        .collect()
}

pub(super) fn arrays(
    graph: &Graph,
    data: &[u8],
    h: &Header,
    warnings: &mut Vec<WeightsWarning>,
) -> Result<Vec<Raw>, WeightsError> {
    let mut r = Reader { bytes: data };
    let mut all = Vec::with_capacity(graph.layers.len());
    for (i, l) in graph.layers.iter().enumerate() {
        let mut raw = Raw::default();
        match l.stored {
            Stored::Nothing => {}
            Stored::Conv {
                n,
                k,
                batch_norm,
                flipped,
            } => {
                raw.biases = r.take(i, "biases", n)?;
                if batch_norm {
                    bn(&mut r, i, n, &mut raw)?;
                }
                raw.weights = r.take(i, "weights", n * k)?;
                if flipped {
                    raw.weights = transpose(&raw.weights, k, n);
                }
            }
            Stored::Connected {
                inputs,
                outputs,
                batch_norm,
            } => {
                raw.biases = r.take(i, "biases", outputs)?;
                raw.weights = r.take(i, "weights", inputs * outputs)?;
                if h.transposed() {
                    raw.weights = transpose(&raw.weights, inputs, outputs);
                }
                if batch_norm {
                    bn(&mut r, i, outputs, &mut raw)?;
                }
            }
            Stored::BatchNorm { c } => {
                raw.biases = r.take(i, "biases", c)?;
                bn(&mut r, i, c, &mut raw)?;
            }
            Stored::Local { positions, n, k } => {
                raw.biases = r.take(i, "biases", positions * n)?;
                raw.weights = r.take(i, "weights", positions * n * k)?;
            }
            Stored::Shortcut {
                inputs,
                c,
                per_channel,
                ..
            } => {
                raw.weights = r.take(i, "weights", inputs * if per_channel { c } else { 1 })?;
            }
        }
        let wild = raw.variance.iter().filter(|v| **v > 1e6).count();
        if wild > 0 {
            warnings.push(WeightsWarning {
                layer: Some(i),
                message: format!(
                    "{wild} batch-norm variances are above 1e6: are these the weights of this cfg?"
                ),
            });
        }
        all.push(raw);
    }
    Ok(all)
}

fn bn(r: &mut Reader<'_>, layer: usize, n: usize, raw: &mut Raw) -> Result<(), WeightsError> {
    raw.scales = r.take(layer, "scales", n)?;
    raw.mean = r.take(layer, "mean", n)?;
    raw.variance = r.take(layer, "variance", n)?;
    Ok(())
}
