//! The `Program` constant: tensors, tasks, tail, heads, sections; and `layout.rs`.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::{Darknet, HeadKind, NmsKind, TensorIx},
    plan::{ElementType, Isa, Plan, TargetPlan},
    region::Region,
};
use tessera_planner::model::Model;

use crate::{
    EmitError, kernel,
    names::{float, ident, int, int64, upper},
};

/// 32 bytes from 64 hex digits.
pub(crate) fn hex32(s: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    hex::decode_to_slice(s, &mut out).ok()?;
    Some(out)
}

/// Items of `program.rs`.
///
/// # Errors
/// When the plan names a tensor that crosses no boundary.
pub(crate) fn program(
    name: &str,
    plan: &Plan,
    model: &Model,
    target: &str,
    tp: &TargetPlan,
) -> Result<TokenStream, EmitError> {
    let flow = &plan.dataflow;
    let index: BTreeMap<TensorIx, usize> = flow
        .tensors
        .iter()
        .enumerate()
        .map(|(i, t)| (t.id, i))
        .collect();
    let tensor = |t: TensorIx| {
        index
            .get(&t)
            .map(|i| int(*i))
            .ok_or(EmitError::Tensor { tensor: t.0 })
    };
    let hash = hex32(&plan.hash).ok_or_else(|| EmitError::Hash {
        found: plan.hash.clone(),
    })?;
    let digest = hex32(&flow.digest).ok_or_else(|| EmitError::Hash {
        found: flow.digest.clone(),
    })?;
    let (hash, digest) = (bytes(&hash), bytes(&digest));

    let tensors = flow.tensors.iter().map(|t| {
        let layer = if t.layer < 0 {
            let l = int(t.layer.unsigned_abs() as usize);
            quote!(-#l)
        } else {
            int(t.layer as usize)
        };
        let [h, w, c] = [t.shape.h, t.shape.w, t.shape.c].map(int);
        let element = element(t.element);
        quote!(TensorSpec { layer: #layer, h: #h, w: #w, c: #c, element: #element })
    });

    let mut tasks = TokenStream::new();
    let mut starts = vec![int(0)];
    let mut count = 0;
    for (s, stage) in flow.stages.iter().enumerate() {
        let module = ident(&format!("s{s}"));
        for tile in &stage.tiles {
            let chain =
                tp.stages
                    .get(s)
                    .and_then(|c| c.get(tile.class))
                    .ok_or(EmitError::Class {
                        stage: s,
                        class: tile.class,
                    })?;
            let class = ident(&chain.name);
            let ports = |ids: &[TensorIx], regions: &[Region]| {
                ids.iter()
                    .zip(regions)
                    .map(|(t, r)| {
                        let (t, r) = (tensor(*t)?, region(r));
                        Ok(quote!(Port { tensor: #t, region: #r }))
                    })
                    .collect::<Result<Vec<_>, EmitError>>()
            };
            let inputs = ports(&stage.inputs, &tile.inputs)?;
            let outputs = ports(&stage.outputs, &tile.outputs)?;
            let [stage, row, col] = [s, tile.row, tile.col].map(int);
            let macs = int64(tile.macs);
            let run = run(tp.kernels, quote!(#module::#class::run));
            tasks.extend(quote! {
                TaskSpec {
                    stage: #stage,
                    row: #row,
                    col: #col,
                    inputs: &[#(#inputs),*],
                    outputs: &[#(#outputs),*],
                    arena_floats: #module::#class::ARENA_FLOATS,
                    macs: #macs,
                    run: #run,
                },
            });
            count += 1;
        }
        starts.push(int(count));
    }

    let tail_in = flow
        .tail
        .inputs
        .iter()
        .map(|t| tensor(*t))
        .collect::<Result<Vec<_>, _>>()?;
    let tail_out = flow
        .tail
        .outputs
        .iter()
        .map(|t| tensor(*t))
        .collect::<Result<Vec<_>, _>>()?;
    let tail_macs = int64(tp.tail.macs);

    let mut heads = TokenStream::new();
    for h in &model.graph.heads {
        let (layer, map, classes) = (int(h.layer), tensor(h.tensor)?, int(h.classes));
        let anchors = h.anchors.iter().map(|(w, h)| {
            let (w, h) = (float(*w), float(*h));
            quote!((#w, #h))
        });
        let kind = match h.kind {
            HeadKind::Yolo { new_coords } => quote!(HeadKind::Yolo { new_coords: #new_coords }),
            HeadKind::Gaussian { point } => {
                let p = int(usize::from(point.unsigned_abs()));
                let point = if point < 0 { quote!(-#p) } else { p };
                quote!(HeadKind::Gaussian { point: #point })
            }
            HeadKind::Region => quote!(HeadKind::Region),
            HeadKind::Detection { side, num, sqrt } => {
                let [side, num] = [side, num].map(int);
                quote!(HeadKind::Detection { side: #side, num: #num, sqrt: #sqrt })
            }
        };
        heads.extend(quote! {
            Head {
                layer: #layer,
                tensor: #map,
                classes: #classes,
                anchors: &[#(#anchors),*],
                kind: #kind,
            },
        });
    }
    let nms = match model.graph.heads.last().map(|h| h.nms).unwrap_or_default() {
        NmsKind::Default => quote!(NmsKind::Default),
        NmsKind::Greedy => quote!(NmsKind::Greedy),
        NmsKind::Diou { beta } => {
            let beta = float(beta);
            quote!(NmsKind::Diou { beta: #beta })
        }
    };
    let sections = tp.sections.iter().map(|s| {
        let (name, offset, floats) = (&s.name, int(s.offset), int(s.floats));
        quote!(SectionSpec { name: #name, offset: #offset, floats: #floats })
    });

    let letterbox = model.graph.letterbox;
    let one = flow.darknet == Darknet::Alexey;
    let stages = (0..flow.stages.len()).map(|s| ident(&format!("s{s}")));
    let mut types = vec![
        "ElementType",
        "NmsKind",
        "Program",
        "TailSpec",
        "TensorSpec",
    ];
    if !model.graph.heads.is_empty() {
        types.extend(["Head", "HeadKind"]);
    }
    if !tp.sections.is_empty() {
        types.push("SectionSpec");
    }
    if count > 0 {
        types.extend(["Port", "Region", "TaskSpec"]);
    }
    types.sort_unstable();
    let run_tail = run(tp.kernels, quote!(tail::run));
    let types = types.iter().map(|t| ident_type(t));
    Ok(quote! {
        #![forbid(unsafe_code)]
        use tessera_runtime::program::{#(#types),*};
        use super::{#(#stages,)* tail};
        use crate::kernels;
        /// What the runtime must know of the model.
        pub static PROGRAM: Program = Program {
            name: #name,
            target: #target,
            plan_hash: #hash,
            model_digest: #digest,
            tensors: &[#(#tensors),*],
            tasks: &[#tasks],
            stage_starts: &[#(#starts),*],
            tail: TailSpec {
                inputs: &[#(#tail_in),*],
                outputs: &[#(#tail_out),*],
                arena_floats: tail::ARENA_FLOATS,
                macs: #tail_macs,
                run: #run_tail,
            },
            heads: &[#heads],
            nms: #nms,
            letterbox: #letterbox,
            region_objectness_one: #one,
            sections: &[#(#sections),*],
            check_cpu: kernels::check_cpu,
        };
    })
}

/// A driver as a safe function.
fn run(isa: Isa, driver: TokenStream) -> TokenStream {
    if kernel::call(isa).is_empty() {
        driver
    } else {
        quote!(|io| kernels::call(#driver, io))
    }
}

fn ident_type(name: &str) -> proc_macro2::Ident {
    proc_macro2::Ident::new(name, proc_macro2::Span::call_site())
}

fn bytes(b: &[u8; 32]) -> TokenStream {
    let lits = b.iter().map(|b| {
        let l = syn::LitInt::new(&format!("0x{b:02x}"), proc_macro2::Span::call_site());
        quote!(#l)
    });
    quote!([#(#lits),*])
}

fn region(r: &Region) -> TokenStream {
    if r.is_empty() {
        return quote!(Region::EMPTY);
    }
    let [y0, y1, x0, x1, c0, c1] = [r.y.lo, r.y.hi, r.x.lo, r.x.hi, r.c.lo, r.c.hi].map(int);
    quote!(Region::new([#y0, #y1], [#x0, #x1], [#c0, #c1]))
}

fn element(e: ElementType) -> TokenStream {
    match e {
        ElementType::U8 => quote!(ElementType::U8),
        ElementType::F16 => quote!(ElementType::F16),
        ElementType::F32 => quote!(ElementType::F32),
    }
}

/// Items of `layout.rs`: where every node's packed weights lie behind the header of `weights.bin`.
pub(crate) fn layout(tp: &TargetPlan) -> TokenStream {
    let consts = tp.packing.iter().map(|p| {
        let (name, from, to) = (upper(&p.name), int(p.offset), int(p.offset + p.floats));
        let section = tp.sections.get(p.section).map_or("", |s| s.name.as_str());
        let blocks = if p.nr > 0 {
            format!(", blocks of {} output channels", p.nr)
        } else {
            String::new()
        };
        let doc = format!(" In section {section}{blocks}.");
        quote! {
            #[doc = #doc]
            pub const #name: Range<usize> = #from..#to;
        }
    });
    if tp.packing.is_empty() {
        return TokenStream::new();
    }
    quote! {
        use std::ops::Range;
        #(#consts)*
    }
}
