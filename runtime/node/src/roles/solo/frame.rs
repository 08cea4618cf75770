//! The objects of a frame, and the tasks that make these objects one after the other.

use std::rc::Rc;

use super::late::Late;
use crate::statistics::answer;
use tessera_plan::{dataflow::Port, element::ElementType, files::events::Event, region::Region};
use tessera_runtime::{
    arena::{
        AlignedBytes, ArenaMemory,
        guarded::{self, GuardedArena},
    },
    io::{Arena, InputPiece, PieceBytes, TaskIo},
    profile::Profile,
    program::{Program, TensorSpec},
    team::Team,
};

/// An object: the packed values of a tensor's box.
type Object = (Region, Rc<AlignedBytes>);

/// The objects of a frame that its tasks have made so far.
pub struct SoloFrame<'p> {
    program: &'p Program,
    /// Per boundary tensor; the input is shared by frames.
    objects: Vec<Vec<Object>>,
}

/// Resources that tasks need besides their inputs.
pub struct Env<'a> {
    /// All weights of the program.
    pub weights: &'a [f32],
    /// Working memory of the tasks.
    pub arena: &'a mut ArenaMemory,
    /// Threads that share every layer.
    pub team: &'a Team,
    /// Memory that reveals how much of itself is used; replaces `arena` when set.
    pub guard: Option<GuardedArena>,
    /// Times of the layers, if the command line asks for them.
    pub profile: Option<Profile>,
    /// Memory of ended frames' objects, for reuse.
    pub spare: Vec<AlignedBytes>,
}

impl Env<'_> {
    /// Memory with arbitrary content, which a task overwrites whole.
    fn place(&mut self, length: usize) -> AlignedBytes {
        let fits = |m: &AlignedBytes| m.bytes().len() == length;
        match self.spare.iter().position(fits) {
            Some(i) => self.spare.swap_remove(i),
            None => AlignedBytes::new(length),
        }
    }
}

impl<'p> SoloFrame<'p> {
    /// A frame with its input and no other objects.
    pub fn new(program: &'p Program, input: Rc<AlignedBytes>) -> Self {
        let mut objects: Vec<Vec<Object>> = program.tensors.iter().map(|_| Vec::new()).collect();
        objects[0].push((program.tensors[0].region(), input));
        Self { program, objects }
    }

    /// Runs the tasks of all stages in order; of those that stand in for others the ones that `late` names.
    pub fn stages(&mut self, late: &Late, env: &mut Env<'_>) {
        for (i, t) in self.program.tasks.iter().enumerate() {
            match late.stands_in(i) {
                Some(false) => continue,
                // What it stands in for is too late.
                Some(true) => t
                    .outputs
                    .iter()
                    .for_each(|o| self.objects[o.tensor as usize].clear()),
                None => {}
            }
            self.run(i, t.inputs, t.outputs, env);
        }
    }

    /// Merges the tiles of a tensor into a whole map, as a gateway does: a tail may read its
    /// inputs where they lie.
    fn merge(&mut self, tensor: u16, env: &mut Env<'_>) {
        let spec = &self.program.tensors[tensor as usize];
        let tiles = &mut self.objects[tensor as usize];
        if tiles.len() <= 1 {
            return;
        }
        let (whole, n) = (spec.region(), spec.element.bytes());
        let mut map = env.place(spec.bytes());
        for (r, memory) in tiles.drain(..) {
            let at = |y: usize, x: usize| ((y * whole.w() + x) * whole.ch() + r.c.lo) * n;
            // Pixels that lie side by side in the tile and in the map: a row of them, or one.
            let run = if r.ch() == whole.ch() {
                r.w().max(1)
            } else {
                1
            };
            let length = run * r.ch() * n;
            let firsts =
                (r.y.lo..r.y.hi).flat_map(|y| (r.x.lo..r.x.hi).step_by(run).map(move |x| (y, x)));
            for ((y, x), values) in firsts.zip(memory.bytes().chunks_exact(length.max(1))) {
                map.bytes_mut()[at(y, x)..at(y, x) + length].copy_from_slice(values);
            }
            env.spare.extend(Rc::try_unwrap(memory).ok());
        }
        tiles.push((whole, Rc::new(map)));
    }

    /// Runs the tail; returns its outputs.
    pub fn tail(&mut self, env: &mut Env<'_>) -> Vec<Rc<AlignedBytes>> {
        let p = self.program;
        for &tensor in p.tail.inputs {
            self.merge(tensor, env);
        }
        let port = |t: &u16| Port {
            tensor: *t,
            region: p.tensors[*t as usize].region(),
        };
        let ins: Vec<Port> = p.tail.inputs.iter().map(port).collect();
        let outs: Vec<Port> = p.tail.outputs.iter().map(port).collect();
        // Stage outputs that pass through stay as they are; the tail's own copies go aside.
        let before: Vec<usize> = self.objects.iter().map(Vec::len).collect();
        self.run(p.tasks.len(), &ins, &outs, env);
        outs.iter()
            .map(|o| {
                self.objects[o.tensor as usize]
                    .split_off(before[o.tensor as usize])
                    .swap_remove(0)
                    .1
            })
            .collect()
    }

    /// Returns the memory of all objects, except the input, and of `outputs` to the spare memory.
    pub fn end(self, outputs: Vec<Rc<AlignedBytes>>, env: &mut Env<'_>) {
        let made = self.objects.into_iter().skip(1).flatten();
        let made = made.map(|(_, memory)| memory).chain(outputs);
        env.spare
            .extend(made.filter_map(|memory| Rc::try_unwrap(memory).ok()));
    }

    fn tensor(&self, port: &Port) -> &'p TensorSpec {
        &self.program.tensors[port.tensor as usize]
    }

    /// What was made of an input.
    fn pieces(&self, port: &Port) -> Vec<InputPiece<'_>> {
        let element = self.tensor(port).element;
        self.objects[port.tensor as usize]
            .iter()
            .filter(|(r, _)| !r.meet(port.region).is_empty())
            .map(|(region, memory)| InputPiece {
                region: *region,
                element,
                bytes: PieceBytes::Here(memory.bytes()),
            })
            .collect()
    }

    /// Runs task number `task`; the tail comes behind the stages' tasks.
    fn run(&mut self, task: usize, ins: &[Port], outs: &[Port], env: &mut Env<'_>) {
        let tail = &self.program.tail;
        let spec = self.program.tasks.get(task);
        let (run, floats) = spec.map_or((tail.run, tail.arena_floats), |t| (t.run, t.arena_floats));
        let elements: Vec<ElementType> = outs.iter().map(|p| self.tensor(p).element).collect();
        let length = |(p, e): (&Port, &ElementType)| p.region.len() * e.bytes();
        let mut made: Vec<AlignedBytes> = outs
            .iter()
            .zip(&elements)
            .map(|o| env.place(length(o)))
            .collect();
        let pieces: Vec<Vec<InputPiece<'_>>> = ins.iter().map(|p| self.pieces(p)).collect();
        let inputs: Vec<&[InputPiece<'_>]> = pieces.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [u8]> = made.iter_mut().map(AlignedBytes::bytes_mut).collect();
        run(&mut TaskIo {
            ports_in: ins,
            ports_out: outs,
            inputs: &inputs,
            outputs: &mut outputs,
            elements_out: &elements,
            made: None,
            weights: env.weights,
            arena: match (&mut env.profile, &mut env.guard) {
                (Some(p), _) => Arena::profiled(env.arena.floats(), p),
                (None, Some(guard)) => Arena::new(guard.floats(floats)),
                (None, None) => Arena::new(env.arena.floats()),
            },
            team: env.team,
        });
        if let Some(guard) = &env.guard {
            answer(&Event::Arena {
                task,
                floats,
                high_water: guarded::high_water(guard.last(floats)),
            });
        }
        if let Some(p) = &mut env.profile {
            p.done(task);
        }
        for (port, memory) in outs.iter().zip(made) {
            self.objects[port.tensor as usize].push((port.region, Rc::new(memory)));
        }
    }
}
