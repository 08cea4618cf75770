//! Times the program: `solo` on an empty picture, in a process of its own, whose memory is given back.

use std::{
    ffi::OsString,
    io::{Read, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use super::said;
use crate::{args::Args, this_binary::ThisBinary};
use tessera_plan::files::{events::Event, probe::Answer};
use tessera_runtime::program::Program;

/// Longest time that frames may take.
const WITHIN: Duration = Duration::from_secs(300);
/// Frames that are timed.
const FRAMES: &str = "2";
/// Longest output of the process.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Times frames by one thread.
///
/// # Errors
/// When the program cannot be run, or takes too long.
pub(super) fn measure(program: &Program, a: &Args, session: u64) -> Result<Answer, String> {
    let input = std::env::temp_dir().join(format!("tessera-probe-{}.f32", std::process::id()));
    let result = write_input(program, &input).and_then(|()| timed(program, a, &input));
    let _ = std::fs::remove_file(&input);
    let frame_us = result?;
    Ok(Answer::Timed { session, frame_us })
}

/// An input of zeros, which fits every element type of frames.
fn write_input(program: &Program, path: &std::path::Path) -> Result<(), String> {
    let values = program.tensors[0].region().len();
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).open(path);
    file.and_then(|mut f| f.write_all(&vec![0; 4 * values]))
        .map_err(said(&format!("cannot write {}", path.display())))
}

fn timed(program: &Program, a: &Args, input: &std::path::Path) -> Result<u64, String> {
    let words: [OsString; 11] = [
        "--program".into(),
        program.name.into(),
        "solo".into(),
        "--weights".into(),
        a.weights.clone().into(),
        "--input-f32".into(),
        input.into(),
        "--repeat".into(),
        FRAMES.into(),
        "--records".into(),
        "/dev/null".into(),
    ];
    let mut command = ThisBinary::find().command(&words);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(said("cannot start solo"))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(said("cannot wait for solo"))? {
            Some(status) => break status,
            None if begun.elapsed() > WITHIN => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "the network takes more than {} s",
                    WITHIN.as_secs()
                ));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        return Err(format!(
            "solo ended with {status}; its words are on the probe's standard error"
        ));
    }
    let mut text = String::new();
    let out = child.stdout.take().map(|out| out.take(OUTPUT_BYTES_MAX));
    out.map(|mut out| out.read_to_string(&mut text));
    let least = |line: &str| match serde_json::from_str(line) {
        Ok(Event::Timing { seconds, .. }) => seconds.into_iter().min_by(f64::total_cmp),
        _ => None,
    };
    let seconds = text.lines().find_map(least).ok_or("solo told no times")?;
    Ok(u64::try_from(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or_default()
            .as_micros(),
    )
    .unwrap_or(0)
    .max(1))
}
