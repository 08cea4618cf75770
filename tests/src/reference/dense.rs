//! Layers that read a whole map for every value, or have weights for every place.

use anyhow::{Context, Result, ensure};

use super::{
    Cx, Map, activation,
    weights::{Reader, Statistics},
};

pub(super) fn connected(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<Map> {
    let x = cx.previous();
    let (inputs, outputs) = (x.data.len(), cx.section.size("output", 1)?);
    let biases = reader.take(outputs)?;
    let weights = reader.take(outputs * inputs)?;
    let statistics = cx.section.flag("batch_normalize");
    let statistics = if statistics {
        Some(Statistics::read(reader, outputs)?)
    } else {
        None
    };
    let transposed = reader.transposed;
    let y = Map::from_fn(outputs, 1, 1, |o, _, _| {
        let weight = |i: usize| {
            if transposed {
                weights[i * outputs + o]
            } else {
                weights[o * inputs + i]
            }
        };
        let sum: f64 = x.data.iter().enumerate().map(|(i, v)| weight(i) * v).sum();
        let sum = statistics
            .as_ref()
            .map_or(sum, |s| s.apply(o, sum, cx.fork));
        sum + biases[o]
    });
    activation::apply(cx.section.text("activation").unwrap_or("logistic"), &y)
}

pub(super) fn local(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<Map> {
    let s = cx.section;
    let x = cx.previous();
    let (filters, size) = (s.size("filters", 1)?, s.size("size", 1)?);
    let (stride, pad) = (s.size("stride", 1)?, s.size("pad", 0)?);
    let extent = |side: usize| -> Result<usize> {
        let room = side.checked_sub(if pad != 0 { 1 } else { size });
        Ok(room.context("the map is smaller than the kernel")? / stride + 1)
    };
    let (h, w) = (extent(x.h)?, extent(x.w)?);
    let biases = reader.take(filters * h * w)?;
    let each = x.c * size * size;
    let weights = reader.take(h * w * filters * each)?;
    let y = Map::from_fn(filters, h, w, |f, oy, ox| {
        let weights = &weights[((oy * w + ox) * filters + f) * each..][..each];
        let mut sum = biases[(f * h + oy) * w + ox];
        for (n, weight) in weights.iter().enumerate() {
            let (c, ky, kx) = (n / (size * size), n / size % size, n % size);
            let at = |o: usize, k: usize| (o * stride + k) as i64 - pad as i64;
            sum += weight * x.get(c, at(oy, ky), at(ox, kx)).unwrap_or(0.0);
        }
        sum
    });
    activation::apply(s.text("activation").unwrap_or("logistic"), &y)
}

pub(super) fn softmax(cx: &Cx<'_>) -> Result<Map> {
    let x = cx.previous();
    let groups = cx.section.size("groups", 1)?;
    ensure!(x.data.len().is_multiple_of(groups), "groups do not divide");
    let temperature = cx.section.float("temperature", 1.0);
    let parts = x.data.chunks(x.data.len() / groups);
    let data: Vec<f64> = parts.flat_map(|p| soft(p, temperature)).collect();
    Map::new(data.len(), 1, 1, data)
}

/// Softmax of one group of values.
pub(super) fn soft(x: &[f64], temperature: f64) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = x
        .iter()
        .map(|v| (v / temperature - most / temperature).exp())
        .collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|p| p / sum).collect()
}
