//! Whether a file is as long as its cfg says, and what else would explain its length.

use super::{Header, WeightsError, read};
use tessera_plan::graph::{Graph, HeadKind, Op, Stored, TensorIx};

pub(super) fn check_size(graph: &Graph, h: &Header, found: u64) -> Result<(), WeightsError> {
    let expected = h.bytes as u64 + 4 * read::floats(graph) as u64;
    if found == expected {
        return Ok(());
    }
    let mut help = if found == expected + 4 || found + 4 == expected {
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
            "{} bytes ({} values) too many: the file belongs to another cfg",
            found - expected,
            (found - expected) / 4
        )
    };
    if let Some(fit) = other_outputs(graph, expected, found) {
        help = format!("{help}; {fit}");
    }
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

/// Another number of classes with which the cfg would fit the file.
fn other_outputs(graph: &Graph, expected: u64, found: u64) -> Option<String> {
    let difference = i64::try_from(found).ok()? - i64::try_from(expected).ok()?;
    if difference == 0 || difference % 4 != 0 {
        return None;
    }
    let values = difference / 4;
    // What one more class (or output of a classifier) adds to the file.
    let layer_of = |t: TensorIx| t.producer().map(|n| graph.nodes[n].layer);
    let per_filter = |layer: usize| match graph.layers[layer].stored {
        Stored::Conv { k, batch_norm, .. } => Some(k + if batch_norm { 4 } else { 1 }),
        Stored::Connected {
            inputs, batch_norm, ..
        } => Some(inputs + if batch_norm { 4 } else { 1 }),
        _ => None,
    };
    let fits = |now: usize, each: usize| {
        let (now, each) = (i64::try_from(now).ok()?, i64::try_from(each).ok()?);
        let other = now + values / each.max(1);
        (each > 0 && values % each == 0 && other >= 1).then_some(other)
    };
    if let Some(first) = graph.heads.first() {
        let mut each = 0;
        for h in &graph.heads {
            let before = graph.nodes[h.tensor.producer()?].inputs[0];
            let filters = match h.kind {
                HeadKind::Detection { side, .. } => side * side,
                _ => h.anchors.len(),
            };
            each += filters * per_filter(layer_of(before)?)?;
        }
        let other = fits(first.classes, each)?;
        return Some(format!(
            "with classes={other} instead of {} in the detection layers (and filters to match) it would fit",
            first.classes
        ));
    }
    // A classifier: its last layer with weights.
    let last = graph
        .nodes
        .iter()
        .rev()
        .find(|n| matches!(n.op, Op::Conv(_) | Op::Connected { .. }))?;
    let outputs = last.shape.c;
    let other = fits(outputs, per_filter(last.layer)?)?;
    Some(format!(
        "with {other} outputs instead of {outputs} in layer {} [{}] it would fit",
        last.layer, graph.layers[last.layer].kind
    ))
}
