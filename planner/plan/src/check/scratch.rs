//! What steps work in belongs to nobody else meanwhile.

use super::{Rule, rule};
use crate::plan::Chain;

/// First and last firing of something.
type Span = Option<[usize; 2]>;

fn extend(span: &mut Span, now: usize) {
    let [first, _] = span.unwrap_or([now, now]);
    *span = Some([first, now]);
}

/// For chains whose order and views have passed their rules.
pub(super) fn scratch(c: &Chain, place: &str) -> Rule {
    if c.steps.iter().all(|s| s.scratch == 0) {
        return Ok(());
    }
    let mut of_steps: Vec<Span> = vec![None; c.steps.len()];
    let mut of_buffers: Vec<Span> = vec![None; c.buffers.len()];
    for (now, f) in c.order.firings().enumerate() {
        match f.op.checked_sub(c.loads.len()) {
            None => {
                if let Some(v) = &c.loads[f.op] {
                    extend(&mut of_buffers[v.buffer.0], now);
                }
            }
            Some(i) if i < c.steps.len() => {
                extend(&mut of_steps[i], now);
                let s = &c.steps[i];
                for v in s.inputs.iter().chain([&s.out]) {
                    extend(&mut of_buffers[v.buffer.0], now);
                }
            }
            Some(i) => {
                if let Some(v) = &c.stores[i - c.steps.len()] {
                    extend(&mut of_buffers[v.buffer.0], now);
                }
            }
        }
    }
    for (step, span) in c.steps.iter().zip(&of_steps) {
        let Some([from, to]) = *span else { continue };
        let apart = c.buffers.iter().zip(&of_buffers).all(|(b, life)| {
            !b.place.is_arena()
                || b.offset >= step.scratch
                || life.is_none_or(|[first, last]| last < from || to < first)
        });
        rule(
            apart,
            &|| format!("{place}, {}", step.name),
            "a step's working memory overlaps a buffer in use",
        )?;
    }
    Ok(())
}
