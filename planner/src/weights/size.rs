//! Whether a file is as long as its cfg says, and what else would explain its length.

use super::{
    error::{WeightsError, WeightsWarning},
    header::Header,
    read,
};
use crate::text::plural;
use tessera_plan::graph::{Graph, HeadKind, Op, Stored, TensorIx};

/// Widths of a header in bytes, by the width of its counter.
const HEADERS_BYTES: [usize; 2] = [16, 20];

/// The header with the width that the file's length speaks for. A file whose length fits the other
/// width than its version says is read so, with a warning.
pub(super) fn check_size(
    graph: &Graph,
    h: &Header,
    found: u64,
    warnings: &mut Vec<WeightsWarning>,
) -> Result<Header, WeightsError> {
    let values = 4 * read::floats(graph) as u64;
    let fits = |bytes: &usize| found == *bytes as u64 + values;
    let Some(bytes) = HEADERS_BYTES.into_iter().find(fits) else {
        return Err(wrong_size(graph, h, found));
    };
    let mut warn = |message| {
        warnings.push(WeightsWarning {
            layer: None,
            message,
        });
    };
    let version = format!("{}.{}.{}", h.major, h.minor, h.revision);
    if bytes != h.bytes {
        let held = if h.is_first() {
            "is Darknet's first, with floats for a version".into()
        } else {
            format!("says version {version}")
        };
        let doubt = if bytes < h.bytes && !h.is_first() {
            ", unless its last value is missing"
        } else {
            ""
        };
        warn(format!(
            "the header {held}: it should end with a counter of {} bytes, but the file's length fits one of {}, and is read so{doubt}",
            h.bytes - 12,
            bytes - 12
        ));
    } else if !h.is_numbered() && !h.is_first() {
        warn(format!(
            "the header says version {version}, which no Darknet writes; the length fits, so the file is read"
        ));
    }
    Ok(Header { bytes, ..*h })
}

/// Says what the length of a file suggests that fits neither width of the header.
fn wrong_size(graph: &Graph, h: &Header, found: u64) -> WeightsError {
    if !h.is_numbered() && !h.is_first() {
        return h.version_error();
    }
    // The first header came with the narrow counter, whatever a later rule makes of its words.
    let header = if h.is_first() { 16 } else { h.bytes };
    if found < header as u64 {
        return WeightsError::NoHeader { found };
    }
    let values = read::floats(graph);
    let expected = (header + 4 * values) as u64;
    let mut help = if found < expected {
        ends_in(graph, header, found)
    } else if !found.is_multiple_of(4) {
        format!(
            "{} too many, and no whole number of values: the download is damaged",
            plural((found - expected) as usize, "byte")
        )
    } else {
        format!(
            "{} ({}) too many: the file belongs to another cfg",
            plural((found - expected) as usize, "byte"),
            plural(((found - expected) / 4) as usize, "value")
        )
    };
    let other = HEADERS_BYTES.into_iter().find(|b| *b != header);
    let widths = std::iter::once(header).chain(other);
    let mut fits = widths.map(|b| other_outputs(graph, (b + 4 * values) as u64, found));
    if let Some(fit) = fits.find_map(|f| f) {
        help = format!("{help}; {fit}");
    }
    WeightsError::Size {
        expected,
        found,
        help,
    }
}

/// The layer before which a file of `found` bytes ends, behind a header of `header` bytes.
fn ends_before(graph: &Graph, header: usize, found: u64) -> Option<usize> {
    let mut at = header as u64;
    for (i, l) in graph.layers.iter().enumerate() {
        if l.weights > 0 && at == found && i > 0 && at > header as u64 {
            return Some(i);
        }
        at += 4 * l.weights as u64;
    }
    None
}

/// Says where a short file ends.
fn ends_in(graph: &Graph, header: usize, found: u64) -> String {
    // A backbone's layers all fit, so that its header may be of either width too.
    let other = HEADERS_BYTES.into_iter().find(|b| *b != header);
    let before = std::iter::once(header).chain(other);
    if let Some(i) = before.filter_map(|b| ends_before(graph, b, found)).next() {
        return format!(
            "it ends exactly before layer {i} [{}]: this is a backbone file (as used to begin training), the rest is missing",
            graph.layers[i].kind
        );
    }
    let mut end = header as u64;
    for (i, l) in graph.layers.iter().enumerate() {
        end += 4 * l.weights as u64;
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
