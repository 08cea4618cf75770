//! The screen of clusters as they may be, on a terminal of memory.

use std::time::{Duration, Instant};

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};
use tessera_health::Health;

use super::*;
use crate::gateway::{Board, Frame as Ended, Maker, Status, TurnedAway};

/// What a gateway with an edge on its own board, a source and a board that is gone may say.
fn status() -> Status {
    let board = |name: &str, number, tasks| Board {
        name: name.into(),
        number,
        address: "10.0.0.7:7400".into(),
        up: true,
        tasks,
        ..Board::default()
    };
    let maker = |task, board: &str| Maker {
        task,
        board: board.into(),
    };
    let mut s = Status {
        program: "demo".into(),
        plan: "0123456789ab".into(),
        up_s: 3700.0,
        ready: true,
        queue_max: 8,
        boards: vec![
            board("porch", 1, 60),
            board("shed", 2, 30),
            board("hub.edge", 3, 10),
        ],
        last_makers: vec![maker(0, "porch"), maker(1, "porch"), maker(2, "hub.edge")],
        health: Health {
            temperature_c: Some(61.4),
            throttled: Some(true),
            ..Health::default()
        },
        ..Status::default()
    };
    s.why.kind = "slow".into();
    s.why.text = "shed is not there, so the others compute more.".into();
    s.boards[1].up = false;
    s.boards[1].silent_s = 42.0;
    s.boards[2].on_gateways_board = true;
    let warm = |c| Health {
        temperature_c: Some(c),
        throttled: Some(false),
        memory_available_bytes: Some(312 << 20),
        ..Health::default()
    };
    s.boards[0].health = Some(warm(48.2));
    s.boards[0].health_age_s = Some(4.0);
    // It said so before it went.
    s.boards[1].health = Some(warm(81.0));
    s.boards[1].health_age_s = Some(45.0);
    s.frames.computed = 1234;
    let ended = |frame, ms| Ended {
        frame,
        latency_ms: Some(ms),
        ..Ended::default()
    };
    s.frames.last = (0..5).map(|k| ended(k, 100.0 + f64::from(k))).collect();
    s
}

fn drawn(width: u16, height: u16, seen: &Seen, trouble: Option<&str>, is_plain: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let view = View::new("http://10.0.0.1:32168/v1/status", is_plain);
    terminal.draw(|f| view.draw(f, seen, trouble)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width);
    let line =
        |cells: &[ratatui::buffer::Cell]| cells.iter().map(|c| c.symbol()).collect::<String>();
    lines
        .map(|l| line(l).trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn all_of_a_cluster_is_on_the_screen() {
    let mut seen = Seen::new(status());
    let mut next = status();
    next.up_s += 2.0;
    next.boards[0].tasks += 6;
    seen.follow(next, Instant::now() + Duration::from_secs(2));
    insta::assert_snapshot!(text(&drawn(100, 22, &seen, None, false)));
}

#[test]
fn small_screens_show_the_boards() {
    let seen = Seen::new(status());
    for (width, height) in [(1, 1), (10, 3), (40, 12), (400, 100)] {
        let shown = text(&drawn(width, height, &seen, None, false));
        assert_eq!(shown.lines().count(), usize::from(height));
        if width >= 40 {
            assert!(shown.contains("porch"), "{shown}");
        }
    }
}

#[test]
fn a_gateway_that_is_silent_is_told_of() {
    let seen = Seen::new(status());
    let shown = text(&drawn(100, 22, &seen, Some("nothing answers"), false));
    assert!(
        shown.contains("nothing answers") && shown.contains("porch"),
        "{shown}"
    );
}

#[test]
fn a_board_that_is_turned_away_says_why() {
    let mut s = status();
    s.turned_away.push(TurnedAway {
        board: "shed".into(),
        why: "plan".into(),
        ..TurnedAway::default()
    });
    let shown = text(&drawn(100, 22, &Seen::new(s), None, false));
    assert!(shown.contains("another plan"), "{shown}");
}

#[test]
fn plain_screens_have_no_colours() {
    let seen = Seen::new(status());
    let has_colour = |b: &Buffer| b.content.iter().any(|c| c.fg != Color::Reset);
    assert!(has_colour(&drawn(100, 22, &seen, None, false)));
    assert!(!has_colour(&drawn(100, 22, &seen, None, true)));
}
