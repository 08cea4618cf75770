//! What a frame's source says of it, as records have it.

use super::record::Captured;
use crate::{
    detect::ImageFrame,
    sources::{Tag, split},
};
use tessera_plan::files::records::Subject;
use tessera_protocol::{FrameId, FrameMeta, Micros, NodeId};

/// When a frame of this age was captured, and when work on it began.
pub fn captured(meta: FrameMeta, age_us: Micros) -> Captured {
    Captured::ago(age_us).having_waited(Tag::decode(meta.tag).waited)
}

/// What a frame is, as its record says it.
pub fn subject(frame: FrameId, meta: FrameMeta, wrong: Option<NodeId>) -> Subject {
    let name = meta.name.as_str();
    let (source_name, file) = if Tag::decode(meta.tag).is_named {
        let (source, file) = split(name);
        (Some(source.to_owned()), file)
    } else {
        (None, name)
    };
    Subject {
        source: frame.source.0,
        epoch: Some(frame.incarnation.0),
        frame: frame.number.0,
        tag: Tag::decode(meta.tag).index,
        source_name,
        file: Some(file.to_owned()).filter(|name| !name.is_empty()),
        wrong: wrong.map(|board| board.0),
    }
}

/// The picture that a frame was made of.
pub fn image(meta: FrameMeta) -> ImageFrame {
    ImageFrame {
        width: meta.image_w,
        height: meta.image_h,
        letterbox: Tag::decode(meta.tag).letterbox,
    }
}
