//! The file: an array with one event a line, written by a thread of its own.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use tessera_trace::Event;

use crate::error::NodeError;

/// Most events that wait for the thread.
const WAITING_MAX: usize = 1 << 14;
/// Most bytes of a file: larger ones are slow to read.
const BYTES_MAX: u64 = 100 << 20;
/// Between two flushes.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// The time that the last events have: a node must end within two seconds, whatever its disk does.
const END_WITHIN: Duration = Duration::from_millis(500);
/// What stands at the end of a file that is full or whole.
const END: &[u8] = b"]\n";

/// A trace's file.
#[derive(Debug)]
pub struct File {
    events: Option<SyncSender<Event>>,
    /// Ends with the thread.
    written: Receiver<()>,
    lost: u64,
}

impl File {
    /// A new file, in the place of an older one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, NodeError> {
        let failed = || NodeError::io(format!("--trace {}", path.display()));
        let mut out = BufWriter::new(fs::File::create(path).map_err(failed())?);
        out.write_all(b"[\n").map_err(failed())?;
        let (events, waiting) = sync_channel(WAITING_MAX);
        let named: PathBuf = path.into();
        let thread = std::thread::Builder::new().name("trace".into());
        let (whole, written) = sync_channel::<()>(0);
        let thread = thread.spawn(move || {
            let _whole = whole;
            if let Err(e) = write(out, &waiting) {
                tracing::warn!("the trace {} is not whole: {e}", named.display());
            }
        });
        thread.map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self {
            events: Some(events),
            written,
            lost: 0,
        })
    }

    /// Hands an event over; loses it when too many wait.
    pub fn put(&mut self, event: Event) {
        let taken = self
            .events
            .as_ref()
            .is_some_and(|e| e.try_send(event).is_ok());
        self.lost += u64::from(!taken);
    }
}

impl Drop for File {
    /// Gives what waits the time to be written.
    fn drop(&mut self) {
        self.events = None;
        let _ = self.written.recv_timeout(END_WITHIN);
        if self.lost > 0 {
            tracing::warn!(
                "the trace lacks {} events, which came too fast or after its end",
                self.lost
            );
        }
    }
}

fn write(mut out: BufWriter<fs::File>, events: &Receiver<Event>) -> std::io::Result<()> {
    let (mut bytes, mut is_first) = (0, true);
    loop {
        let event = match events.recv_timeout(FLUSH_EVERY) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                out.flush()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let line = serde_json::to_vec(&event)?;
        bytes += line.len() as u64;
        if bytes > BYTES_MAX {
            tracing::warn!("the trace ends here: its file has {} MiB", BYTES_MAX >> 20);
            break;
        }
        if !is_first {
            out.write_all(b",\n")?;
        }
        is_first = false;
        out.write_all(&line)?;
    }
    out.write_all(b"\n")?;
    out.write_all(END)?;
    out.flush()
}
