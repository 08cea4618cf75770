//! One file per kind of layer: each turns a step of a chain into a function over output rows.
//!
//! A layer function has the shape `fn l02_conv(x: &[f32], w: &[f32], y: &mut [f32], rows: Range<usize>)`:
//! `x` is the whole input buffer, zero row included (`x0`, `x1`, ... when there are several), `w` the
//! node's packed weights (where it has any), and `y` exactly the padded rows `rows` of the output
//! buffer. So a team of threads can split a layer, and who computes a row never changes its bits.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::{Node, Op},
    plan::{Chain, ConvKernel, Isa, Place, Step},
};

use crate::{
    EmitError, kernel,
    names::{ident, int, upper},
};

mod activate;
mod batchnorm;
mod concat;
mod connected;
mod conv;
mod crop;
mod detect;
mod local;
mod lrn;
mod pool;
mod reorg;
mod sam;
mod scale_channels;
mod shortcut;
mod softmax;
mod upsample;
mod view;
mod winograd;

use view::{In, Out};

/// What a layer's emitter sees.
pub(crate) struct LayerCx<'a> {
    /// The graph's node.
    pub node: &'a Node,
    /// The step's number in its chain.
    pub number: usize,
    /// The plan's step.
    pub step: &'a Step,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Views of the inputs.
    pub ins: Vec<In>,
    /// The output.
    pub out: Out,
    /// Where the inputs lie.
    pub places: Vec<Place>,
    /// Where the output lies.
    pub place: Place,
}

/// A layer, emitted.
pub(crate) struct Layer {
    /// The function, with its doc comment.
    pub item: TokenStream,
    /// Statements in `run` that compute the rows `rows` (an expression without side effects).
    pub call: Box<dyn Fn(TokenStream) -> TokenStream>,
    /// Kernels it calls, with their lanes.
    pub kernels: BTreeSet<(ConvKernel, usize)>,
    /// What the chain's table says about how it is computed.
    pub how: String,
    /// What it is: `conv 3x3/1, 32 -> 64, leaky`.
    pub what: String,
}

/// A layer function's body and what goes with it; the frame around it is common to all.
pub(crate) struct Body {
    /// Short description for the doc comment and the table.
    pub what: String,
    /// Statements; they see `x` (or `x0`...), `w`, `y`, `rows`.
    pub code: TokenStream,
    /// Whether the function takes packed weights.
    pub weights: bool,
    /// Kernels called.
    pub kernels: BTreeSet<(ConvKernel, usize)>,
    /// How it is computed.
    pub how: String,
    /// The function takes output channels of the only pixel instead of rows.
    pub by_channel: bool,
    /// The function takes the team, which it shares its work with itself, and `scratch`.
    pub team: bool,
    /// The function takes `wide`, so many values of working memory of the thread that calls it; 0: none.
    pub wide: usize,
}

impl Body {
    /// A plain loop without weights.
    fn plain(what: impl Into<String>, code: TokenStream) -> Self {
        Self {
            what: what.into(),
            code,
            weights: false,
            kernels: BTreeSet::new(),
            how: "loop".to_owned(),
            by_channel: false,
            team: false,
            wide: 0,
        }
    }

    /// A plain loop over packed weights.
    fn weighted(what: impl Into<String>, code: TokenStream) -> Self {
        Self {
            weights: true,
            ..Self::plain(what, code)
        }
    }
}

impl LayerCx<'_> {
    /// The only input.
    fn input(&self) -> In {
        self.ins[0]
    }

    /// Whether input `i` lies in the output already.
    fn is_there(&self, i: usize) -> bool {
        self.step.finds(&self.step.inputs[i])
    }

    /// Inputs that the function takes.
    fn taken(&self) -> impl Iterator<Item = usize> {
        (0..self.ins.len()).filter(|i| !self.is_there(*i))
    }

    /// Name of input `i` inside the function.
    fn x(&self, i: usize) -> TokenStream {
        if self.ins.len() == 1 {
            quote!(x)
        } else {
            let x = ident(&format!("x{i}"));
            quote!(#x)
        }
    }
}

/// Emits the function of step `number` and its call.
///
/// # Errors
/// When step and node disagree: a plan that its own check refuses.
pub(crate) fn emit(
    node: &Node,
    number: usize,
    chain: &Chain,
    isa: Isa,
) -> Result<Layer, EmitError> {
    let step = &chain.steps[number];
    let bad = |rule: &'static str| EmitError::Step {
        step: step.name.clone(),
        rule,
    };
    if step.inputs.len() != node.inputs.len() || step.inputs.is_empty() {
        return Err(bad("a step reads every input of its node"));
    }
    let buffer = |i: usize| {
        chain
            .buffers
            .get(i)
            .ok_or_else(|| bad("a view names a buffer"))
    };
    let mut ins = Vec::with_capacity(step.inputs.len());
    let mut places = Vec::with_capacity(step.inputs.len());
    for v in &step.inputs {
        let b = buffer(v.buffer)?;
        if v.y + v.h > b.h || v.x + v.w > b.w {
            return Err(bad("a view lies inside its buffer"));
        }
        ins.push(In::new(b, v));
        places.push(b.place);
    }
    let out_buffer = buffer(step.out.buffer)?;
    if (step.out.y, step.out.x) != (0, 0)
        || (step.out.h, step.out.w) != (out_buffer.h, out_buffer.w)
    {
        return Err(bad("a step writes all rows and columns of its buffer"));
    }
    let writes_part = matches!(node.op, Op::Conv(_) | Op::Upsample { .. } | Op::MaxPool(_))
        && step.channel < out_buffer.c;
    if out_buffer.c != node.shape.c && !(writes_part && node.shape.c <= out_buffer.c - step.channel)
    {
        return Err(bad(
            "a step writes all channels of its buffer, or a convolution, pool or upsampling some",
        ));
    }
    let cx = LayerCx {
        node,
        number,
        step,
        isa,
        ins,
        out: Out::new(out_buffer, step.channel, node.shape.c),
        places,
        place: out_buffer.place,
    };
    let body = body(&cx)?;
    Ok(frame(&cx, body))
}

/// Whether inputs that lie in the step's output were written where a concatenation would copy them to.
pub(crate) fn finds_parts(node: &Node, step: &Step, chain: &Chain) -> bool {
    if step.copied().count() == step.inputs.len() {
        return true;
    }
    let Op::Concat(parts) = &node.op else {
        return false;
    };
    let mut at = 0;
    parts.iter().all(|part| {
        let channel = at;
        at += part.c.len();
        let (Some(v), Some(t)) = (step.inputs.get(part.input), node.inputs.get(part.input)) else {
            return false;
        };
        let maker = chain.steps.iter().find(|s| Some(s.node) == t.producer());
        !step.finds(v) || maker.is_some_and(|s| (s.out.buffer, s.channel) == (v.buffer, channel))
    })
}

fn body(cx: &LayerCx) -> Result<Body, EmitError> {
    Ok(match &cx.node.op {
        Op::Conv(c) => conv::emit(cx, c)?,
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
    })
}

/// The function around a body, and its call.
fn frame(cx: &LayerCx, body: Body) -> Layer {
    let (step, out) = (cx.step, cx.out);
    let name = ident(&step.name);
    let ins: Vec<String> = cx
        .taken()
        .map(|i| cx.ins[i])
        .map(|i| format!("{}x{}x{}", i.h, i.w, i.c))
        .collect();
    let border = match step.pad {
        [0, 0, 0, 0] => String::new(),
        [t, b, l, r] => format!(" (border {t} {b} {l} {r})"),
    };
    let doc = format!(
        " Layer {}: {}. In {}{border}, out {}x{}x{}, f32 HWC.",
        step.layer,
        body.what,
        ins.join(" and "),
        out.h,
        out.w,
        if cx.node.shape.c == out.c {
            out.c.to_string()
        } else {
            let end = step.channel + cx.node.shape.c;
            format!("{}, channels {}..{end}", out.c, step.channel)
        }
    );

    let xs: Vec<TokenStream> = cx.taken().map(|i| cx.x(i)).collect();
    let (w_param, w_arg) = if body.weights {
        let constant = upper(&cx.node.name);
        (quote!(w: &[f32],), quote!(&io.weights[layout::#constant],))
    } else {
        (quote!(), quote!())
    };
    let over = if body.by_channel {
        quote!(lanes)
    } else {
        quote!(rows)
    };
    let code = &body.code;
    let (team, scratch) = match (body.team, body.wide) {
        (true, _) => (quote!(team: &Team,), quote!(scratch: &mut [f32],)),
        (false, 0) => (quote!(), quote!()),
        (false, _) => (quote!(), quote!(wide: &mut [f32],)),
    };
    let attributes = kernel::attributes(cx.isa);
    let item = quote! {
        #[doc = #doc]
        #attributes
        pub fn #name(#team #(#xs: &[f32],)* #w_param #scratch y: &mut [f32], #over: Range<usize>) { #code }
    };

    let places = Places::new(cx, &xs);
    let to = ident_buffer(step.out.buffer);
    let (row, by_channel) = (int(out.row), body.by_channel);
    let wide = int(body.wide);
    let (alone, has_wide) = (!body.team && body.wide == 0, body.wide > 0);
    let run = if by_channel {
        let c = int(out.c);
        let place = if out.is_padded() {
            let (lo, hi) = (int(out.lo), int(out.hi));
            quote!(&mut y[#lo..#hi])
        } else {
            quote!(y)
        };
        quote! {
            io.team.rows(0..#c, 1, #place, |lanes, y| #name(#(#xs,)* #w_arg y, lanes));
        }
    } else {
        quote!(|rows, y| #name(#(#xs,)* #w_arg y, rows))
    };
    let clear = if out.is_padded() || out.zero_row {
        quote!(io.arena.clear_padding(&#to);)
    } else {
        quote!()
    };
    let call = move |rows: TokenStream| {
        let first_only = if clear.is_empty() || rows.to_string() != "rows" {
            clear.clone()
        } else {
            quote!(if rows.start == 0 { #clear })
        };
        let range = if rows.to_string() == "rows" {
            quote!(&rows)
        } else {
            quote!(&(#rows))
        };
        let take = places.take(&range, !alone);
        let run = if body.team {
            quote!(#name(io.team, #(#xs,)* #w_arg scratch, y, #rows);)
        } else if has_wide {
            quote! {
                let split = Split { row_floats: #row, scratch_floats: #wide };
                io.team.rows_scratch(#rows, split, y, scratch, |rows, y, wide| {
                    #name(#(#xs,)* #w_arg wide, y, rows)
                });
            }
        } else if by_channel {
            run.clone()
        } else {
            quote!(io.team.rows(#rows, #row, y, #run);)
        };
        quote! {
            #first_only
            #take
            #run
        }
    };
    Layer {
        item,
        call: Box::new(call),
        kernels: body.kernels,
        how: body.how,
        what: body.what,
    }
}

/// Where a layer's buffers lie.
struct Places {
    /// The step's number.
    number: TokenStream,
    /// Names and constants of the inputs in the arena.
    arena: Vec<(TokenStream, proc_macro2::Ident)>,
    /// Statements that name the inputs that are read where they arrived.
    arrived: TokenStream,
    /// The output's constant.
    to: proc_macro2::Ident,
    /// The output's number, if it is written where it is handed over.
    handed: Option<usize>,
    /// Values of working memory.
    scratch: TokenStream,
}

impl Places {
    fn new(cx: &LayerCx, xs: &[TokenStream]) -> Self {
        let step = cx.step;
        let mut arena = Vec::new();
        let mut arrived = TokenStream::new();
        for (x, i) in xs.iter().zip(cx.taken()) {
            let b = ident_buffer(step.inputs[i].buffer);
            if let Place::Input(k) = cx.places[i] {
                let k = int(k);
                arrived.extend(quote!(let #x = io.packed(#k, &#b);));
            } else {
                arena.push((x.clone(), b));
            }
        }
        Self {
            number: int(cx.number),
            arena,
            arrived,
            to: ident_buffer(step.out.buffer),
            handed: match cx.place {
                Place::Output(k) => Some(k),
                _ => None,
            },
            scratch: int(step.scratch),
        }
    }

    /// Statements that name the inputs, the rows `range` of the output `y` and, if the layer
    /// `works` in it, `scratch`.
    fn take(&self, range: &TokenStream, works: bool) -> TokenStream {
        let Self {
            number,
            arrived,
            to,
            scratch,
            ..
        } = self;
        let (xs, bufs): (Vec<_>, Vec<_>) = self.arena.iter().cloned().unzip();
        let ins = quote!([#(#bufs.range()),*]);
        let place = quote!(#to.rows(#range));
        let taken = match (self.handed, works) {
            (None, false) => quote! {
                let ([#(#xs),*], y) = io.arena.io(#number, #ins, #place);
            },
            (None, true) => quote! {
                let ([#(#xs),*], y, scratch) =
                    io.arena.io_scratch(#number, #ins, #place, #scratch);
            },
            (Some(k), works) => {
                let (k, scratch) = (int(k), if works { scratch.clone() } else { int(0) });
                let work = if works { quote!(scratch) } else { quote!(_) };
                quote! {
                    let y = #to.handed(io.outputs[#k], #range);
                    let ([#(#xs),*], #work) = io.arena.read(#number, #ins, #scratch);
                }
            }
        };
        quote! { #arrived #taken }
    }
}

/// Name of a buffer's constant.
pub(crate) fn ident_buffer(i: usize) -> proc_macro2::Ident {
    upper(&format!("b{i}"))
}
