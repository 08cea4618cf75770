//! `cargo xtask top`: a running cluster, live on a terminal. It reads what the gateway tells over HTTP, so it sees no more than
//! the gateway's page does, and changes nothing.
//!
//! | file | is |
//! |---|---|
//! | `seen.rs` | the gateway as it is, with rates since the look before |
//! | `view.rs` | the screen |
//! | `table.rs` | the same as plain text, where standard output is no terminal |

mod seen;
mod table;
mod view;

use std::{
    io::IsTerminal,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};

use self::{seen::Seen, view::View};
use crate::{
    boards, children,
    flags::TopArgs,
    gateway::Target,
    out::{out, outln},
};

/// Runs the command.
///
/// # Errors
/// When nobody says where the gateway answers, or, at the first look, it does not.
pub fn run(a: &TopArgs) -> Result<()> {
    let target = target(a)?;
    let first = target.status()?;
    if a.json {
        return outln!("{}", serde_json::to_string(&first)?);
    }
    let seen = Seen::new(first);
    if a.once || !std::io::stdout().is_terminal() {
        return out!("{}", table::table(&seen));
    }
    // A signal that ends the command leaves the terminal as it was.
    children::at_end(ratatui::restore);
    let terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let done = live(terminal, &target, seen, Duration::from_secs_f64(a.every));
    ratatui::restore();
    done
}

/// The gateway that flags or the cluster file name.
fn target(a: &TopArgs) -> Result<Target> {
    let token = a.gateway.token.as_deref();
    if let Some(at) = &a.gateway.at {
        return Target::new(at, token);
    }
    let path = &a.cluster;
    let who = boards::entries(path).context("or give the gateway's address: --at ADDR:PORT")?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = Target::of(&who, folder, token)?;
    found.with_context(|| {
        format!(
            "{} has no [service], so its gateway tells nothing over HTTP; give it one (docs/service.md), or --at ADDR:PORT",
            path.display()
        )
    })
}

/// Looks and draws until somebody has seen enough.
fn live(
    mut terminal: DefaultTerminal,
    target: &Target,
    mut seen: Seen,
    every: Duration,
) -> Result<()> {
    let view = View::new(
        target.url(),
        std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()),
    );
    let mut trouble = None;
    let mut next = Instant::now() + every;
    loop {
        terminal
            .draw(|frame| view.draw(frame, &seen, trouble.as_deref()))
            .context("cannot draw on this terminal")?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            if is_enough(&event::read()?) {
                return Ok(());
            }
            continue;
        }
        next = Instant::now() + every;
        // A gateway that restarts comes back.
        match target.status() {
            Ok(status) => {
                seen.follow(status, Instant::now());
                trouble = None;
            }
            Err(e) => trouble = Some(e.to_string()),
        }
    }
}

/// Whether a key ends the view: q, Escape or Ctrl-C.
fn is_enough(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (is_ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}
