//! Everything in one process, without a network: tasks in order, then the tail.
//!
//! Stage boundaries are real: every task reads pieces and writes its packed boxes, as on a cluster.

mod frame;
mod late;
mod peak;
mod times;

use std::rc::Rc;

use serde_json::json;

use self::{
    frame::{Env, SoloFrame},
    late::Late,
    times::Times,
};
use super::{
    code,
    dump::dump,
    record::{self, Captured, Reporting},
};
use crate::{
    args::Args,
    detect::ImageFrame,
    error::NodeError,
    labels, memory,
    sinks::{self, Found},
    sources, statistics,
};
use tessera_plan::files::{
    records::{Record, Subject},
    statistics::{Role, SoloStatistics},
};
use tessera_runtime::{
    arena::{AlignedBytes, ArenaMemory, guarded::GuardedArena},
    profile::Profile,
    program::Program,
    team::Team,
    weights::{Use, Weights},
};

/// Runs the solo role on all inputs.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    let weights = Weights::open(&a.weights, program, Use::All)?;
    let team = Team::new(a.threads).map_err(NodeError::Threads)?;
    let tasks = program.tasks.iter().map(|t| t.arena_floats);
    let largest = tasks.chain([program.tail.arena_floats]).max().unwrap_or(0);
    let mut arena = ArenaMemory::new(largest);
    let guard = a.guard.then(|| GuardedArena::new(largest)).transpose();
    let mut env = Env {
        weights: weights.floats(),
        arena: &mut arena,
        team: &team,
        guard: guard.map_err(NodeError::errno("no memory to guard"))?,
        profile: None,
        spare: Vec::new(),
    };
    let late = Late::new(program, &a.late)?;
    let source = sources::open(program, a)?;
    let source = source.ok_or_else(|| NodeError::Usage("solo needs inputs".into()))?;
    let mut source = source.source;
    code::let_go();
    let records = sinks::open(&a.outputs, labels::classes(program), Found::Replaced)?;
    let reporting = Reporting::new(program, a)?;
    let mut times = Times::default();
    let mut frames = 0u32;
    while a.frames.is_none_or(|most| u64::from(frames) < most) {
        let mut input = AlignedBytes::new(program.tensors[0].bytes());
        let Some(frame) = source.next(input.bytes_mut()) else {
            break;
        };
        let (frame, input) = (frame?, Rc::new(input));
        let (image, name) = (frame.image, source.name());
        let captured = Captured::at(frame.captured);
        if frames == 0 {
            time(program, (a, &late), &input, &mut env, &mut times);
        }
        let (frame, outputs) = loop {
            let mut frame = SoloFrame::new(program, Rc::clone(&input));
            frame.stages(&late, &mut env);
            let outputs = frame.tail(&mut env);
            // Written to meanwhile, and still the right weights: once more.
            if !weights.recheck(program)? {
                break (frame, outputs);
            }
        };
        drop(input);
        let subject = Subject {
            frame: frames,
            tag: frames,
            source_name: source.source().map(Into::into),
            file: Some(name).filter(|name| !name.is_empty()),
            ..Subject::default()
        };
        let record = publish(program, a, (subject, captured, image), &outputs, &reporting);
        records.accept(&record)?;
        frame.end(outputs, &mut env);
        frames += 1;
    }
    records.flush()?;
    if a.repeat > 0 {
        statistics::answer(&times.event());
    }
    if let Some(path) = &a.stats {
        let all = SoloStatistics {
            role: Role::Solo,
            pid: std::process::id(),
            memory: memory::now(),
            frames: u64::from(frames),
        };
        statistics::write(path, &all)?;
    }
    Ok(())
}

/// Dumps a frame's tensors if the command line asks for that; returns the frame's record.
fn publish(
    program: &Program,
    a: &Args,
    (subject, captured, image): (Subject, Captured, ImageFrame),
    outputs: &[Rc<AlignedBytes>],
    how: &Reporting,
) -> Record {
    let maps: Vec<&[u8]> = outputs.iter().map(|o| o.bytes()).collect();
    if let Some(dir) = &a.dump {
        let tensors = program.tail.outputs.iter().copied();
        if let Err(e) = dump(program, dir, tensors.zip(maps.iter().copied())) {
            tracing::warn!("a frame is not dumped: {e}");
        }
    }
    record::computed(program, subject, captured, image, &maps, how)
}

/// Computes a frame under the clock, as often as that is asked for, and tells the times of its layers.
fn time(
    program: &Program,
    (a, late): (&Args, &Late),
    input: &Rc<AlignedBytes>,
    env: &mut Env<'_>,
    times: &mut Times,
) {
    let tasks = program.tasks.len() + 1;
    let mut profile = (a.profile && a.repeat > 0).then(|| Profile::new(tasks, env.team.threads()));
    let mut peak_flops: Option<f64> = None;
    for _ in 0..a.repeat {
        let mut run = (SoloFrame::new(program, Rc::clone(input)), &mut *env);
        let outputs = times.note(
            &mut run,
            |(f, env)| f.stages(late, env),
            |(f, env)| f.tail(env),
        );
        run.0.end(outputs, env);
        if profile.is_some() {
            // In a frame of its own: reading the clock for every firing would show in the whole.
            env.profile = profile.take();
            let mut frame = SoloFrame::new(program, Rc::clone(input));
            frame.stages(late, env);
            frame.tail(env);
            profile = env.profile.take();
            peak_flops = peak::flops(program.target).map(|f| f.max(peak_flops.unwrap_or(0.0)));
        }
    }
    if let Some(p) = profile {
        statistics::answer(
            &json!({ "event": "profile", "tasks": p.layers(), "peak_flops": peak_flops }),
        );
    }
}
