//! Everything in one process, without a network: tasks in order, then the tail.
//!
//! Stage boundaries are real: every task reads pieces and writes its packed boxes, as on a cluster.

use std::{rc::Rc, time::Instant};

use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{
    NodeError,
    args::Args,
    check_cpu, code,
    input::Frames,
    output::{self, Subject, Thresholds},
    peak,
    records::Records,
};
use crate::memory::Memory;
use tessera_plan::{dataflow::Port, region::Region};
use tessera_runtime::{
    arena::{
        ArenaMemory,
        guarded::{self, GuardedArena},
    },
    io::{Arena, Piece, TaskIo},
    profile::Profile,
    program::Program,
    team::Team,
    weights::{Use, Weights},
};

/// A frame's tensors: the boxes made so far.
pub struct Frame<'p> {
    program: &'p Program,
    /// Per boundary tensor the packed boxes made of it; the input is shared by frames.
    boxes: Vec<Vec<(Region, Rc<Vec<f32>>)>>,
}

impl<'p> Frame<'p> {
    /// A frame with its input.
    pub fn new(program: &'p Program, input: Rc<Vec<f32>>) -> Self {
        let mut boxes: Vec<Vec<(Region, Rc<Vec<f32>>)>> =
            program.tensors.iter().map(|_| Vec::new()).collect();
        boxes[0].push((whole(program, 0), input));
        Self { program, boxes }
    }

    /// Runs task number `task`; the tail comes behind the stages' tasks.
    fn run(&mut self, task: usize, ins: &[Port], outs: &[Port], env: &mut Env<'_>) {
        let tail = &self.program.tail;
        let (run, floats) = self
            .program
            .tasks
            .get(task)
            .map_or((tail.run, tail.arena_floats), |t| (t.run, t.arena_floats));
        let pieces: Vec<Vec<Piece<'_>>> = ins
            .iter()
            .map(|port| {
                self.boxes[port.tensor as usize]
                    .iter()
                    .filter(|(r, _)| !r.meet(port.region).is_empty())
                    .map(|(region, data)| Piece {
                        region: *region,
                        data,
                    })
                    .collect()
            })
            .collect();
        let inputs: Vec<&[Piece<'_>]> = pieces.iter().map(Vec::as_slice).collect();
        let mut made: Vec<Vec<f32>> = outs.iter().map(|p| env.place(p.region.len())).collect();
        let mut outputs: Vec<&mut [f32]> = made.iter_mut().map(Vec::as_mut_slice).collect();
        run(&mut TaskIo {
            ports_in: ins,
            ports_out: outs,
            inputs: &inputs,
            outputs: &mut outputs,
            weights: env.weights,
            arena: match (&mut env.profile, &mut env.guard) {
                (Some(p), _) => Arena::profiled(env.arena.floats(), p),
                (None, Some(guard)) => Arena::new(guard.floats(floats)),
                (None, None) => Arena::new(env.arena.floats()),
            },
            team: env.team,
        });
        if let Some(guard) = &env.guard {
            let high_water = guarded::high_water(guard.last(floats));
            println!(
                "{}",
                json!({ "event": "arena", "task": task, "floats": floats, "high_water": high_water })
            );
        }
        if let Some(p) = &mut env.profile {
            p.done(task);
        }
        for (port, data) in outs.iter().zip(made) {
            self.boxes[port.tensor as usize].push((port.region, Rc::new(data)));
        }
    }

    /// Runs all tasks.
    pub fn stages(&mut self, env: &mut Env<'_>) {
        for (i, t) in self.program.tasks.iter().enumerate() {
            self.run(i, t.inputs, t.outputs, env);
        }
    }

    /// Gives the memory of all boxes but the input and of `outputs` back, for the next frame's.
    pub fn end(self, outputs: Vec<Rc<Vec<f32>>>, env: &mut Env<'_>) {
        let made = self.boxes.into_iter().skip(1).flatten();
        let made = made.map(|(_, data)| data).chain(outputs);
        env.spare
            .extend(made.filter_map(|data| Rc::try_unwrap(data).ok()));
    }

    /// Runs the tail; gives its outputs.
    pub fn tail(&mut self, env: &mut Env<'_>) -> Vec<Rc<Vec<f32>>> {
        let p = self.program;
        let port = |t: &u16| Port {
            tensor: *t,
            region: whole(p, *t),
        };
        let ins: Vec<Port> = p.tail.inputs.iter().map(port).collect();
        let outs: Vec<Port> = p.tail.outputs.iter().map(port).collect();
        // Stage outputs that pass through stay as they are; the tail's own copies go aside.
        let before: Vec<usize> = self.boxes.iter().map(Vec::len).collect();
        self.run(p.tasks.len(), &ins, &outs, env);
        outs.iter()
            .map(|o| {
                self.boxes[o.tensor as usize]
                    .split_off(before[o.tensor as usize])
                    .swap_remove(0)
                    .1
            })
            .collect()
    }
}

/// What tasks need beside their inputs.
pub struct Env<'a> {
    /// All weights.
    pub weights: &'a [f32],
    /// Working memory.
    pub arena: &'a mut ArenaMemory,
    /// Threads.
    pub team: &'a Team,
    /// Memory that shows its use, instead of `arena`.
    pub guard: Option<GuardedArena>,
    /// Times of layers, if they are asked for.
    pub profile: Option<Profile>,
    /// Memory of boxes of frames that are over.
    pub spare: Vec<Vec<f32>>,
}

impl Env<'_> {
    /// Memory for `floats` values, of any content: a task writes all of them.
    fn place(&mut self, floats: usize) -> Vec<f32> {
        match self.spare.iter().position(|v| v.len() == floats) {
            Some(i) => self.spare.swap_remove(i),
            None => vec![0.0; floats],
        }
    }
}

fn whole(p: &Program, tensor: u16) -> Region {
    p.tensors[tensor as usize].region()
}

/// Runs the role.
pub fn run(program: &'static Program, a: &Args) -> Result<(), NodeError> {
    check_cpu(program)?;
    let weights = Weights::open(&a.weights, program, Use::All)?;
    let team = Team::new(a.threads).map_err(NodeError::Threads)?;
    let largest = program
        .tasks
        .iter()
        .map(|t| t.arena_floats)
        .max()
        .unwrap_or(0)
        .max(program.tail.arena_floats);
    let mut arena = ArenaMemory::new(largest);
    let guard = a.guard.then(|| GuardedArena::new(largest)).transpose();
    let guard = guard.map_err(NodeError::errno("no memory to guard"))?;
    let mut env = Env {
        weights: weights.floats(),
        arena: &mut arena,
        team: &team,
        guard,
        profile: None,
        spare: Vec::new(),
    };
    let mut profile =
        (a.profile && a.repeat > 0).then(|| Profile::new(program.tasks.len() + 1, team.threads()));
    let frames = Frames::new(program, a);
    code::let_go();
    let mut records = Records::open(a.records.as_deref())?;
    let thresholds = Thresholds {
        score: a.thresh,
        nms: a.nms,
    };
    let mut times = Times::default();
    for i in 0..frames.len() {
        let mut input = vec![0.0f32; whole(program, 0).len()];
        let image = frames.read(i, program, &mut input)?;
        let input = Rc::new(input);
        let repeats = if i == 0 { a.repeat } else { 0 };
        for _ in 0..repeats {
            let mut frame = Frame::new(program, Rc::clone(&input));
            let (begun, used) = (Instant::now(), processor_s());
            frame.stages(&mut env);
            let stages = begun.elapsed().as_secs_f64();
            let outputs = frame.tail(&mut env);
            times.push(stages, begun.elapsed().as_secs_f64() - stages);
            times.processor.push(processor_s() - used);
            frame.end(outputs, &mut env);
            if profile.is_some() {
                // In a frame of its own: reading the clock for every firing would show in the whole.
                env.profile = profile.take();
                let mut frame = Frame::new(program, Rc::clone(&input));
                frame.stages(&mut env);
                frame.tail(&mut env);
                profile = env.profile.take();
                times.peak = peak::flops(program.target).map(|f| f.max(times.peak.unwrap_or(0.0)));
            }
        }
        if let Some(p) = profile.take() {
            println!(
                "{}",
                json!({ "event": "profile", "tasks": p.layers(), "peak_flops": times.peak })
            );
        }
        let mut frame = Frame::new(program, input);
        frame.stages(&mut env);
        let outputs = frame.tail(&mut env);
        let maps: Vec<&[f32]> = outputs.iter().map(|o| o.as_slice()).collect();
        if let Some(dir) = &a.dump {
            output::dump(
                program,
                dir,
                program
                    .tail
                    .outputs
                    .iter()
                    .copied()
                    .zip(maps.iter().copied()),
            )?;
        }
        records.write(&output::record(
            program,
            &Subject {
                frame: i as u32,
                tag: i as u32,
                file: Some(frames.name(i)),
                ..Subject::default()
            },
            image,
            &maps,
            thresholds,
        ))?;
        frame.end(outputs, &mut env);
    }
    let memory = Memory::now();
    if a.repeat > 0 {
        println!(
            "{}",
            json!({ "event": "timing", "seconds": times.total, "stages_seconds": times.stages, "tail_seconds": times.tail, "processor_seconds": times.processor, "memory": memory })
        );
    }
    if let Some(path) = &a.stats {
        let stats = json!({ "role": "solo", "pid": std::process::id(), "memory": memory, "frames": frames.len() });
        std::fs::write(path, format!("{stats}\n"))
            .map_err(NodeError::io(format!("cannot write {}", path.display())))?;
    }
    Ok(())
}

/// Processor time of this process so far, in seconds.
fn processor_s() -> f64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0.0, |t| std::time::Duration::from(t).as_secs_f64())
}

#[derive(Default)]
struct Times {
    total: Vec<f64>,
    stages: Vec<f64>,
    tail: Vec<f64>,
    /// Processor time of all threads.
    processor: Vec<f64>,
    /// Best possible speed of a core.
    peak: Option<f64>,
}

impl Times {
    fn push(&mut self, stages: f64, tail: f64) {
        self.total.push(stages + tail);
        self.stages.push(stages);
        self.tail.push(tail);
    }
}
