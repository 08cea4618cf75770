//! Writes boundary tensors as files, for people who compare layers.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::{error::NodeError, optional};
use tessera_runtime::program::Program;

/// Creates the folder before the node has tensors to write.
///
/// # Errors
/// When the folder cannot be created, or is not writable.
pub fn check(dir: &Path) -> Result<(), NodeError> {
    std::fs::create_dir_all(dir)
        .and_then(|()| Ok(access(dir, AccessFlags::W_OK)?))
        .map_err(NodeError::io(format!("--dump {}", dir.display())))
}

/// Writes `layer_K.f32` (C x H x W, float32) of boundary tensors: indices into [`Program::tensors`], with
/// their whole packed maps.
///
/// # Errors
/// When a file cannot be written.
pub fn dump<'a>(
    p: &Program,
    dir: &Path,
    tensors: impl IntoIterator<Item = (u16, &'a [u8])>,
) -> Result<(), NodeError> {
    for (t, map) in tensors {
        let s = &p.tensors[t as usize];
        if s.layer < 0 {
            continue;
        }
        let path = dir.join(format!("layer_{}.f32", s.layer));
        let values = s.values(map);
        let bytes = tessera_picture::chw_from_tensor(&values, s.h, s.w, s.c);
        optional::write(&path, &bytes)
            .map_err(NodeError::io(format!("cannot write {}", path.display())))?;
    }
    Ok(())
}
