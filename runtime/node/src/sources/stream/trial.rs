//! Whether a stream brings a frame.

use std::time::Duration;

use super::{
    Ffmpeg, Recipe,
    child::{Arrived, Running},
    ffmpeg,
    supervise::{not_started, secret, why},
};

/// Longest wait for a frame of what has no time-out of its own.
const WITHIN: Duration = Duration::from_secs(20);

/// Waits for the first frame, and ends the stream.
///
/// # Errors
/// Why there is none, and what to do.
pub fn first_frame(recipe: &Recipe, ffmpeg: Ffmpeg) -> Result<(), String> {
    let line = ffmpeg::line(recipe, ffmpeg);
    let mut running = Running::start(&line, secret(recipe)).map_err(|e| not_started(&e))?;
    let mut frame = vec![0; recipe.frame_bytes()];
    let patience = recipe.patience(true).unwrap_or(WITHIN);
    match running.frame(&mut frame, Some(patience)) {
        Arrived::Frame => Ok(()),
        Arrived::End => {
            let (status, complaints) = running.ended();
            Err(why(status, &complaints, true).unwrap_or_default())
        }
        Arrived::Nothing => Err(format!(
            "no frame for {} s: is the camera on, and does another program have its stream?",
            patience.as_secs_f64()
        )),
    }
}
