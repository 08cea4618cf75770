//! `cargo xtask bench --instructions`: executed instructions, exact where times are noisy.

use std::{ffi::OsString, path::Path};

use anyhow::Result;
use serde_json::json;
use tessera_planner::options::Target;

use crate::{build::Built, progress::Step};

pub mod qemu;

/// Counts one frame of a node's program and prints it.
///
/// # Errors
/// As [`frame`].
pub fn report(target: Target, built: &Built, tensor: &Path, as_json: bool) -> Result<()> {
    let step = Step::begin(format!("Counting instructions on {}", target.name()));
    let instructions = frame(target, built, tensor)?;
    step.done("");
    if as_json {
        let target = target.name();
        println!(
            "{}",
            json!({ "target": target, "instructions": instructions })
        );
    } else {
        println!("{instructions} instructions a frame on {}", target.name());
    }
    Ok(())
}

/// Instructions of one frame, all tiles and the tail, in one thread: the difference between two runs
/// of a different number of frames, so that start-up does not count.
///
/// # Errors
/// As [`qemu::count`].
pub fn frame(target: Target, built: &Built, tensor: &Path) -> Result<u64> {
    let run = |frames: u64| {
        let mut args: Vec<OsString> = vec!["solo".into(), "--weights".into()];
        args.extend([built.weights.clone().into(), "--input-f32".into()]);
        args.extend([tensor.into(), "--threads".into(), "1".into()]);
        args.extend(["--repeat".into(), frames.to_string().into()]);
        qemu::count(target, &built.node, &args)
    };
    let (few, many) = (1, 4);
    Ok((run(many)? - run(few)?) / (many - few))
}
