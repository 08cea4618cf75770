//! The arrays of every layer, in file order.

use super::{Header, WeightsError, WeightsWarning};
use crate::graph::{Graph, Stored};

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

pub(super) fn check_size(graph: &Graph, h: &Header, found: u64) -> Result<(), WeightsError> {
    let expected = h.bytes as u64 + 4 * floats(graph) as u64;
    if found == expected {
        return Ok(());
    }
    let help = if found == expected + 4 || found + 4 == expected {
        format!(
            "they differ by 4: the header says version {}.{} (a counter of {} bytes), but the file was written with the other width",
            h.major,
            h.minor,
            h.bytes - 12
        )
    } else if found < expected {
        ends_in(graph, h.bytes as u64, found)
    } else if !found.is_multiple_of(4) {
        format!(
            "{} bytes too many, and no whole number of values: the download is damaged",
            found - expected
        )
    } else {
        format!(
            "{} bytes ({} values) too many: the file belongs to another cfg, perhaps one with another number of classes",
            found - expected,
            (found - expected) / 4
        )
    };
    Err(WeightsError::Size {
        expected,
        found,
        help,
    })
}

/// Says where a short file ends.
fn ends_in(graph: &Graph, header: u64, found: u64) -> String {
    let mut at = header;
    for (i, l) in graph.layers.iter().enumerate() {
        if l.weights == 0 {
            continue;
        }
        if at == found && i > 0 {
            return format!(
                "it ends exactly before layer {i} [{}]: this is a backbone file (as used to begin training), the rest is missing",
                l.kind
            );
        }
        let end = at + 4 * l.weights as u64;
        if found < end {
            let odd = if found.is_multiple_of(4) {
                ""
            } else {
                ", in the middle of a value"
            };
            return format!(
                "it ends in layer {i} [{}]{odd}: the file is truncated; fetch it again, or it belongs to another cfg",
                l.kind
            );
        }
        at = end;
    }
    "fetch it again".into()
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
                no_scales,
                flipped,
            } => {
                raw.biases = r.take(i, "biases", n)?;
                if batch_norm && !no_scales {
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
                layer: i,
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
