//! Pictures of alerts. A frame's source has it until the frame has ended, so the gateway fetches the frame before that; a thread
//! draws and saves it, and then says its alerts. Whatever goes wrong with a picture, the alert is said.
//!
//! | module | is |
//! |---|---|
//! | `picture` | the frame as a picture, with the object's box |
//! | `folder` | a folder with bounds |

mod folder;
mod picture;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use tessera_alerts::{Alert, Rule};
use tessera_protocol::FrameId;

use super::voice::Voice;
use crate::{detect::ImageFrame, error::NodeError};
use folder::Folder;
pub use picture::Input;

/// Most frames whose pictures are fetched, or wait to be drawn.
pub const WAIT_MAX: usize = 4;
/// Longest wait for pictures at the node's end.
const GOODBYE: Duration = Duration::from_millis(800);
/// Most letters of a name in the name of a file.
const LETTERS_MAX: usize = 40;

/// A frame whose alerts wait for their picture.
struct Job {
    alerts: Vec<Alert>,
    taken: ImageFrame,
    /// The network's input; `None` when it could not be fetched.
    frame: Option<Vec<u8>>,
}

/// Whose alerts wait, and the thread that says them.
#[derive(Clone, Debug)]
pub struct Stills {
    waiting: Arc<Mutex<BTreeMap<FrameId, Vec<Alert>>>>,
    /// Frames that wait or are drawn.
    under_way: Arc<AtomicUsize>,
    queue: SyncSender<Job>,
}

impl Stills {
    /// Starts the thread. `base`: where relative folders of rules begin.
    ///
    /// # Errors
    /// When the system starts none.
    pub fn start(
        rules: &[Rule],
        base: &Path,
        input: Input,
        voice: Arc<Mutex<Voice>>,
    ) -> Result<Self, NodeError> {
        let stills = rules.iter().filter_map(|r| r.stills.as_ref());
        let folders = stills.map(|s| {
            let folder = Folder::new(base.join(&s.folder), s.max as usize, s.bytes_max);
            (
                s.folder.clone(),
                Kept {
                    folder,
                    fails: false,
                },
            )
        });
        // Never full: no more frames than that are under way.
        let (queue, jobs) = sync_channel(WAIT_MAX);
        let stills = Self {
            waiting: Arc::default(),
            under_way: Arc::default(),
            queue,
        };
        let under_way = Arc::clone(&stills.under_way);
        let mut drawer = Drawer {
            folders: folders.collect(),
            input,
            voice,
        };
        let run = move || drawer.run(&jobs, &under_way);
        thread::Builder::new()
            .name("stills".into())
            .spawn(run)
            .map_err(NodeError::io("a thread for pictures".to_owned()))?;
        Ok(stills)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<FrameId, Vec<Alert>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the alerts of a frame until its picture is there.
    ///
    /// # Errors
    /// The alerts, when too many frames wait.
    pub(super) fn keep(&self, frame: FrameId, alerts: Vec<Alert>) -> Result<(), Vec<Alert>> {
        let mut waiting = self.waiting();
        if self.under_way.load(Ordering::Acquire) >= WAIT_MAX || waiting.contains_key(&frame) {
            return Err(alerts);
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        waiting.insert(frame, alerts);
        Ok(())
    }

    /// True if alerts wait for the picture of this frame.
    pub fn wants(&self, frame: FrameId) -> bool {
        self.waiting().contains_key(&frame)
    }

    /// Takes the frame that [`Stills::wants`], if it could be had.
    pub fn give(&self, frame: FrameId, taken: ImageFrame, bytes: Option<&[u8]>) {
        let Some(alerts) = self.waiting().remove(&frame) else {
            return;
        };
        let job = Job {
            alerts,
            taken,
            frame: bytes.map(<[u8]>::to_vec),
        };
        if self.queue.try_send(job).is_err() {
            self.under_way.fetch_sub(1, Ordering::AcqRel);
            tracing::error!("pictures of alerts: their thread has ended; an alert is lost");
        }
    }

    /// Says what still waits, and waits a moment until all is said.
    pub(super) fn wait(&self) {
        let frames: Vec<FrameId> = self.waiting().keys().copied().collect();
        for frame in frames {
            self.give(frame, ImageFrame::default(), None);
        }
        let begun = Instant::now();
        while self.under_way.load(Ordering::Acquire) > 0 && begun.elapsed() < GOODBYE {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A folder, and whether its last picture could not be saved.
#[derive(Debug)]
struct Kept {
    folder: Folder,
    fails: bool,
}

/// What the thread has.
#[derive(Debug)]
struct Drawer {
    /// By their names in rules.
    folders: BTreeMap<String, Kept>,
    input: Input,
    voice: Arc<Mutex<Voice>>,
}

impl Drawer {
    fn run(&mut self, jobs: &Receiver<Job>, under_way: &AtomicUsize) {
        for job in jobs {
            for mut alert in job.alerts {
                match &job.frame {
                    Some(frame) => alert.still = self.save(frame, job.taken, &alert),
                    None => tracing::warn!(
                        "the picture of the alert {:?} could not be fetched from its source",
                        alert.alert
                    ),
                }
                let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(e) = voice.say(alert) {
                    tracing::error!("an alert is lost: {e}");
                }
            }
            under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Draws and saves a picture; returns the file's name. That none can be saved is said once, until one is again.
    fn save(&mut self, frame: &[u8], taken: ImageFrame, alert: &Alert) -> Option<String> {
        let folder = &alert.stills.as_ref()?.folder;
        let kept = self.folders.get_mut(folder)?;
        let drawn = self.input.draw(frame, taken, alert);
        let saved = drawn.and_then(|jpeg| {
            let saved = kept.folder.save(&file_name(alert), &jpeg);
            saved.map_err(|e| e.to_string())
        });
        match saved {
            Ok(name) => {
                if std::mem::take(&mut kept.fails) {
                    tracing::info!("pictures of alerts are saved again in {folder}");
                }
                Some(name)
            }
            Err(e) => {
                if !std::mem::replace(&mut kept.fails, true) {
                    tracing::warn!("pictures of alerts cannot be saved in {folder}: {e}");
                }
                None
            }
        }
    }
}

/// When, what and where, in the letters that every file system knows.
fn file_name(alert: &Alert) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = || now.map_or(0, |t| t.as_millis().try_into().unwrap_or(u64::MAX));
    let time = utc(alert.captured_unix_ms.unwrap_or_else(now));
    let source = match &alert.source_name {
        Some(name) => plain(name),
        None => alert.source.to_string(),
    };
    let rule = plain(&alert.alert);
    format!("{time}-{source}-{rule}-{}", alert.track)
}

fn plain(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    name.chars().take(LETTERS_MAX).map(letter).collect()
}

/// A time as `20251128T190924.123Z`.
fn utc(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, s) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in March.
    let z = days + 719_468;
    let (era, day) = (z / 146_097, z % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    format!("{year:04}{month:02}{day:02}T{h:02}{m:02}{s:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        for (unix_ms, text) in [
            (0, "19700101T000000.000Z"),
            (951_782_399_999, "20000228T235959.999Z"),
            (951_868_800_000, "20000301T000000.000Z"),
            (1_764_356_964_123, "20251128T190924.123Z"),
            (1_767_225_599_000, "20251231T235959.000Z"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
        assert_eq!(plain("Auto am Tor/../7"), "auto-am-tor----7");
    }
}
