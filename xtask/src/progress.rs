//! Progress on long work: a line that moves on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::out::note;

/// A step under way. The step ends with [`Step::done`], or when the value is dropped.
#[derive(Debug)]
pub struct Step {
    bar: Option<ProgressBar>,
    label: String,
    begun: Instant,
}

impl Step {
    /// Begins a step; `label` says what the step does, as `Packing weights`.
    pub fn begin(label: impl Into<String>) -> Self {
        let label = label.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                    .expect("a literal template"),
            );
            bar.set_message(label.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            label,
            begun: Instant::now(),
        }
    }

    /// Shows how far the step is.
    pub fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {text}", self.label));
        }
    }

    /// Leaves a line about a part of the step that is done.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => note!("{text}"),
        }
    }

    /// Ends the step and leaves one line with `text`.
    pub fn done(self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let sep = if text.is_empty() { "" } else { ": " };
        note!(
            "{}{sep}{text} ({:.1} s)",
            self.label,
            self.begun.elapsed().as_secs_f32()
        );
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
