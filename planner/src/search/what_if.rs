//! What other boards, links and formats would bring.

use super::{
    candidate::Candidate,
    choice::Choice,
    climb::{Moves, Tried, climb},
    found::Found,
    given::Given,
};
use crate::{
    boards::{Link, Medium},
    options::PlanOptions,
    wire::Wire,
};
use tessera_plan::plan::ElementType;

/// Most steps of a climb to a plan for other links; and of one to a plan that is near the chosen one.
const STEPS_MAX: usize = 4;
const STEPS_NEAR_MAX: usize = 2;
/// Least part of the time that must change to be told.
const TOLD_MIN: f64 = 0.02;

/// A switch at 1 Gbit/s. Its delay is assumed, not measured.
const WIRE: Link = Link {
    bytes_per_s: 1e9 / 8.0,
    delay_s: 0.2e-3,
    medium: Medium::Switched,
};

impl Found<'_> {
    /// A line per change: one more board, wires instead of a shared channel, objects of the other precision.
    pub(super) fn what_if(&self, given: &Given, choice: Choice) -> Vec<String> {
        let now = self.list[choice.best].seconds.frame();
        let told = |(what, o): (String, PlanOptions)| {
            let seconds = self.best_for(&o, given, choice)?;
            Some(
                if (1.0 - TOLD_MIN..=1.0 + TOLD_MIN).contains(&(seconds / now)) {
                    format!("{what}: no faster")
                } else {
                    format!("{what}: {seconds:.3} s a frame")
                },
            )
        };
        self.changes().into_iter().filter_map(told).collect()
    }

    fn changes(&self) -> Vec<(String, PlanOptions)> {
        let o = self.o;
        let mut list = Vec::new();
        if let Some(last) = o.boards.last() {
            let mut more = o.clone();
            more.boards.push(last.clone());
            list.push((format!("one more board like {}", last.name), more));
        }
        let boards = || o.boards.iter().chain([&o.gateway]);
        if boards().any(|b| b.link.medium != Medium::Switched) {
            let mut wired = o.clone();
            for b in wired.boards.iter_mut().chain([&mut wired.gateway]) {
                b.link = WIRE;
            }
            list.push(("every board on a wire of 1 Gbit/s".into(), wired));
        }
        let objects = |element| PlanOptions {
            wire: Wire {
                objects: vec![element],
                ..o.wire.clone()
            },
            ..o.clone()
        };
        if !o.exact && o.wire.objects.contains(&ElementType::F32) {
            let halves = objects(ElementType::F16);
            list.push(("objects in half precision (--wire f16)".into(), halves));
        }
        if !o.exact && o.wire.objects.contains(&ElementType::F16) {
            let whole = objects(ElementType::F32);
            list.push(("objects in full precision (--wire f32)".into(), whole));
        }
        if !o.exact && o.wire.frames == Some(ElementType::F32) {
            let wire = Wire {
                frames: None,
                ..o.wire.clone()
            };
            let bytes = PlanOptions { wire, ..o.clone() };
            list.push(("frames of bytes (--frame-format u8)".into(), bytes));
        }
        list
    }

    /// Seconds of the best plan for `o` near the chosen one.
    fn best_for(&self, o: &PlanOptions, given: &Given, choice: Choice) -> Option<f64> {
        let evaluator = self.evaluator_for(o);
        let from = evaluator.candidate(self.cuts(choice))?.ok()?;
        let mut rates = self.moves(given).rates.to_vec();
        if o.boards.len() > self.o.boards.len() {
            rates.extend(self.rates.last().copied());
        }
        let moves = Moves {
            rates: &rates,
            ..self.moves(given)
        };
        let links = |o: &PlanOptions| o.boards.first().map(|b| b.link);
        let steps = if links(o) == links(self.o) {
            STEPS_NEAR_MAX
        } else {
            STEPS_MAX
        };
        let climbed = climb(&evaluator, &moves, from, steps, &Tried::default());
        let polished = evaluator.at_best_homes(&climbed.cuts);
        let seconds = |c: &Candidate| c.seconds.frame();
        Some(seconds(&climbed).min(polished.as_ref().map_or(f64::MAX, seconds)))
    }
}
