//! Rules of convolution kernels: sizes on the menu, reads and writes that stay inside of rows, working memory.

use super::{Rule, rule};
use crate::{
    kernel::{
        COLS_MAX, is_on_menu, reads, scratch as scratch_floats, takes_winograd, vector,
        winograd::Sizes,
    },
    limits::{LIST_MAX, TEAM_MAX, VALUES_MAX},
    plan::{Chain, ConvKernel, Isa, Step},
};

/// Kernel `k` of a step whose views lie in their buffers.
pub(super) fn kernel(
    c: &Chain,
    s: &Step,
    k: &ConvKernel,
    isa: Isa,
    at: &dyn Fn() -> String,
) -> Rule {
    parameters(s, k, isa, at)?;
    reach(c, s, k, at)?;
    stores(c, s, k, at)?;
    winograd(s, k, isa, at)?;
    working_memory(c, s, k, at)
}

/// Block sizes of the menu, and parameters that no index overflows by.
fn parameters(s: &Step, k: &ConvKernel, isa: Isa, at: &dyn Fn() -> String) -> Rule {
    let cols = s.out.w.saturating_mul(k.side());
    let fits = Sizes::new(k).is_some() || k.mr <= cols;
    rule(
        is_on_menu(k, isa) && fits && cols <= COLS_MAX,
        at,
        "block sizes of a kernel",
    )?;
    rule(
        k.size >= 1 && k.stride_x >= 1 && k.dilation >= 1 && k.cin >= 1,
        at,
        "parameters of a kernel",
    )?;
    let taps = k.size.checked_mul(k.size);
    let block = taps.and_then(|n| n.checked_mul(k.cin)?.checked_mul(k.nr));
    rule(
        block.is_some_and(|n| n < VALUES_MAX) && k.stride_x.max(k.dilation) < LIST_MAX,
        at,
        "a kernel is too large",
    )?;
    rule(
        !k.pool
            || ((k.mr.is_multiple_of(2) || !k.algorithm.is_direct())
                && k.activation.is_in_registers()),
        at,
        "a kernel that pools has blocks of pairs, and activates in registers",
    )
}

/// What a kernel reads lies in its input's rows, zero columns and zero row included.
fn reach(c: &Chain, s: &Step, k: &ConvKernel, at: &dyn Fn() -> String) -> Rule {
    let Some(x) = s.inputs.first().filter(|_| s.inputs.len() == 1) else {
        return rule(false, at, "a convolution has one input");
    };
    let b = &c.buffers[x.buffer];
    rule(
        (k.depthwise || k.cin <= k.x_stride)
            && (x.channel == 0 || !k.depthwise && k.cin <= k.x_stride.saturating_sub(x.channel)),
        at,
        "a kernel reads channels beside its buffer's",
    )?;
    rule(
        b.pad_left >= s.pad[2] && (x.x + x.w < b.w || b.pad_right >= s.pad[3]),
        at,
        "zero columns for a kernel",
    )?;
    rule(
        b.zero_row || s.pad[0] + s.pad[1] == 0,
        at,
        "a zero row for a kernel",
    )?;
    let cols = s.out.w * k.side();
    let reach = (k.size - 1)
        .checked_mul(k.dilation)
        .and_then(|n| n.checked_add((cols - 1).checked_mul(k.stride_x)?));
    let have = b.pad_left + b.w + b.pad_right;
    let start = b.pad_left + x.x - s.pad[2].min(b.pad_left + x.x);
    rule(
        reach
            .and_then(|n| n.checked_add(start))
            .is_some_and(|n| n < have),
        at,
        "a kernel reads behind its rows",
    )
}

/// Strides are the buffers', and rows that are one to the kernel lie side by side.
fn stores(c: &Chain, s: &Step, k: &ConvKernel, at: &dyn Fn() -> String) -> Rule {
    let (x, out) = (&s.inputs[0], &c.buffers[s.out.buffer]);
    let b = &c.buffers[x.buffer];
    rule(
        k.x_stride == b.c && k.y_stride == out.c,
        at,
        "pixel strides of a kernel",
    )?;
    rule(
        !s.joined
            || ((k.size, k.stride_x, k.pool) == (1, 1, false)
                && x.w == b.w
                && [s.out.w, out.w] == [b.w; 2]
                && [b, out].iter().all(|b| b.pad_left + b.pad_right == 0)),
        at,
        "rows that are joined have gaps",
    )
}

/// What a Winograd kernel needs beyond the rules of all kernels.
fn winograd(s: &Step, k: &ConvKernel, isa: Isa, at: &dyn Fn() -> String) -> Rule {
    let channels = vector(isa);
    let Some(sizes) = Sizes::new(k) else {
        return Ok(());
    };
    rule(
        [2, 4, 6].contains(&sizes.m)
            && (k.size, k.stride_x, k.dilation, k.depthwise) == (3, 1, 1, false)
            && k.cin <= k.x_stride
            && k.cin.is_multiple_of(channels)
            && takes_winograd(isa, k.nr)
            && sizes.depth.is_multiple_of(channels)
            && (channels..=k.cin).contains(&sizes.depth)
            && s.out.w.saturating_mul(k.side()) >= sizes.m,
        at,
        "a Winograd kernel's geometry",
    )
}

/// A kernel's working memory, in whole cache lines at the beginning of the arena.
fn working_memory(c: &Chain, s: &Step, k: &ConvKernel, at: &dyn Fn() -> String) -> Rule {
    rule(
        reads(k, s.weights),
        at,
        "a kernel reads weights that are stored otherwise",
    )?;
    rule(
        s.weights.is_f32() || (!k.depthwise && k.nr.is_multiple_of(2)),
        at,
        "halves of a depthwise kernel",
    )?;
    rule(
        (1..=TEAM_MAX).contains(&c.threads)
            && s.scratch.is_multiple_of(16)
            && s.scratch <= c.arena_floats
            && s.scratch >= scratch_floats(k, s.weights, [s.row_block, s.out.w], c.threads),
        at,
        "a kernel's working memory",
    )
}
