//! The thread of a stream: starts ffmpeg, hands its frames on, and begins anew what stands still or is gone.

use std::{
    collections::hash_map::RandomState, hash::BuildHasher, io, mem, process::ExitStatus, sync::Arc,
    time::Instant,
};

use super::{
    Counts, Ffmpeg, Recipe, StreamOrigin, advice,
    backoff::{Backoff, WELL_AFTER},
    child::{Arrived, NotStarted, Running},
    ffmpeg,
    mailbox::{Frame, Mailbox, Put},
};
use crate::{error::NodeError, statistics::tell};
use tessera_plan::files::{
    events::{Event, StreamState},
    sources::StreamUrl,
};

/// Starts the thread.
///
/// # Errors
/// When the system starts none.
pub fn start(
    recipe: Recipe,
    ffmpeg: Ffmpeg,
    mailbox: Arc<Mailbox>,
    counts: Arc<Counts>,
) -> io::Result<()> {
    let supervisor = Supervisor {
        recipe,
        ffmpeg,
        mailbox,
        counts,
        number: 0,
        memory: Vec::new(),
        said: None,
    };
    // Not joined: it ends when the mailbox is closed, and with it ffmpeg.
    std::thread::Builder::new()
        .name("stream".into())
        .spawn(move || supervisor.run())?;
    Ok(())
}

struct Supervisor {
    recipe: Recipe,
    ffmpeg: Ffmpeg,
    mailbox: Arc<Mailbox>,
    counts: Arc<Counts>,
    /// Frames so far.
    number: u64,
    /// Memory for the next frame.
    memory: Vec<u8>,
    /// What was said last of the stream's state.
    said: Option<(StreamState, String)>,
}

/// Why a stream does not go on.
enum Ending {
    /// It has ended, well or with a reason why not.
    Over(Option<String>),
    /// It stands still.
    Still(String),
    /// Nobody reads it any more.
    Closed,
}

impl Supervisor {
    fn run(mut self) {
        let mut backoff = Backoff::new(RandomState::new().hash_one(self.counts.name()));
        self.memory = vec![0; self.recipe.frame_bytes()];
        loop {
            let (begun, number) = (Instant::now(), self.number);
            let ending = self.stream();
            if self.number > number && begun.elapsed() >= WELL_AFTER {
                backoff.reset();
            }
            let (state, why) = match ending {
                Ending::Closed => return,
                Ending::Over(why) if self.recipe.how.is_file() => return self.end(why),
                Ending::Still(why) if self.recipe.how.is_file() => return self.end(Some(why)),
                Ending::Over(why) => {
                    let why = why.unwrap_or_else(|| "it has ended".into());
                    (StreamState::Lost, why)
                }
                Ending::Still(why) => (StreamState::Stalled, why),
            };
            self.counts.restarts(state == StreamState::Stalled);
            self.say(state, why);
            if !self.mailbox.pause(backoff.next()) {
                return;
            }
        }
    }

    /// Runs ffmpeg once, until its stream does not go on.
    fn stream(&mut self) -> Ending {
        let line = ffmpeg::line(&self.recipe, self.ffmpeg);
        let mut running = match Running::start(&line, self.secret()) {
            Ok(running) => running,
            Err(e) => return Ending::Over(Some(not_started(&e))),
        };
        let [h, w, _] = self.recipe.size;
        let unknown = (u32::try_from(w).unwrap_or(0), u32::try_from(h).unwrap_or(0));
        let mut is_first = true;
        loop {
            let patience = self.recipe.patience(is_first);
            match running.frame(&mut self.memory, patience) {
                Arrived::Frame => {}
                Arrived::End => {
                    let (status, complaints) = running.ended();
                    return Ending::Over(why(status, &complaints, is_first));
                }
                Arrived::Nothing => {
                    let s = patience.unwrap_or_default().as_secs_f64();
                    return Ending::Still(format!("no frame for {s} s"));
                }
            }
            // One frame of another size may be shown with the size before it.
            let (width, height) = running.size().unwrap_or(unknown);
            if is_first {
                is_first = false;
                self.say(StreamState::Streaming, String::new());
            }
            let frame = Frame {
                pixels: mem::take(&mut self.memory),
                captured: Instant::now(),
                number: self.number,
                width,
                height,
            };
            self.number += 1;
            self.counts.brought();
            match self.mailbox.put(frame, self.recipe.keep, &mut self.memory) {
                Put::Placed => {}
                Put::Replaced => self.counts.replaced(),
                Put::Closed => return Ending::Closed,
            }
        }
    }

    /// Tells the reader that a file is over.
    fn end(&mut self, why: Option<String>) {
        let failure = why.map(|what| NodeError::Source {
            from: self.recipe.how.to_string(),
            what,
        });
        if failure.is_none() {
            self.say(StreamState::Ended, String::new());
        }
        self.mailbox.end(failure);
    }

    /// Says what has become of the stream, once as long as it does not change.
    fn say(&mut self, state: StreamState, why: String) {
        let now = (state, why);
        if self.said.as_ref() == Some(&now) {
            return;
        }
        let (name, from, why) = (self.counts.name(), &self.recipe.how, &now.1);
        match state {
            StreamState::Streaming => tracing::info!("source {name}: frames come from {from}"),
            StreamState::Ended => tracing::info!("source {name}: {from} is over"),
            StreamState::Stalled | StreamState::Lost => {
                tracing::warn!("source {name}: {from}: {why}; it is begun anew until it is back");
            }
        }
        tell(&Event::Source {
            name: name.into(),
            state,
            why: Some(why.clone()).filter(|w| !w.is_empty()),
        });
        self.said = Some(now);
    }

    const fn secret(&self) -> Option<&StreamUrl> {
        secret(&self.recipe)
    }
}

/// The URL whose secrets nobody may see.
pub const fn secret(recipe: &Recipe) -> Option<&StreamUrl> {
    match &recipe.how {
        StreamOrigin::Url(url) => Some(url),
        _ => None,
    }
}

/// Why ffmpeg has ended; `None` if it had come to the end of what it read.
pub fn why(
    status: Option<ExitStatus>,
    complaints: &[String],
    had_no_frame: bool,
) -> Option<String> {
    let is_well = status.is_some_and(|s| s.success());
    if is_well && !had_no_frame {
        return None;
    }
    let advice = advice::advice(complaints);
    Some(match (advice.is_empty(), status) {
        (false, _) => advice,
        (true, Some(status)) if !is_well => format!("ffmpeg ended: {status}"),
        (true, _) => "there is no picture in it".into(),
    })
}

/// Why a program was not started, and what to do.
pub fn not_started(e: &NotStarted) -> String {
    let NotStarted { program, cause } = e;
    if cause.kind() != io::ErrorKind::NotFound {
        return format!("cannot start {program}: {cause}");
    }
    let package = match program.as_str() {
        "rpicam-vid" => "rpicam-apps",
        other => other,
    };
    format!("{program} is not installed: sudo apt install {package}")
}
