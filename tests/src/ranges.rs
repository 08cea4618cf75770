//! Ranges of a network's values on pictures, by the reference interpreter: what `--calibrate-on` measures with a node.

use std::path::Path;

use anyhow::{Context, Result};
use tessera_plan::graph::Graph;
use tessera_planner::ranges::Ranges;

use crate::reference::{self, Fork};

/// The ranges that the network of the cfg `text`, with the weights file `weights`, has on pictures.
///
/// # Errors
/// When a picture cannot be read, or the network cannot be run.
pub fn on_pictures<'p>(
    graph: &Graph,
    (text, weights): (&str, &[u8]),
    pictures: impl IntoIterator<Item = &'p Path>,
) -> Result<Ranges> {
    let mut ranges = Ranges::default();
    for path in pictures {
        let picture = tessera_picture::load(path)?;
        let s = graph.input;
        let mut map = vec![0.0; s.len()];
        tessera_picture::to_input(&picture, [s.h, s.w, s.c], graph.letterbox, |at, row| {
            map[at..at + row.len()].copy_from_slice(row);
        });
        add(&mut ranges, graph, (text, weights), &map)?;
    }
    Ok(ranges)
}

/// Adds what the network makes of the input `map`, which is `[h, w, c]`.
///
/// # Errors
/// When the network cannot be run.
pub fn add(
    ranges: &mut Ranges,
    graph: &Graph,
    (text, weights): (&str, &[u8]),
    map: &[f32],
) -> Result<()> {
    let s = graph.input;
    let chw = tessera_picture::chw_from_tensor(map, s.h, s.w, s.c);
    let (values, _) = chw.as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
    let layers = reference::run(text, weights, &values, Fork::Alexey)?;
    for (k, layer) in graph.layers.iter().enumerate() {
        let Some(t) = layer.tensor.filter(|t| t.producer().is_some()) else {
            continue;
        };
        let values = layers.get(k).context("a layer")?.map.to_f32();
        let shape = graph.shape(t);
        for (c, channel) in values.chunks_exact((shape.h * shape.w).max(1)).enumerate() {
            ranges.add(t, c, channel.iter().copied());
        }
    }
    Ok(())
}
