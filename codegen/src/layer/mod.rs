//! One file per kind of layer: each turns a step of a chain into a function over output rows.
//!
//! A layer function has the shape `fn l02_conv(x: &[f32], w: &[f32], y: &mut [f32], rows: Range<usize>)`:
//! `x` is the whole input buffer, zero row included (`x0`, `x1`, ... when there are several), `w` the
//! node's packed weights (where it has any), and `y` exactly the padded rows `rows` of the output
//! buffer. So a team of threads can split a layer, and who computes a row never changes its bits.

use tessera_plan::{graph::Op, plan::Chain};

use crate::{scope::Scope, uses::Uses};

mod activate;
mod batchnorm;
mod concat;
mod connected;
mod context;
mod conv;
mod crop;
mod detect;
mod frame;
mod local;
mod lrn;
mod places;
mod pool;
mod reorg;
mod sam;
mod scale_channels;
mod shortcut;
mod softmax;
mod sums;
mod upsample;
mod view;

use context::{Body, LayerCx};
pub(crate) use frame::Layer;

/// Emits the function of the chain's step `number`, and its call.
pub(crate) fn emit(scope: &Scope, chain: &Chain, number: usize, uses: &Uses) -> Layer {
    let cx = LayerCx::new(scope, chain, &chain.steps[number], uses);
    let body = body(&cx);
    Layer::new(scope, &cx, number, body)
}

/// The emitter of every kind of layer.
fn body(cx: &LayerCx) -> Body {
    match &cx.node.op {
        Op::Conv(c) if cx.step.sums > 0 => sums::emit(cx, c.activation),
        Op::Conv(c) => conv::emit(cx, c),
        Op::MaxPool(p) => pool::max(cx, p),
        Op::LocalAvgPool(p) => pool::local_avg(cx, p),
        Op::MaxPoolDepth { out_channels } => pool::depth(cx, *out_channels),
        Op::AvgPool => pool::avg(cx),
        Op::Concat(parts) => concat::emit(cx, parts),
        Op::Upsample { stride, scale } => upsample::up(cx, *stride, *scale),
        Op::Downsample { stride, scale } => upsample::down(cx, *stride, *scale),
        Op::Reorg { stride, reverse } => reorg::scrambled(cx, *stride, *reverse),
        Op::Reorg3d { stride, reverse } => reorg::true3d(cx, *stride, *reverse),
        Op::Shortcut { kind, activation } => shortcut::emit(cx, kind, *activation),
        Op::BatchNorm => batchnorm::emit(cx),
        Op::Activate(a) => activate::emit(cx, *a),
        Op::Sam { activation } => sam::emit(cx, *activation),
        Op::ScaleChannels {
            per_pixel,
            activation,
        } => scale_channels::emit(cx, *per_pixel, *activation),
        Op::Lrn {
            size,
            alpha,
            beta,
            kappa,
        } => lrn::emit(cx, *size, *alpha, *beta, *kappa),
        Op::Connected { activation } => connected::emit(cx, *activation),
        Op::Local {
            size,
            stride,
            pad,
            activation,
        } => local::emit(cx, *size, *stride, *pad, *activation),
        Op::Crop { y, x, adjust } => crop::emit(cx, *y, *x, *adjust),
        Op::Softmax {
            groups,
            temperature,
        } => softmax::emit(cx, *groups, *temperature),
        Op::Yolo {
            masks,
            classes,
            scale_x_y,
            new_coords,
        } => detect::yolo(cx, *masks, *classes, *scale_x_y, *new_coords),
        Op::GaussianYolo {
            masks,
            classes,
            scale_x_y,
        } => detect::gaussian(cx, *masks, *classes, *scale_x_y),
        Op::Region {
            num,
            classes,
            softmax,
            logistic_classes,
        } => detect::region(cx, *num, *classes, *softmax, *logistic_classes),
        Op::Detection {
            side,
            num,
            classes,
            softmax,
        } => detect::detection(cx, *side, *num, *classes, *softmax),
    }
}
