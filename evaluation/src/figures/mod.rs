//! The figures as files: Markdown, CSV, drawings.
//!
//! A figure says which cases it needs and shows their cells. Whoever simulates cases decides how: one after the other,
//! at the same time, or from what an earlier run left.

mod beyond;
mod cameras;
mod depth;
mod failures;
mod layers;
mod media;
mod run;
mod scaling;
mod shown;
mod unequal;
mod winners;

use std::fmt::Write as _;

use tessera_planner::model::Model;

use crate::{EvaluationError, case::Case, cell::Results, systems::SYSTEMS};

/// A file of the evaluation: its name and its text.
pub type File = (String, String);

/// A figure: a section of a page, with its drawings and tables.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Name in commands.
    pub key: &'static str,
    /// The page that it is on.
    pub page: Page,
    /// What is simulated for it.
    pub cases: fn() -> Result<Vec<Case>, EvaluationError>,
    /// Shows it. `model` is YOLOv2.
    pub show: fn(&Model, &Results, &mut Section) -> Result<(), EvaluationError>,
}

/// A page of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// What the paper has.
    Paper,
    /// What it has not.
    Beyond,
}

/// The text of a figure, and its further files.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Markdown.
    pub text: String,
    /// Drawings and tables.
    pub files: Vec<File>,
}

/// All figures, in the order of their pages.
pub const FIGURES: &[Figure] = &[
    layers::FIGURE,
    shown::TRAFFIC,
    shown::LATENCY,
    shown::SOURCES,
    depth::FIGURE,
    scaling::FIGURE,
    unequal::FIGURE,
    media::FIGURE,
    failures::FIGURE,
    cameras::FIGURE,
];

impl Section {
    /// Adds a drawing to the text and to the files.
    pub fn drawing(&mut self, title: &str, name: String, svg: String) {
        let _ = writeln!(self.text, "\n![{title}]({name})");
        self.files.push((name, svg));
    }

    /// Adds a table to the text: its head, then its rows.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "\n| {} |", head.join(" | "));
        let _ = writeln!(self.text, "|{}", "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
    }
}

/// The cases of some figures, each once.
///
/// # Errors
/// When boards cannot be described.
pub fn cases(figures: &[&Figure]) -> Result<Vec<Case>, EvaluationError> {
    let mut list: Vec<Case> = Vec::new();
    for figure in figures {
        for case in (figure.cases)()? {
            if !list.iter().any(|c| c.name == case.name) {
                list.push(case);
            }
        }
    }
    Ok(list)
}

/// The files of some figures beside the pages' texts.
///
/// # Errors
/// When a figure cannot be made.
pub fn drawn(
    figures: &[&Figure],
    model: &Model,
    results: &Results,
) -> Result<Vec<File>, EvaluationError> {
    let mut section = Section::default();
    for figure in figures {
        (figure.show)(model, results, &mut section)?;
    }
    Ok(section.files)
}

/// All files of all figures. `made` is a sentence that says who made them, when and where.
///
/// # Errors
/// When a figure cannot be made.
pub fn files(model: &Model, results: &Results, made: &str) -> Result<Vec<File>, EvaluationError> {
    let (mut paper, mut beyond) = (Section::default(), Section::default());
    paper.text = head(made);
    beyond.text = format!("{}\n{made}\n", beyond::HEAD);
    for figure in FIGURES {
        let section = match figure.page {
            Page::Paper => &mut paper,
            Page::Beyond => &mut beyond,
        };
        (figure.show)(model, results, section)?;
    }
    let mut files = paper.files;
    files.append(&mut beyond.files);
    files.push(run::file(made, &files)?);
    files.push(("beyond.md".to_owned(), beyond.text));
    files.push(("README.md".to_owned(), paper.text));
    Ok(files)
}

/// The beginning of the paper's page.
fn head(made: &str) -> String {
    let mut text = format!(
        "# The paper's evaluation, again\n\n\
         DeepThings (TCAD 2018) on YOLOv2-608, its first 16 layers: the paper's values, ours by its method, and ours at our best. \
         [Beyond the paper](beyond.md): more boards, unequal ones, failures, other networks, cameras. Everything here is made by\n\n\
         ```console\ncargo xtask paper\n```\n\n\
         which simulates Raspberry Pi 3 class boards in virtual time ([how](../simulate.md)): one core an edge, one channel of 38.4 Mbit/s for all. The \
         results are the same on every machine. Sizes are MiB, times seconds; latency ends when the gateway has all results, as the paper counts it.\n\n\
         {made}\n\n\
         The paper does not state its rate; 38.4 Mbit/s is derived from its Figure 1. A tile takes the paper's seconds per layer by the pixels of its input tile, and \
         0.19 s more (cropping, copies, queues), which its three latencies of one device have in common; a strip of one layer takes 0.08 s more, by the one of MoDNN.\n\n",
    );
    text += "| system | what it does |\n|---|---|\n";
    for s in SYSTEMS {
        let _ = writeln!(text, "| {} | {} |", s.name, s.what);
    }
    text
}

/// How far ours is from the paper's.
fn off(ours: f64, published: f64) -> String {
    format!("{:+.0} %", 100.0 * (ours / published - 1.0))
}
