//! Events that a node reports to its operator: one line on standard error per event, no line while nothing happens.

use std::{fmt, io, str::FromStr};

use tracing::level_filters::LevelFilter;

use crate::console::{self, Patience};

/// The environment variable that sets the level when `--log` does not.
pub const VARIABLE: &str = "TESSERA_LOG";

/// The least severe events that a node reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Default for Level {
    /// Joins and losses of nodes, and all events that are more severe.
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of the level is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no level of messages: off, error, warn, info, debug")]
pub struct NoLevel(String);

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        Ok(Self(match text.to_ascii_lowercase().as_str() {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            _ => return Err(NoLevel(text.into())),
        }))
    }
}

/// Starts the log of this process. Call this function once.
pub fn start(level: Level) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(level.0)
        .with_target(false)
        .with_writer(|| StandardError)
        // Else it would complain on standard error that standard error does not work.
        .log_internal_errors(false);
    // Fails when events are said already.
    let _ = lines.try_init();
}

/// Standard error, which must not hold up a node.
struct StandardError;

impl io::Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        console::err(&String::from_utf8_lossy(bytes), Patience::None);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names() {
        for name in ["off", "error", "warn", "info", "debug"] {
            assert_eq!(name.parse::<Level>().unwrap().to_string(), name);
        }
        assert_eq!("WARN".parse(), Ok(Level(LevelFilter::WARN)));
        let e = "loud".parse::<Level>().unwrap_err().to_string();
        assert!(e.contains("\"loud\"") && e.contains("info"), "{e}");
    }
}
