//! Boards that die while frames are computed.

use std::fmt::Write as _;

use tessera_planner::{boards::Board, options::PlanOptions};
use tessera_simulate::Kill;

use super::{
    Figure, Page, Section,
    beyond::{NETWORKS, edge},
};
use crate::{
    EvaluationError,
    case::{Case, Load},
    cell::{FrameTimes, Results},
    pi3::OFFLOAD,
    plot::{Axis, Line, Lines, Mark, lines},
    systems::{Times, searched, stealing},
};

/// The figure.
pub const FIGURE: Figure = Figure {
    key: "failures",
    page: Page::Beyond,
    cases,
    show: |_, results, out| show(results, out),
};

const BOARDS: usize = 6;
const FRAMES: u32 = 30;
const INTERVAL_S: f64 = 8.0;
/// When boards die: first one, then two. The first board brings the frames.
const KILLS: [(f64, &[usize]); 2] = [(82.0, &[3]), (162.0, &[5, 6])];

/// What is compared: key and name.
const KINDS: [(&str, &str); 2] = [("steal", "3x3 tiles, stolen"), ("ours", "ours")];

/// The key of a plan that was made for the boards that are left after so many kills.
fn name(kind: &str, left: Option<usize>) -> String {
    match left {
        None => format!("failures-{kind}"),
        Some(boards) => format!("failures-{kind}-{boards}"),
    }
}

fn cases() -> Result<Vec<Case>, EvaluationError> {
    let board = edge(&NETWORKS[0], 1.0)?;
    let gateway = Board {
        team: tessera_planner::boards::TEAM,
        ..board.gateway()
    };
    let of_kind = |kind: &str, boards: usize| PlanOptions {
        gateway: gateway.clone(),
        offload: Some(OFFLOAD),
        ..match kind {
            "steal" => stealing(Some([3, 3]), boards, &board),
            _ => searched(None, boards, &board),
        }
    };
    let kill = |(at_s, nodes): &(f64, &[usize])| -> Vec<Kill> {
        let kill = |node: &usize| Kill {
            node: *node,
            at_s: *at_s,
        };
        nodes.iter().map(kill).collect()
    };
    let kills: Vec<Kill> = KILLS.iter().flat_map(kill).collect();
    let mut list = Vec::new();
    for (key, _) in KINDS {
        list.push(Case {
            name: name(key, None),
            options: of_kind(key, BOARDS),
            boards: None,
            times: Times::Planner,
            load: Load {
                frames: FRAMES,
                interval_s: INTERVAL_S,
                kills: kills.clone(),
                ..Load::one_frame(1)
            },
        });
        for boards in left() {
            list.push(Case {
                name: name(key, Some(boards)),
                options: of_kind(key, boards),
                boards: None,
                times: Times::Planner,
                load: Load::one_frame(1),
            });
        }
    }
    Ok(list)
}

/// Boards that are left after each time.
fn left() -> Vec<usize> {
    let mut boards = BOARDS;
    let after = |(_, nodes): &(f64, &[usize])| {
        boards -= nodes.len();
        boards
    };
    KILLS.iter().map(after).collect()
}

/// Of frames that were in flight when a board died, and of those that came in between: the mean and the longest.
struct Span {
    seconds: Vec<f64>,
    lost: usize,
}

impl Span {
    fn text(&self) -> String {
        let n = self.seconds.len();
        if n == 0 {
            return "-".to_owned();
        }
        let most = self.seconds.iter().fold(0.0_f64, |a, b| a.max(*b));
        let count = f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let mean = self.seconds.iter().sum::<f64>() / count;
        let lost = match self.lost {
            0 => String::new(),
            n => format!(", {n} lost"),
        };
        format!("{mean:.2} (at most {most:.2}){lost}")
    }
}

/// Frames before the first kill, of every kill, and after it.
fn spans(frames: &[FrameTimes]) -> Vec<Span> {
    let mut spans = Vec::new();
    for k in 0..=2 * KILLS.len() {
        let kill = |k: usize| KILLS[k / 2].0;
        let during = |f: &FrameTimes, at: f64| {
            f.entered_s <= at && f.took_s.is_none_or(|s| f.entered_s + s >= at)
        };
        let is_in = |f: &&FrameTimes| match k % 2 {
            1 => during(f, kill(k - 1)),
            _ => {
                let after = k == 0 || f.entered_s > kill(k - 2);
                let before = k == 2 * KILLS.len() || f.entered_s <= kill(k);
                after && before && KILLS.iter().all(|(at, _)| !during(f, *at))
            }
        };
        let all: Vec<&FrameTimes> = frames.iter().filter(is_in).collect();
        let seconds: Vec<f64> = all.iter().filter_map(|f| f.took_s).collect();
        spans.push(Span {
            lost: all.len() - seconds.len(),
            seconds,
        });
    }
    spans
}

fn show(results: &Results, out: &mut Section) -> Result<(), EvaluationError> {
    let mut rows = Vec::new();
    let (mut series, mut lost) = (Vec::new(), 0);
    let mut csv = String::from("division,entered_s,took_s\n");
    for (key, label) in KINDS {
        let cell = results.of(&name(key, None))?;
        lost += cell.unfinished;
        let of_spans = spans(&cell.frames);
        let alone = left().into_iter().map(|n| {
            let cell = results.of(&name(key, Some(n)))?;
            Ok(format!("{:.2}", cell.detected_s))
        });
        let alone: Vec<String> = alone.collect::<Result<_, EvaluationError>>()?;
        let mut row = vec![label.to_owned()];
        row.extend(of_spans.iter().map(Span::text));
        row.extend(alone);
        rows.push(row);
        for f in &cell.frames {
            let took = f.took_s.map_or_else(String::new, |s| format!("{s:.4}"));
            let _ = writeln!(csv, "{key},{:.3},{took}", f.entered_s);
        }
        series.push(Line {
            name: label.to_owned(),
            points: cell
                .frames
                .iter()
                .map(|f| (f.entered_s, f.took_s))
                .collect(),
        });
    }
    let _ = writeln!(
        out.text,
        "\n## Boards that die\n\n\
         A camera brings a frame every {INTERVAL_S} s to six boards, the gateway's four cores compute the tail; one board dies after {} s, two more after {} s. \
         Of {} frames {} lost: a frame that had tasks on a dead board takes longer, and later ones take about what plans made for the boards that are left take. \
         (DeepThings loses the frame, and waits for it for ever.) Seconds are from a frame to its detections.",
        KILLS[0].0,
        KILLS[1].0,
        FRAMES as usize * KINDS.len(),
        match lost {
            0 => "none is".to_owned(),
            n => format!("{n} are"),
        },
    );
    let head = [
        "seconds of a frame: mean (at most)",
        "on 6 boards",
        "when one died",
        "on 5",
        "when two died",
        "on 3",
        "a plan for 5",
        "a plan for 3",
    ];
    out.table(&head, &rows);
    out.files.push(("failures.csv".to_owned(), csv));
    let title = "Latency of frames while boards die";
    let mark = |(at, nodes): &(f64, &[usize])| Mark {
        at: *at,
        text: match nodes.len() {
            1 => "one board dies".to_owned(),
            n => format!("{n} boards die"),
        },
    };
    let svg = lines(&Lines {
        title,
        values: "s from the frame to its detections",
        across: "s, when the frame came",
        axes: [Axis::Linear; 2],
        ticks: Vec::new(),
        marks: KILLS.iter().map(mark).collect(),
        lines: series,
    });
    out.drawing(title, "failures.svg".to_owned(), svg);
    Ok(())
}
