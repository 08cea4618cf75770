//! Normalisation layers.

use anyhow::Result;

use super::{
    Cx, Map,
    weights::{Reader, Statistics},
};

pub(super) fn batchnorm(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<Map> {
    let x = cx.previous();
    let biases = reader.take(x.c)?;
    let statistics = Statistics::read(reader, x.c)?;
    Ok(Map::from_fn(x.c, x.h, x.w, |k, j, i| {
        statistics.apply(k, x.at(k, j, i), cx.fork) + biases[k]
    }))
}

/// Local response normalisation, with Darknet's window: channel `size / 2` is never added to the
/// running sum, and later subtracted.
pub(super) fn lrn(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let x = cx.previous();
    let size = s.size("size", 5)?;
    let (alpha, beta, kappa) = (
        s.float("alpha", 0.0001),
        s.float("beta", 0.75),
        s.float("kappa", 1.0),
    );
    let mut y = x.clone();
    for j in 0..x.h {
        for i in 0..x.w {
            let square = |k: usize| x.at(k, j, i).powi(2);
            let mut norm = kappa;
            for k in 0..(size / 2).min(x.c) {
                norm += alpha * square(k);
            }
            for k in 0..x.c {
                if k > 0 {
                    if k + size / 2 < x.c {
                        norm += alpha * square(k + size / 2);
                    }
                    if let Some(gone) = k.checked_sub((size - 1) / 2 + 1) {
                        norm -= alpha * square(gone);
                    }
                }
                *y.at_mut(k, j, i) = x.at(k, j, i) * norm.powf(-beta);
            }
        }
    }
    Ok(y)
}
