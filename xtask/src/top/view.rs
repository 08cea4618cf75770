//! The screen.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row as TableRow, Sparkline, Table, Wrap},
};

use super::{
    seen::{Row, Seen},
    table::{HEADER, cells, frames, network, time},
};

/// Rows of the screen that frames' times take.
const TIMES_ROWS: u16 = 6;
/// Least rows of a screen that has room for these times.
const TALL: u16 = 20;

/// How the screen looks.
#[derive(Debug)]
pub struct View {
    url: String,
    is_plain: bool,
}

impl View {
    /// A screen of the gateway at `url`, without colours if it is plain.
    pub fn new(url: &str, is_plain: bool) -> Self {
        Self {
            url: url.into(),
            is_plain,
        }
    }

    fn colour(&self, colour: Color) -> Style {
        match self.is_plain {
            true => Style::new(),
            false => Style::new().fg(colour),
        }
    }

    /// Draws what was seen; `trouble` is why there was no further look.
    pub fn draw(&self, frame: &mut Frame<'_>, seen: &Seen, trouble: Option<&str>) {
        let area = frame.area();
        // A low screen has room for the boards, and a line or two of the rest.
        let is_tall = area.height >= TALL;
        let boards = u16::try_from(seen.now.boards.len()).unwrap_or(u16::MAX);
        let (heads, times, feet) = match is_tall {
            true => (3, TIMES_ROWS, 5),
            false => (2, 0, 2),
        };
        let [head, table, bars, foot] = Layout::vertical([
            Constraint::Length(heads),
            Constraint::Max(boards.saturating_add(3)),
            Constraint::Length(times),
            Constraint::Min(feet),
        ])
        .areas(area);
        self.head(frame, head, seen, trouble);
        self.boards(frame, table, seen);
        if is_tall {
            self.times(frame, bars, seen);
        }
        let lines = vec![
            Line::from(frames(seen)),
            Line::from(network(seen)),
            Line::from(Span::styled(
                "q ends",
                Style::new().add_modifier(Modifier::DIM),
            )),
        ];
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), foot);
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen, trouble: Option<&str>) {
        let s = &seen.now;
        let (text, colour) = match (trouble, s.why.kind.as_str()) {
            (Some(why), _) => (why, Color::Red),
            (None, "good") => (s.why.text.as_str(), Color::Green),
            (None, "slow") => (s.why.text.as_str(), Color::Yellow),
            (None, _) => (s.why.text.as_str(), Color::Red),
        };
        let name = Style::new().add_modifier(Modifier::BOLD);
        let lines = vec![
            Line::from(vec![
                Span::styled(s.program.clone(), name),
                Span::raw(format!(
                    "  plan {}  up {}  {}",
                    s.plan,
                    time(s.up_s),
                    self.url
                )),
            ]),
            Line::from(Span::styled(text.to_owned(), self.colour(colour))),
        ];
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
    }

    fn boards(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let style = |row: &Row| match (row.up, row.health.trouble()) {
            (false, _) => self.colour(Color::Red),
            (true, Some(_)) => self.colour(Color::Yellow),
            (true, None) if row.state != "up" => self.colour(Color::Yellow),
            (true, None) => Style::new(),
        };
        let rows = seen.rows();
        let rows = rows
            .iter()
            .map(|row| TableRow::new(cells(row).map(Cell::from)).style(style(row)));
        let widths = [
            Constraint::Min(8),
            Constraint::Length(14),
            Constraint::Length(6),
            Constraint::Length(8),
            Constraint::Length(9),
            Constraint::Length(11),
            Constraint::Length(8),
            Constraint::Fill(3),
        ];
        let head = TableRow::new(HEADER).style(Style::new().add_modifier(Modifier::BOLD));
        let table = Table::new(rows, widths)
            .header(head)
            .block(Block::bordered().title(" boards "));
        frame.render_widget(table, area);
    }

    /// The last frames, the newest on the right.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds of a frame, at least 0"
    )]
    fn times(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let all: Vec<u64> = (seen.latencies_ms().iter())
            .map(|ms| ms.round().max(1.0) as u64)
            .collect();
        let room = usize::from(area.width.saturating_sub(2));
        let shown = &all[all.len().saturating_sub(room)..];
        let most = shown.iter().max().copied().unwrap_or(0);
        let title = match most {
            0 => " no frame yet ".to_owned(),
            _ => format!(" time of the last {} frames, up to {most} ms ", shown.len()),
        };
        let bars = Sparkline::default()
            .data(shown.iter().copied())
            .style(self.colour(Color::Cyan))
            .block(Block::bordered().title(title));
        frame.render_widget(bars, area);
    }
}

#[cfg(test)]
mod tests;
