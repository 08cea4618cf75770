//! Explains a choice of the search in sentences.

use super::{candidate::Candidate, choice::Choice, found::Found, given::Given};
use crate::{
    estimate, memory,
    options::{Goal, PlanOptions},
    stages::StageCuts,
    text::{bytes, count, plural},
    whole,
};
use tessera_plan::{
    dataflow::TaskGraph,
    plan::{Border, Estimates},
};

/// Names a plan, as `3x2 in 4 stages (cuts 4,8,12,16)`, `5x5 up to layer 15`, `everything on the gateway`.
fn name(cuts: &StageCuts) -> String {
    if cuts.grids.is_empty() {
        return "everything on the gateway".into();
    }
    let last = cuts.offload().saturating_sub(1);
    let how = |shares: &Option<_>, border: &Border| match (border, shares) {
        (Border::Exchange, _) => " exchanged",
        (Border::Reuse, _) => " with borders reused",
        (_, Some(_)) => " by speed",
        _ => "",
    };
    let shown =
        |(grid, (shares, border)): (String, (&_, &_))| format!("{grid}{}", how(shares, border));
    let stages = cuts.shares.iter().zip(&cuts.borders);
    let grids = cuts.grid_names().into_iter().zip(stages);
    let grids: Vec<String> = grids.map(shown).collect();
    let grids = if grids.iter().all(|g| *g == grids[0]) {
        grids[0].clone()
    } else {
        grids.join(",")
    };
    if cuts.ends.len() == 1 {
        return format!("{grids}, one stage, layers 0 to {last}");
    }
    let list: Vec<String> = cuts.ends.iter().map(ToString::to_string).collect();
    format!(
        "{grids}, {} stages with cuts {}, layers 0 to {last}",
        cuts.ends.len(),
        list.join(",")
    )
}

impl Found<'_> {
    /// Names a plan and its expected time.
    pub(super) fn shown(&self, c: &Candidate) -> String {
        let frames = match self.o.goal {
            Goal::Latency => String::new(),
            _ => format!(", {:.3} frames a second", c.seconds.pace.fps()),
        };
        format!(
            "{}: {:.3} s a frame{frames}, {:.2}x multiply-adds, {} on a source edge",
            name(&c.cuts),
            c.seconds.frame(),
            c.redundancy,
            bytes(self.evaluator().bytes(c).0)
        )
    }

    /// Returns one line per reason of a choice. `tasks` are the tasks of the chosen plan.
    pub fn why(&self, given: &Given, tasks: &TaskGraph, choice: Choice) -> Vec<String> {
        let (graph, o) = (self.graph, self.o);
        let best = &self.list[choice.best];
        let mut why = vec![self.searched(o), format!("chosen: {}", self.shown(best))];
        if best.cuts.ends.is_empty() {
            why.extend(self.faster(choice));
            why.push(self.idle_edges(choice));
            return why;
        }
        if o.goal != Goal::Latency {
            why.push(best.seconds.pace.shown(o));
        }
        if whole::is_whole(graph, &best.cuts, o) {
            why.push("whole frames: any board computes them; times and bytes here are those of a frame on its source's board".into());
        } else {
            why.push(binds(o, best));
            why.extend(self.gap(best));
            why.extend(self.left_out(best));
        }
        why.extend(self.faster(choice));
        why.extend(self.next_best(choice));
        why.extend(self.other_borders(choice));
        why.extend(self.by_channels(given, choice));
        if o.boards.iter().any(|b| b.team.min(b.cores) > 1) {
            why.push(self.use_of_cores(choice));
        }
        if given.ends.is_none() {
            why.push(format!(
                "without edges, everything on the gateway: {:.3} s",
                estimate::gateway_alone_s(graph, tasks, o)
            ));
        }
        if matches!(o.goal, Goal::Latency) {
            why.extend(self.what_if(given, choice));
        }
        why
    }

    /// Says how many plans the search compared.
    fn searched(&self, o: &PlanOptions) -> String {
        let refused = match self.stages.refused().0 {
            0 => String::new(),
            n => format!("; {} cannot be cut so finely", plural(n, "stage")),
        };
        let threads = match o.first().threads {
            1 => String::new(),
            n => format!(" of {n} threads"),
        };
        let over = self.list.iter().filter(|c| !c.fits()).count();
        let over = o.memory_bytes().map_or_else(String::new, |limit| {
            format!("; {over} above the memory limit of {}", bytes(limit))
        });
        format!(
            "searched {} for {} of {}{threads}{refused}{over}",
            plural(self.list.len(), "plan"),
            plural(o.boards.len(), "edge"),
            plural(o.first().cores, "worker"),
        )
    }

    /// Says how far the plan is from what no plan can beat.
    fn gap(&self, best: &Candidate) -> Option<String> {
        let bound = self.bound().filter(|s| *s > 0.0)?;
        let seconds = best.seconds.frame();
        Some(format!(
            "no plan with edges can take less than {bound:.3} s, by computing and sending alone; this one is {:.0} % above",
            100.0 * (seconds / bound - 1.0).max(0.0)
        ))
    }

    /// Names faster plans, and why the search rejected them.
    fn faster(&self, choice: Choice) -> Vec<String> {
        let mut why = Vec::new();
        if choice.first_fit > 0 {
            why.push(format!(
                "faster, but above the memory limit: {}",
                self.shown(&self.list[0])
            ));
        }
        if choice.best != choice.first_fit {
            why.push(format!(
                "at most 1 % faster, with more stages: {}",
                self.shown(&self.list[choice.first_fit])
            ));
        }
        why
    }

    /// Says why edges only bring pictures, and names the best plan that uses the edges.
    fn idle_edges(&self, choice: Choice) -> String {
        let mut others = self.list.iter().skip(choice.best + 1);
        match others.find(|c| c.fits() && !c.cuts.ends.is_empty()) {
            Some(c) => format!(
                "edges only bring pictures; more of them, or more --workers, may be faster. Best with edges \
                 that compute (--offload {}): {}",
                c.cuts.offload(),
                self.shown(c)
            ),
            None => "edges only bring pictures: no plan that lets them compute is possible".into(),
        }
    }

    /// Names the best other plans: one with one stage if the choice has several stages (and the reverse), and one
    /// with as many stages as the choice.
    fn next_best(&self, choice: Choice) -> Vec<String> {
        let others = |many: bool| {
            let list = self.list.iter().enumerate();
            list.filter(move |(i, c)| {
                let other = *i != choice.best && *i > choice.first_fit;
                other && !c.cuts.ends.is_empty() && c.fits() && (c.cuts.ends.len() > 1) == many
            })
            .map(|(_, c)| c)
            .next()
        };
        let many = self.cuts(choice).ends.len() > 1;
        let mut why = Vec::new();
        if let Some(c) = others(!many) {
            let what = if many { "one stage" } else { "several stages" };
            why.push(format!("best with {what}: {}", self.shown(c)));
        }
        if let Some(c) = others(many) {
            why.push(format!("next best: {}", self.shown(c)));
        }
        why
    }

    /// Says what boards would take whose cores are used in this other way.
    pub fn other_use_of_cores(&self, choice: Choice) -> String {
        let threads = self.o.boards.iter().map(|b| b.threads).max().unwrap_or(1);
        let way = if threads > 1 {
            format!("if up to {threads} threads shared every task")
        } else {
            "if every core had a task of its own".into()
        };
        format!("{way}: {}", self.shown(&self.list[choice.best]))
    }

    /// Says whether the cores of a board share one task or compute one task each.
    fn use_of_cores(&self, choice: Choice) -> String {
        let of = |c: &Candidate| {
            let single = c.cuts.grids.iter().filter(|g| **g == [1, 1]).count();
            match single {
                0 => "a tile per core",
                n if n == c.cuts.ends.len() => "one tile a stage",
                _ => "one tile in some stages",
            }
        };
        let taken = of(&self.list[choice.best]);
        let fitting = self.list.iter().skip(choice.first_fit);
        let mut staged = fitting.filter(|c| !c.cuts.ends.is_empty() && c.fits());
        match staged.find(|c| of(c) != taken) {
            Some(c) => format!(
                "a board's cores: {taken}, best with {}: {}",
                of(c),
                self.shown(c)
            ),
            None => format!("a board's cores: {taken}"),
        }
    }

    /// Names edges that compute nothing in the plan, and what the best plan with all of them takes.
    fn left_out(&self, best: &Candidate) -> Option<String> {
        let o = self.o;
        let uses = |c: &Candidate, k: usize| c.seconds.stages.runs.iter().any(|r| r.board == k);
        let names = |used: bool| -> Vec<&str> {
            let boards = o.boards.iter().enumerate();
            let some = boards.filter(|(k, _)| uses(best, *k) == used);
            some.map(|(_, b)| b.name.as_str()).collect()
        };
        let (busy, idle) = (names(true), names(false).join(", "));
        if idle.is_empty() || busy.is_empty() {
            return None;
        }
        let all = |c: &&Candidate| (0..o.boards.len()).all(|k| uses(c, k)) && c.fits();
        let with_all = self.list.iter().find(all).map_or_else(String::new, |c| {
            format!("; with all of them {:.3} s", c.seconds.frame())
        });
        Some(match busy.as_slice() {
            [alone] => format!(
                "one board alone is faster: {alone} computes all tiles; left out: {idle}{with_all}"
            ),
            _ => format!("left out, since frames take longer with more boards: {idle}{with_all}"),
        })
    }
}

/// Says what limits the plan's speed.
fn binds(o: &PlanOptions, c: &Candidate) -> String {
    let out = &c.seconds.stages;
    let tasks = o.cores();
    let cores: usize = o.boards.iter().map(|b| b.cores * b.threads).sum();
    let total = out.seconds.max(1e-9);
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    let busy = 100.0 * out.busy_s / (total * cores as f64);
    let channel = 100.0 * out.channel_s / total;
    let what = if channel > 85.0 {
        "the channel binds"
    } else if busy > 85.0 {
        "arithmetic on the edges binds"
    } else if c.cuts.tiles() < tasks {
        "fewer tiles than cores: some edges idle"
    } else {
        "waiting binds: tiles differ in cost, or do not divide evenly among the edges"
    };
    format!(
        "{what}: edges compute {busy:.0} % of {:.3} s, the channel is busy {channel:.0} %; the tail then takes {:.3} s",
        out.seconds, c.seconds.tail
    )
}

/// Returns the line for a plan that flags ask for.
pub(crate) fn asked(e: &Estimates, limit: Option<u64>) -> Vec<String> {
    let mut why = vec!["asked for: nothing was left to choose".to_string()];
    if let Some(limit) = limit {
        why.push(format!(
            "memory: {} of {} bytes on a source edge",
            count(memory::source_bytes(&e.memory)),
            count(limit)
        ));
    }
    why
}
