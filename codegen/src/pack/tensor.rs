//! The packed values of one node, in the layouts of [`Packing`].

use std::io::Write;

use tessera_plan::{
    graph::{Conv, Graph, NodeWeights, Op},
    kernel::{PAGE_FLOATS, block_floats},
    plan::{Packing, WeightFormat},
    region::{Shape, Span},
};

use super::{PackError, sink::Sink, transformed};

/// Writes the packed values of the node of `p`.
pub(super) fn write<W: Write>(
    p: &Packing,
    network: &Graph,
    weights: &[Option<NodeWeights>],
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let node = &network.nodes[p.node];
    let w = weights.get(p.node.0).and_then(Option::as_ref);
    let w = w.ok_or_else(|| PackError::NoNodeWeights {
        name: p.name.clone(),
    })?;
    let (input, output) = (network.shape(node.inputs[0]), node.shape);
    match &node.op {
        Op::Conv(c) => Blocks::new(p, w, c, input, output)?.write(out),
        Op::Connected { .. } => connected(p, w, input, output.c, out),
        Op::Local { size, .. } => local(p, w, size * size, [input, output], out),
        _ => out.extend(w.weights.iter().chain(&w.bias).copied()),
    }
}

/// A node has so many factors and addends.
fn sizes(p: &Packing, w: &NodeWeights, expected: [usize; 2]) -> Result<(), PackError> {
    let found = [w.weights.len(), w.bias.len()];
    if found == expected {
        return Ok(());
    }
    Err(PackError::Size {
        name: p.name.clone(),
        expected: expected.iter().sum(),
        found: found.iter().sum(),
    })
}

/// A convolution's weights in packed blocks of output channels.
struct Blocks<'a> {
    p: &'a Packing,
    w: &'a NodeWeights,
    /// Groups whose blocks follow each other; depthwise kernels' blocks run over all channels, one input
    /// channel each.
    groups: usize,
    /// Output channels of a group.
    per_group: usize,
    /// Input channels of a group.
    cin: usize,
    /// Weights per pair of channels.
    taps: usize,
}

impl<'a> Blocks<'a> {
    fn new(
        p: &'a Packing,
        w: &'a NodeWeights,
        conv: &Conv,
        input: Shape,
        output: Shape,
    ) -> Result<Self, PackError> {
        let (cout, cin, taps) = (output.c, input.c / conv.groups, conv.size * conv.size);
        sizes(p, w, [cout * cin * taps, cout])?;
        let groups = if conv.is_depthwise(input.c, cout) {
            1
        } else {
            conv.groups
        };
        Ok(Self {
            p,
            w,
            groups,
            per_group: cout / groups,
            cin,
            taps,
        })
    }

    fn write<W: Write>(&self, out: &mut Sink<W>) -> Result<(), PackError> {
        if self.p.parts.is_empty() {
            return self.blocks(Span::new(0, self.cin), out);
        }
        for part in self.p.spans() {
            self.blocks(part, out)?;
            let depth = self.taps * part.len();
            let packed =
                self.per_group.div_ceil(self.p.nr) * block_floats(self.p.nr, depth, self.p.weights);
            let gap = packed.next_multiple_of(PAGE_FLOATS) - packed;
            out.extend(std::iter::repeat_n(0.0, gap))?;
        }
        Ok(())
    }

    /// The blocks of input channels `part`.
    fn blocks<W: Write>(&self, part: Span, out: &mut Sink<W>) -> Result<(), PackError> {
        for group in 0..self.groups {
            for first in (0..self.per_group).step_by(self.p.nr) {
                self.block([group, first], part, out)?;
            }
        }
        Ok(())
    }

    /// The block of a group that begins with its output channel `first`, of input channels `part`; channels that do not
    /// exist are zero, and so are the biases of all parts but the first.
    fn block<W: Write>(
        &self,
        [group, first]: [usize; 2],
        part: Span,
        out: &mut Sink<W>,
    ) -> Result<(), PackError> {
        let Self { cin: all, taps, .. } = *self;
        let cin = part.len();
        let nr = self.p.nr;
        let channel = |i: usize| {
            let exists = first + i < self.per_group;
            exists.then_some(group * self.per_group + first + i)
        };
        let of = |i: usize, ci: usize| {
            channel(i).map(|o| &self.w.weights[(o * all + part.lo + ci) * taps..][..taps])
        };
        let trained =
            |at: usize| (0..nr).map(move |i| of(i, at % cin).map_or(0.0, |w| w[at / cin]));
        let biased = |i: usize| channel(i).filter(|_| part.lo == 0);
        out.extend((0..nr).map(|i| biased(i).map_or(0.0, |o| self.w.bias[o])))?;
        match self.p.weights {
            WeightFormat::F32 => (0..taps * cin).try_for_each(|at| out.extend(trained(at))),
            WeightFormat::F16 => {
                (0..taps * cin).try_for_each(|at| out.halves(trained(at), &self.p.name))
            }
            WeightFormat::Transformed { m, depth } => {
                transformed::block(m, [cin, depth], nr, of, out)
            }
        }
    }
}

/// `[out]` bias, then `[h][w][c][out]`: Darknet's C, H, W order of the input ends here.
fn connected<W: Write>(
    p: &Packing,
    w: &NodeWeights,
    input: Shape,
    cout: usize,
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let n = input.len();
    sizes(p, w, [cout * n, cout])?;
    out.extend(w.bias.iter().copied())?;
    for y in 0..input.h {
        for x in 0..input.w {
            for c in 0..input.c {
                let flat = (c * input.h + y) * input.w + x;
                out.extend((0..cout).map(|o| w.weights[o * n + flat]))?;
            }
        }
    }
    Ok(())
}

/// `[oh][ow][cout]` bias, then `[oh][ow][ky][kx][cin][cout]`.
fn local<W: Write>(
    p: &Packing,
    w: &NodeWeights,
    taps: usize,
    [input, output]: [Shape; 2],
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let (cells, cin, cout) = (output.h * output.w, input.c, output.c);
    sizes(p, w, [cells * cout * cin * taps, cells * cout])?;
    for cell in 0..cells {
        out.extend((0..cout).map(|o| w.bias[o * cells + cell]))?;
    }
    for cell in 0..cells {
        for tap in 0..taps {
            for ci in 0..cin {
                let at = |o: usize| ((cell * cout + o) * cin + ci) * taps + tap;
                out.extend((0..cout).map(|o| w.weights[at(o)]))?;
            }
        }
    }
    Ok(())
}
