//! Rules of steps as parts of the network: a step computes its node, from what the node reads.

use super::{Rule, rule};
use crate::{
    graph::{Conv, Graph, Node, Op, TensorIx, reorg_rows},
    plan::{Buffer, Chain, ConvKernel, Step, View},
    region::Span,
};

/// For a network and a chain that have passed their own rules.
pub(super) fn steps(network: &Graph, c: &Chain, place: &str) -> Rule {
    rule(
        c.buffers.iter().all(|b| {
            let node = b.tensor.producer();
            b.tensor.0 >= -1 && node.is_none_or(|n| n.0 < network.nodes.len())
        }),
        &|| place.to_string(),
        "a buffer names a tensor of the network",
    )?;
    for s in &c.steps {
        let at = || format!("{place}, {}", s.name);
        let node = network.nodes.get(s.node.0);
        let Some(node) = node.filter(|n| (n.layer, &n.name) == (s.layer, &s.name)) else {
            return rule(false, &at, "a step has the layer and name of its node");
        };
        rule(
            s.inputs.len() == node.inputs.len(),
            &at,
            "a step reads every input of its node",
        )?;
        if s.sums > 0 {
            adds(c, s, node, &at)?;
            continue;
        }
        filters(c, s, node, &at)?;
        outputs(c, s, node, &at)?;
        inputs(network, c, s, node, &at)?;
        match (&node.op, &s.conv) {
            (Op::Conv(conv), Some(k)) => kernel(network, c, s, (node, conv, k), &at)?,
            (op, conv) => rule(
                conv.is_none() && !matches!(op, Op::Conv(_)),
                &at,
                "convolutions have kernels, and nothing else has",
            )?,
        }
    }
    Ok(())
}

/// Number of channels that a step makes.
fn made(s: &Step, node: &Node) -> usize {
    s.filters.map_or(node.shape.c, Span::len)
}

/// A step that makes some channels is a convolution without groups, or a pool of the same channels.
fn filters(c: &Chain, s: &Step, node: &Node, at: &dyn Fn() -> String) -> Rule {
    let Some(f) = s.filters else { return Ok(()) };
    let of_input = |i: &TensorIx| {
        let mut makers = c.steps.iter().filter(|o| Some(o.node) == i.producer());
        makers.any(|o| o.filters == Some(f))
    };
    let fits = match &node.op {
        Op::Conv(conv) => conv.groups == 1,
        Op::MaxPool(_) => node.inputs.iter().all(of_input),
        _ => false,
    };
    rule(
        fits && !f.is_empty() && f.hi <= node.shape.c,
        at,
        "only a convolution without groups makes some of its channels, or a pool behind it",
    )
}

/// A step that adds partial sums of a convolution.
fn adds(c: &Chain, s: &Step, node: &Node, at: &dyn Fn() -> String) -> Rule {
    let Some(v) = s.inputs.first() else {
        return rule(false, at, "a step adds what it reads");
    };
    let (b, out) = (&c.buffers[v.buffer], &c.buffers[s.out.buffer]);
    let plain = s.conv.is_none() && s.filters.is_none() && s.depth.is_none() && s.channel == 0;
    rule(
        plain
            && matches!(node.op, Op::Conv(_))
            && s.copied().count() == 1
            && out.c == node.shape.c
            && out.c.checked_mul(s.sums) == Some(b.c)
            && (v.h, v.w) == (out.h, out.w),
        at,
        "a step adds partial sums of its own map",
    )
}

/// What a step writes: all channels of its buffer, or those of one part of a concatenation.
fn outputs(c: &Chain, s: &Step, node: &Node, at: &dyn Fn() -> String) -> Rule {
    let out = &c.buffers[s.out.buffer];
    let made = made(s, node);
    let is_part = matches!(node.op, Op::Conv(_) | Op::Upsample { .. } | Op::MaxPool(_))
        && s.channel < out.c
        && made <= out.c - s.channel;
    rule(
        out.c == made && s.channel == 0 || is_part,
        at,
        "a step writes all channels of its buffer, or a convolution, pool or upsampling some",
    )?;
    let side = s.conv.as_ref().map_or(1, ConvKernel::side);
    rule(
        side.checked_mul(s.out.h).is_some_and(|h| h <= node.shape.h)
            && side.checked_mul(s.out.w).is_some_and(|w| w <= node.shape.w),
        at,
        "a step makes more rows or columns than its node",
    )?;
    rule(
        node.op.is_local() || (s.out.h, s.out.w) == (node.shape.h, node.shape.w),
        at,
        "an operation on whole maps makes a whole map",
    )
}

/// What a step reads: all channels of the tensors that its node reads, but for convolutions, which may read
/// some of a wider buffer, and concatenations, whose inputs may lie in the output already.
fn inputs(network: &Graph, c: &Chain, s: &Step, node: &Node, at: &dyn Fn() -> String) -> Rule {
    for (v, t) in s.inputs.iter().zip(&node.inputs) {
        if s.finds(v) {
            continue;
        }
        let (b, shape) = (&c.buffers[v.buffer], network.shape(*t));
        let is_there = match node.op {
            _ if s.depth.is_some() => s.depth.map(Span::len) == Some(b.c),
            Op::Conv(_) => shape.c <= b.c.saturating_sub(v.channel),
            _ => s.filters.map_or(shape.c, Span::len) == b.c,
        };
        rule(is_there, at, "a step reads all channels of its inputs")?;
        rule(
            node.op.is_local() || is_whole(v, b, [shape.h, shape.w]),
            at,
            "an operation on whole maps reads whole maps",
        )?;
        if let Op::Reorg {
            stride,
            reverse: false,
        } = node.op
        {
            rule(
                reorgs(s, v, b, [stride, shape.h]),
                at,
                "a reorg reads the rows that it needs in their order, or all of them",
            )?;
        }
    }
    rule(
        finds_parts(c, s, node),
        at,
        "only a concatenation finds inputs in its output, all of them where they belong",
    )
}

/// Whether a view is the whole of a map that its buffer holds at once.
fn is_whole(v: &View, b: &Buffer, map: [usize; 2]) -> bool {
    b.ring == b.h && [v.h, v.w] == map
}

/// Whether a forward reorg by `s`, whose input has `map_h` rows, finds its rows: in a view that begins with the first
/// of them, or in the whole map, which then lies in its buffer at once.
fn reorgs(step: &Step, v: &View, b: &Buffer, [s, map_h]: [usize; 2]) -> bool {
    let (lo, out_h) = (step.phase[0], map_h / s);
    let Some(hi) = lo.checked_add(step.out.h).filter(|end| *end <= out_h) else {
        return false;
    };
    let (_, needed) = reorg_rows(Span::new(lo, hi), s, out_h);
    v.w == step.out.w * s && (v.h == needed || v.h == map_h && b.ring == b.h)
}

/// Whether inputs that lie in the step's output were written where a concatenation would copy them to.
fn finds_parts(c: &Chain, s: &Step, node: &Node) -> bool {
    if s.copied().count() == s.inputs.len() {
        return true;
    }
    let Op::Concat(parts) = &node.op else {
        return false;
    };
    let mut end = 0;
    parts.iter().all(|part| {
        let channel = end;
        end += part.c.len();
        let (Some(v), Some(t)) = (s.inputs.get(part.input), node.inputs.get(part.input)) else {
            return false;
        };
        let maker = c.steps.iter().find(|s| Some(s.node) == t.producer());
        !s.finds(v) || maker.is_some_and(|s| (s.out.buffer, s.channel) == (v.buffer, channel))
    })
}

/// A kernel has its convolution's geometry.
fn kernel(
    network: &Graph,
    c: &Chain,
    s: &Step,
    (node, conv, k): (&Node, &Conv, &ConvKernel),
    at: &dyn Fn() -> String,
) -> Rule {
    let (cin, cout) = (network.shape(node.inputs[0]).c, node.shape.c);
    let depthwise = conv.is_depthwise(cin, cout);
    let depth = if depthwise { 1 } else { cin / conv.groups };
    let partial = s.depth.is_some_and(|d| !d.is_empty() && d.hi <= cin);
    rule(
        s.depth.is_none() || (partial && conv.groups == 1 && s.filters.is_none() && !k.pool),
        at,
        "partial sums are of some input channels of a convolution without groups",
    )?;
    let depth = s.depth.map_or(depth, Span::len);
    rule(
        (k.size, k.stride_x, k.dilation) == (conv.size, conv.stride_x, conv.dilation)
            && (k.cin, k.depthwise) == (depth, depthwise),
        at,
        "a kernel has its convolution's geometry",
    )?;
    rule(
        s.inputs[0].channel == 0 || conv.groups == 1,
        at,
        "a convolution of groups reads whole buffers",
    )?;
    rule(
        k.algorithm.is_direct() || (conv.groups, conv.stride_y) == (1, 1),
        at,
        "a Winograd kernel's geometry",
    )?;
    rule(
        !s.joined || conv.stride_y == 1,
        at,
        "rows that are joined have gaps",
    )?;
    let by_pass = !conv.activation.is_pointwise();
    let in_kernel = if s.depth.is_some() {
        k.activation.is_linear()
    } else if by_pass {
        k.activation.is_linear() && !k.pool
    } else {
        k.activation == conv.activation
    };
    rule(in_kernel, at, "a kernel has its convolution's activation")?;
    rule(
        !by_pass || made(s, node) == c.buffers[s.out.buffer].c,
        at,
        "a pass over rows would touch other steps' channels",
    )
}
