//! Records, dumps and what a node says of itself.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::NodeError;
use crate::{
    detect::{self, ImageFrame},
    picture,
};
use tessera_protocol::DropReason;
use tessera_runtime::program::Program;

/// What is compiled in, as JSON.
pub fn info(p: &Program) -> Value {
    let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
    json!({
        "program": p.name, "target": p.target, "plan_hash": hex(&p.plan_hash), "model_digest": hex(&p.model_digest),
        "tasks": p.tasks.len(), "stages": p.stage_starts.len().saturating_sub(1),
        "arena_bytes": p.tasks.iter().map(|t| 4 * t.arena_floats).max().unwrap_or(0),
        "tail_arena_bytes": 4 * p.tail.arena_floats,
    })
}

/// Thresholds of a record.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Score.
    pub score: f32,
    /// NMS.
    pub nms: f32,
}

/// Which frame a record is about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Subject {
    /// Node that brought it; 0 without a cluster.
    pub source: u16,
    /// Which life of that node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Counts the source's accepted frames from 0.
    pub frame: u32,
    /// Index into the source's list of inputs.
    pub tag: u32,
    /// The input's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Subject {
    fn record(&self, image: ImageFrame) -> Value {
        let mut record = json!(self);
        record["width"] = image.width.into();
        record["height"] = image.height.into();
        record
    }
}

/// The drop record of a frame.
pub fn drop_record(subject: &Subject, image: ImageFrame, reason: DropReason) -> Value {
    let mut record = subject.record(image);
    record["dropped"] = match reason {
        DropReason::SourceLost => "its source was lost",
        DropReason::TaskFailed => "a task failed on every attempt",
        DropReason::TailFailed => "the tail failed",
    }
    .into();
    record
}

/// The detections record of a frame. `outputs` are the tail's outputs, whole.
pub fn record(
    p: &Program,
    subject: &Subject,
    image: ImageFrame,
    outputs: &[&[f32]],
    t: Thresholds,
) -> Value {
    let mut record = subject.record(image);
    let of = |tensor: u16| {
        p.tail
            .outputs
            .iter()
            .position(|o| *o == tensor)
            .map_or(&[][..], |i| outputs[i])
    };
    let maps: Vec<&[f32]> = p.heads.iter().map(|h| of(h.tensor)).collect();
    let found = detect::detections(p, &maps, image, t.score, t.nms);
    record["detections"] = found
        .iter()
        .map(|d| {
            json!({ "class": d.class, "score": d.score, "objectness": d.objectness, "box": d.bbox, "box_px": image.pixels(d.bbox) })
        })
        .collect();
    if p.heads.is_empty()
        && let Some(first) = outputs.first()
    {
        record["top"] = detect::top(first, 5)
            .iter()
            .map(|(class, score)| json!({ "class": class, "score": score }))
            .collect();
    }
    record
}

/// Writes `layer_K.f32` of boundary tensors: `tensors` are indices into [`Program::tensors`].
///
/// # Errors
/// When the folder cannot be written.
pub fn dump<'a>(
    p: &Program,
    dir: &Path,
    tensors: impl IntoIterator<Item = (u16, &'a [f32])>,
) -> Result<(), NodeError> {
    std::fs::create_dir_all(dir)
        .map_err(NodeError::io(format!("cannot make {}", dir.display())))?;
    for (t, map) in tensors {
        let s = &p.tensors[t as usize];
        if s.layer < 0 {
            continue;
        }
        let path = dir.join(format!("layer_{}.f32", s.layer));
        let bytes = picture::chw_from_tensor(map, s.h as usize, s.w as usize, s.c as usize);
        std::fs::write(&path, bytes)
            .map_err(NodeError::io(format!("cannot write {}", path.display())))?;
    }
    Ok(())
}
